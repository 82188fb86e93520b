"""The one form of what people type. The same letters have several spellings in Unicode, and
keyboards differ.

Pure functions without Django. Normalising long runs of combining marks takes time that grows with
their square, in a call that lets no other thread run. So this is the only place that normalises,
and it looks at the length first.
"""

import unicodedata

# NFC makes one character of at most so many: what is longer than this is too long in any form.
DECOMPOSED_MAX = 4
EMAIL_CHARACTERS_MAX = 254  # as many as the mail protocol has room for
PASSWORD_CHARACTERS_MAX = 1_000
MARKS_MAX = 30  # in a row, as in Unicode's Stream-Safe Text Format; no language needs ten


class Unfit(ValueError):
    """The text is not normalised. The message tells people what to do about it."""


class TooLong(Unfit):
    """It has more than `characters_max` characters in any form."""


def normalise(text: str, *, characters_max: int) -> str:
    """NFC, in a time that grows with the length only.
    The result may still be over `characters_max`. Raises Unfit."""
    if len(text) > DECOMPOSED_MAX * characters_max:
        raise TooLong(f"This has more than {characters_max:,} characters. Shorten it.")
    if text.isascii():
        return text
    marks = 0
    for place, character in enumerate(text, 1):
        marks = marks + 1 if unicodedata.category(character)[0] == "M" else 0
        if marks > MARKS_MAX:
            raise Unfit(
                f"Character {place:,} is one more than {MARKS_MAX} accents on one letter. "
                "Remove some of them."
            )
    return unicodedata.normalize("NFC", text)


def email(text: str) -> str:
    """The form in which an e-mail address is stored, counted and looked for.
    What is unfit is nobody's address."""
    return _lenient(_lenient(text.strip(), EMAIL_CHARACTERS_MAX).lower(), EMAIL_CHARACTERS_MAX)


def password(text: str) -> str:
    """The form in which a password is hashed and compared.
    What is unfit is left as it is, and refused where one is chosen."""
    return _lenient(text, PASSWORD_CHARACTERS_MAX)


def _lenient(text: str, characters_max: int) -> str:
    try:
        return normalise(text, characters_max=characters_max)
    except Unfit:
        return text

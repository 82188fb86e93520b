"""Unicode normalisation of everything people type.

The same text can be encoded in several ways in Unicode, and keyboards differ in which they produce.
Pure functions without Django.

Normalising a long run of combining marks takes time quadratic in its length, in a call that holds
the GIL. So only this module normalises, and it checks the length first.
"""

import unicodedata

import idna

# NFC composes at most this many characters into one. So a text longer than DECOMPOSED_MAX times a
# limit is over the limit in any form.
DECOMPOSED_MAX = 4
EMAIL_CHARACTERS_MAX = 254  # the maximum of SMTP, RFC 5321
OTHER_AT_SIGNS = "\uff20\ufe6b"  # the full-width and the small one
PASSWORD_CHARACTERS_MAX = 1_000
MARKS_MAX = 30  # in a row, as in Unicode's Stream-Safe Text Format; no language needs ten


class Unfit(ValueError):
    """The text cannot be normalised. The message tells the person who typed it what to change."""


class TooLong(Unfit):
    """The text has more than `characters_max` characters in any form."""


def normalise(text: str, *, characters_max: int) -> str:
    """The text in NFC, in time linear in its length.

    The result may still have more than `characters_max` characters. Raises Unfit, or TooLong if the
    text is over the limit in any form.
    """
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
    """The form in which an e-mail address is stored, counted and searched for.

    A text that cannot be normalised is returned as it is: no account has such an address. The
    domain is in the form that people read, whether it was typed so, in full-width letters or in
    the ASCII form of IDNA.
    """
    text = _lenient(_lenient(text.strip(), EMAIL_CHARACTERS_MAX).lower(), EMAIL_CHARACTERS_MAX)
    if len(text) > EMAIL_CHARACTERS_MAX:
        return text
    for sign in OTHER_AT_SIGNS:
        text = text.replace(sign, "@")
    local, at, domain = text.rpartition("@")
    return f"{local}{at}{_readable(domain)}" if at else text


def password(text: str) -> str:
    """The form in which a password is hashed and compared.

    A text that cannot be normalised is returned as it is; `accounts.passwords` refuses it when a
    password is chosen.
    """
    return _lenient(text, PASSWORD_CHARACTERS_MAX)


def _readable(domain: str) -> str:
    """The one form of a domain; as it is if it can be none."""
    try:
        return idna.decode(idna.encode(domain, uts46=True))
    except (idna.IDNAError, UnicodeError):
        return domain


def _lenient(text: str, characters_max: int) -> str:
    try:
        return normalise(text, characters_max=characters_max)
    except Unfit:
        return text

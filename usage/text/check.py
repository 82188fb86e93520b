"""The text of a generation: its normalised form, its length, and whether it can be spoken.

Page, API, price and usage event all use these functions, so that they count the same string.
"""

import re
import unicodedata
from collections.abc import Iterator

from accounts import typed

MAX_CHARACTERS = 5000  # of a text that is spoken at once, while somebody waits for it
LONG_MAX_CHARACTERS = 100_000  # of one that a worker speaks

# Speech engines interpret control characters as commands, NUL ends a C string, and half a surrogate
# pair cannot be encoded in UTF-8.
FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# Unicode general categories of letters, numbers and symbols. An engine must make each of them
# audible; punctuation only affects the speech around it.
_AUDIBLE_CATEGORIES = frozenset("LNS")
# Invisible fillers that Unicode counts as letters or symbols.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


class TextRefused(ValueError):
    """The text cannot be spoken. The message tells the customer what to change."""


def normalise(text: str, *, characters_max: int = LONG_MAX_CHARACTERS) -> str:
    """The text in NFC with LF line ends, which is counted, priced, spoken and reported.

    Raises TextRefused.
    """
    try:
        return typed.normalise(_with_line_feeds(text), characters_max=characters_max)
    except typed.TooLong as error:
        raise TextRefused(
            f"The text is far over the {characters_max:,} characters that can be spoken at once. "
            "Shorten it."
        ) from error
    except typed.Unfit as error:
        raise TextRefused(str(error)) from error


def count(text: str) -> int:
    """Number of Unicode code points of the normalised text, which determines the price.

    A text that cannot be normalised is counted as typed.
    """
    try:
        return len(normalise(text))
    except TextRefused:
        return len(_with_line_feeds(text))


def _too_long(text: str, characters_max: int) -> Iterator[str]:
    if len(text) > characters_max:
        yield (
            f"The text has {len(text):,} characters and at most {characters_max:,} can be spoken "
            f"at once. Shorten it by {len(text) - characters_max:,}."
        )


def _invisible(text: str) -> Iterator[str]:
    found = list(FORBIDDEN.finditer(text))
    if not found:
        return
    first = f"Character {found[0].start() + 1:,} (U+{ord(found[0][0]):04X})"
    if len(found) == 1:
        yield f"{first} is invisible and cannot be spoken. Remove it."
    else:
        more = f"{len(found) - 1:,} more"
        yield f"{first} and {more} are invisible and cannot be spoken. Remove them."


def _with_line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_audible(character: str) -> bool:
    """Whether an engine has something to say for this character alone."""
    return unicodedata.category(character)[0] in _AUDIBLE_CATEGORIES and character not in _BLANK


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] == "P"


def check(text: str, *, characters_max: int = MAX_CHARACTERS) -> str:
    """The normalised text if it can be spoken. Raises TextRefused with all problems.

    A text of only punctuation is accepted, even a lone ".": it is spoken as silence, for the price
    of its characters. One that has nothing visible at all is refused.
    """
    text = normalise(text, characters_max=characters_max)
    if not text:
        raise TextRefused("Write something to speak.")
    if problems := [*_too_long(text, characters_max), *_invisible(text)]:
        raise TextRefused(" ".join(problems))
    if not any(is_audible(character) or _is_punctuation(character) for character in text):
        raise TextRefused(
            "There is nothing to speak in this text. Write at least one letter or digit."
        )
    return text

"""The text a customer has spoken: its one true form, its length, and whether it can be spoken at
all.

Pure functions without Django, so that the page, the API, the price and the usage event count the
same string.
"""

import re
import unicodedata
from collections.abc import Iterator

from accounts import typed

MAX_CHARACTERS = 5000

# Control characters mean commands to a speech engine (and NUL ends its string); half a surrogate
# pair has no UTF-8 form.
FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

# Letters, numbers and symbols by Unicode general category. An engine has to make every one of them
# audible; punctuation only shapes the speech around it.
_AUDIBLE_CATEGORIES = frozenset("LNS")
# Fillers that Unicode counts as letters or symbols and that show as nothing.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")


class TextRefused(ValueError):
    """The text cannot be spoken. The message tells the customer what to do about it."""


def normalise(text: str) -> str:
    """NFC with LF line ends: the string that is counted, priced, spoken and reported.

    Raises TextRefused.
    """
    try:
        return typed.normalise(_with_line_feeds(text), characters_max=MAX_CHARACTERS)
    except typed.TooLong as error:
        raise TextRefused(
            f"The text is far over the {MAX_CHARACTERS:,} characters that can be spoken at once. "
            "Shorten it."
        ) from error
    except typed.Unfit as error:
        raise TextRefused(str(error)) from error


def count(text: str) -> int:
    """The price's characters: Unicode code points of the normalised text; of a text that is
    refused, as it was typed.
    """
    try:
        return len(normalise(text))
    except TextRefused:
        return len(_with_line_feeds(text))


def _too_long(text: str) -> Iterator[str]:
    if len(text) > MAX_CHARACTERS:
        yield (
            f"The text has {len(text):,} characters and at most {MAX_CHARACTERS:,} can be spoken "
            f"at once. Shorten it by {len(text) - MAX_CHARACTERS:,}."
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
    """Whether this one character alone gives an engine something to say."""
    return unicodedata.category(character)[0] in _AUDIBLE_CATEGORIES and character not in _BLANK


def check(text: str) -> str:
    """Return the normalised text, or raise TextRefused."""
    text = normalise(text)
    if not text:
        raise TextRefused("Write something to speak.")
    if problems := [*_too_long(text), *_invisible(text)]:  # at once, not one after the other
        raise TextRefused(" ".join(problems))
    if not any(map(is_audible, text)):
        raise TextRefused(
            "There is nothing to speak in this text. Write at least one letter or digit."
        )
    return text

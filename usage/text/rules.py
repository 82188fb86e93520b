"""What rules of reading have in common.

A rule looks at one place of the bare text (see bare.py) and says what is spoken for it, or None if
it does not apply there. The range of its last part ends where reading goes on.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# A number as written: groups of three, European decimals, plain decimals.
_SEPARATED = r"\d{1,3}(?:[,'\u00a0\u202f\u2009]\d{3}){1,12}(?![\d])(?:\.\d+)?"
_INDIAN = r"[1-9]\d?(?:,\d\d){1,5},\d{3}(?![\d,])(?:\.\d+)?"
# With blanks, what is no row of numbers and no phone number: "1 000", "12 345 678", "1 234,50".
BLANKS = (
    r"[1-9]\d{0,2}(?: \d{3}){0,3} 000(?! ?\d)|[1-9]\d?(?: \d{3}){2,4}(?! ?\d)"
    r"|[1-9]\d{0,2}(?: \d{3}){1,4}(?=,\d\d(?!\d)|[ \u00a0\u202f]?(?:€|(?:km|kg)\b))(?:,\d\d)?"
)
_GROUPED = rf"(?:{_INDIAN}|{BLANKS}|{_SEPARATED})"
_EUROPEAN = r"\d{1,3}(?:[.'\u00a0\u202f\u2009]\d{3}){1,12},\d{1,2}(?![\d,])"
_DOTS = r"\d{1,3}(?:\.\d{3}){2,12}(?![\d.])"
NUMBER = rf"(?:{_EUROPEAN}|{_GROUPED}|{_DOTS}|\d+(?:\.\d+)?|\.\d+)"
# Beside a currency or unit a comma can only be decimal: "5,50 €".
MEASURE = rf"(?:{_EUROPEAN}|{_GROUPED}|{_DOTS}|\d+,\d{{1,2}}(?![\d,])|\d+(?:\.\d+)?|\.\d+)"
SPACE = r"[ \t\u00a0\u202f\u2009]"
END = r"(?![^\W_])"  # no letter or digit follows


class Part(NamedTuple):
    start: int  # range in the bare text
    end: int
    spoken: str
    ipa: str = ""  # how a customer wants it said


@dataclass(slots=True)
class Context:
    """Where a rule reads."""

    text: str  # bare
    language: str
    before: str = ""  # the word before as written, "" at the beginning of a sentence


Reading = list[Part] | None
Read = Callable[[re.Match[str], Context], Reading]


def listed(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


class Rule(NamedTuple):
    pattern: re.Pattern[str]
    read: Read

    def at(self, place: int, context: Context) -> Reading:
        match = self.pattern.match(context.text, place)
        return self.read(match, context) if match else None


def whole(match: re.Match[str], spoken: str, *, end: int | None = None) -> Reading:
    """One word for all of the match, or for as much of it as ends at `end`."""
    return [Part(match.start(), match.end() if end is None else end, spoken)]


def rule(pattern: str, read: Read, flags: re.RegexFlag = re.NOFLAG) -> Rule:
    return Rule(re.compile(pattern, flags), read)

"""Letters and digits together: "MP three", "H two O", "GPT three point five"."""

import re

from usage.text.cardinals import cardinal, digits, plural
from usage.text.rules import Part, Reading
from usage.text.symbols import GREEK, GREEK_RUN, GREEK_SYMBOLS_MAX

LETTER = r"[^\W\d_⁰-⁹¹²³\u2150-\u2182\u2185-\u218f\u2460-\u24ff\u2776-\u2793]"
_NUMBER = r"\d+(?:\.\d{1,6}){0,4}"
_MIXED = re.compile(rf"(?:{LETTER}+|{_NUMBER})(?:-?(?:{LETTER}+|{_NUMBER})){{1,30}}")
_BITS = re.compile(rf"{LETTER}+|{_NUMBER}")
_PLURAL = re.compile(r"[A-Z]-?\d{1,9}s$")  # not in "k8s"
# What follows is read as it would be alone: "mid-1990s", "pre-2000", "post-9/11".
_PREFIX = re.compile(r"(?:mid|pre|post|non|sub|anti|inter|early|late)(?=-\d)", re.I)


def mixed(text: str, place: int) -> Reading:
    """A run of both, or a prefix before a number."""
    if prefix := _PREFIX.match(text, place):
        return [Part(place, prefix.end(), prefix[0])]
    match = _MIXED.match(text, place)
    if not match or not re.search(r"\d", match[0]) or not re.search(LETTER, match[0]):
        return None
    parts: list[Part] = []
    for bit in _BITS.finditer(match[0]):
        written, start, end = bit[0], place + bit.start(), place + bit.end()
        if written == "s" and end == match.end() and _PLURAL.search(match[0]):
            before = parts.pop()  # "MP3s"
            parts.append(before._replace(end=end, spoken=plural(before.spoken)))
        elif written[0].isdecimal():
            parts.append(Part(start, end, _number(written, first=not bit.start())))
        else:
            spoken = "A." if written in ("a", "A") else GREEK_RUN.sub(_names, written).strip()
            parts.append(Part(start, end, spoken))
    return parts


def _number(written: str, *, first: bool) -> str:
    """ "three point eleven" as in versions; long numbers within a code digit by digit."""
    if "." in written:
        before, _, after = written.partition(".")
        return f"{_number(before, first=first)} point {_number(after, first=False)}"
    short = len(written) < (5 if first else 3) and (written[0] != "0" or len(written) == 1)
    return cardinal(int(written)) if short else digits(written)


def _names(run: re.Match[str]) -> str:
    """ "2πr" has a letter that is said by name, a Greek word has none."""
    if len(run[0]) > GREEK_SYMBOLS_MAX:
        return run[0]
    return f" {' '.join(GREEK[letter] for letter in run[0])} "

"""Pronunciations that a customer has given for written words, found in a text.

An entry is a written word or phrase, and what is said for it: a spelling, or IPA between slashes.
It is matched as whole words: in any case, unless it has capitals; then exactly as it is written.
The longest one that begins at a place counts, and of equal ones that with capitals. What a rule
reads as one, as an address or a date, is not looked into.
"""

import re
from collections.abc import Mapping

from usage.text.bare import Bare, bare, compatible
from usage.text.ipa import possessive
from usage.text.reading import read
from usage.text.rules import Part

IPA = re.compile(r"/([^/]+)/")

_POSSESSIVE = r"(?P<possessive>'s(?![\w']))?"
_BLANKS = r"(?:[^\S\n]+|[^\S\n]*\n[^\S\n]*)"  # no blank line, which ends a paragraph


def ipa_of(spoken: str) -> str:
    """The IPA of an entry; "" if it is a spelling."""
    match = IPA.fullmatch(spoken)
    return match[1] if match else ""


def said(spelling: str, *, language: str = "en") -> str:
    """A spelling in words: numbers, signs and abbreviations are read as in a text."""
    return " ".join(token.spoken for token in read(bare(spelling), language=language))


def applicable(text: str, entries: Mapping[str, str]) -> dict[str, str]:
    """Those entries that are used in a normalised text."""
    stripped = bare(text)
    return {entry: entries[entry] for _, _, entry, _ in _found(stripped.text, entries)}


def growth(text: str, entries: Mapping[str, str]) -> int:
    """How many characters more are said with the entries than are written."""
    found = _found(bare(text).text, entries)
    return sum(len(entries[entry]) - (end - start) for start, end, entry, _ in found)


def parts(stripped: Bare, entries: Mapping[str, str], *, language: str) -> dict[int, Part]:
    """What is said for the entries in a bare text, by the place where each begins."""
    placed: dict[int, Part] = {}
    for start, end, entry, is_possessive in _found(stripped.text, entries):
        if ipa := ipa_of(entries[entry]):
            # For engines that take no IPA, what would be said without the entry.
            spoken = said(stripped.text[start:end], language=language)
            ipa = possessive(ipa) if is_possessive else ipa
        else:
            spoken = said(entries[entry], language=language) + ("'s" if is_possessive else "")
        if spoken:
            placed[start] = Part(start, end, spoken, ipa)
    return placed


def _found(text: str, entries: Mapping[str, str]) -> list[tuple[int, int, str, bool]]:
    """Range, entry, and whether a possessive "'s" is in the range, in order."""
    if not entries:
        return []
    # At one length those with capitals come first.
    ordered = sorted(entries, key=lambda entry: (-len(entry), entry == entry.lower(), entry))
    choices = "|".join(f"({_pattern(entry)})" for entry in ordered)
    pattern = re.compile(rf"(?<!\w)(?<!\w')(?:{choices})(?!\w){_POSSESSIVE}")
    found = []
    for match in pattern.finditer(text):
        groups = match.groups()
        number = next(n for n, group in enumerate(groups, 1) if group is not None)
        is_possessive = match["possessive"] is not None
        if not is_possessive and re.match(r"'\w", text[match.end() :]):
            continue  # "can" in "can't"
        found.append((match.start(), match.end(), ordered[number - 1], is_possessive))
    return found


def _pattern(entry: str) -> str:
    form = "".join(map(compatible, entry))
    words = _BLANKS.join(re.escape(word) for word in form.split())
    return words if entry != entry.lower() else f"(?i:{words})"

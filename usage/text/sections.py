"""The parts of a long text: its chapters, and how it is cut where it has none.

A chapter begins at a heading of Markdown (`# One`). Without headings the parts are cut where
paragraphs end, else lines, else sentences, else words. All of it follows from the text alone, so
that who prices, speaks, shows and downloads it means the same parts, and nothing need be stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from usage.text.check import MAX_CHARACTERS

PART_CHARACTERS = 3_000  # of a part without heading: some three minutes
TITLE_CHARACTERS_MAX = 120
SECTIONS_MAX = 300  # with more headings the highest ones count, or none
LEVELS = (2, 3, 1)  # down to which headings are chapters: the first with which there are some

_HEADING = re.compile(r"^[ ]{0,3}(#{1,6})[ \t]+(\S[^\n]{0,2000})$", re.M)
_MARKS = re.compile(r"[*_`]{1,3}|[ \t]#+[ \t]*$")
# From the best place to cut a text to the worst. Each match ends where the next part begins.
_ENDS = tuple(map(re.compile, (r"\n\s{0,200}\n\s{0,200}", r"\n", r"[.!?…]\W{0,9}\s+", r"\s")))


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter, or a part of a text without chapters."""

    number: int  # from 1
    start: int  # range in the normalised text
    end: int
    title: str  # "" for a part, or what comes before the first heading


def sections(text: str) -> list[Section]:
    """The parts of a normalised text, in order; together they are all of it. One if it is short."""
    starts = _headings(text)
    if not starts:
        places = [start for start, _ in cut(text, 0, len(text), PART_CHARACTERS)]
        starts = [(place, "") for place in places]
    elif text[: starts[0][0]].strip():
        starts.insert(0, (0, ""))
    else:
        starts[0] = 0, starts[0][1]
    ends = [*(start for start, _ in starts[1:]), len(text)]
    return [
        Section(number, start, end, title)
        for number, ((start, title), end) in enumerate(zip(starts, ends, strict=True), 1)
    ]


def blocks(text: str) -> list[tuple[int, int]]:
    """Ranges of a text that are read one by one, so that reading takes time linear in its length.

    A text of MAX_CHARACTERS is one. A longer one is cut at its sections and within them.
    """
    if len(text) <= MAX_CHARACTERS:
        return [(0, len(text))]
    return [
        block
        for section in sections(text)
        for block in cut(text, section.start, section.end, MAX_CHARACTERS)
    ]


def cut(text: str, start: int, end: int, characters_max: int) -> Iterator[tuple[int, int]]:
    """The range as ranges of at most that many characters, about equally long."""
    while end - start > characters_max:
        count = -(-(end - start) // characters_max)
        wanted = start + (end - start) // count
        place = _place(text, start, wanted, min(start + characters_max, end))
        yield start, place
        start = place
    yield start, end


def _place(text: str, start: int, wanted: int, most: int) -> int:
    """Where to cut: the place of the best kind in the last two thirds, the nearest to `wanted`."""
    first = start + (most - start) // 3
    for end in _ENDS:
        places = [found.end() for found in end.finditer(text, first, most)]
        if places:
            return min(places, key=lambda place: abs(place - wanted))
    return wanted


def _headings(text: str) -> list[tuple[int, str]]:
    """Places and titles of those that begin a chapter; none if it would be one, or too many."""
    found = [
        (match.start(), len(match[1]), _MARKS.sub("", match[2]).strip()[:TITLE_CHARACTERS_MAX])
        for match in _HEADING.finditer(text)
    ]
    for level in LEVELS:
        chosen = _with_text(text, [(at, title) for at, depth, title in found if depth <= level])
        if 2 <= len(chosen) <= SECTIONS_MAX:
            return chosen
    return []


def _with_text(text: str, headings: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those with nothing between them as one: "Book One" and "Chapter 1"."""
    joined: list[tuple[int, str]] = []
    is_bare = False  # nothing follows the one before
    for (place, title), (following, _) in pairwise([*headings, (len(text), "")]):
        line_end = text.find("\n", place, following)
        if is_bare:
            place, former = joined.pop()
            title = f"{former}: {title}"[:TITLE_CHARACTERS_MAX]
        joined.append((place, title))
        is_bare = line_end < 0 or not text[line_end:following].strip()
    return joined

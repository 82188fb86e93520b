"""A search over sections of text: every word must be there, and headings count most.

There are some hundred sections in memory, so looking through all of them takes milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

QUERY_CHARACTERS_MAX = 100
FOUND_MAX = 30
AROUND = 90  # characters of an excerpt on each side of the first word found


@dataclass(frozen=True, slots=True)
class Section:
    document: str  # its title
    heading: str
    url: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    section: Section
    excerpt: SafeString  # with the words marked


def find(query: str, sections: Iterable[Section]) -> list[Found]:
    """The sections that have every word of the query, the best first."""
    words = list(dict.fromkeys(query.casefold().split()))
    if not words:
        return []
    scored = ((_score(section, words), section) for section in sections)
    best = sorted((one for one in scored if one[0]), key=lambda one: -one[0])  # stable
    return [Found(section, _excerpt(section.text, words)) for _, section in best[:FOUND_MAX]]


def _score(section: Section, words: list[str]) -> int:
    """0 if a word is missing. A word of the heading counts like many in the text."""
    heading, title, text = (
        one.casefold() for one in (section.heading, section.document, section.text)
    )
    scores = [
        20 * (word in heading) + 5 * (word in title) + min(5, text.count(word)) for word in words
    ]
    return sum(scores) if all(scores) else 0


def _excerpt(text: str, words: list[str]) -> SafeString:
    pattern = re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)
    first = pattern.search(text)
    middle = first.start() if first else 0
    begin, end = max(0, middle - AROUND), middle + AROUND
    begin = text.find(" ", begin) + 1 if begin else 0
    cut = text[begin:end]
    marked = "".join(
        f"<mark>{escape(part)}</mark>" if n % 2 else escape(part)
        for n, part in enumerate(re.split(f"({pattern.pattern})", cut, flags=re.IGNORECASE))
    )
    return mark_safe(f"{'…' if begin else ''}{marked}{'…' if end < len(text) else ''}")  # noqa: S308

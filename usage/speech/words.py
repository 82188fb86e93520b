"""When each word of a generation is heard: kept in its row, and joined to what was written.

A row keeps four numbers a word, as differences: 5,000 characters, some 800 words, take 8 kB, of
which PostgreSQL stores 3 kB. As JSON with absolute times they took 12 kB there. The written words
themselves are in the row's text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from usage.engines.whole import SpokenWord


@dataclass(frozen=True, slots=True)
class Timed:
    """A part of a text and when it is heard."""

    start: int  # range in the normalised text, in code points
    end: int
    begin_ms: int  # from the begin of the audio
    end_ms: int


def timed(words: Iterable[SpokenWord], duration_seconds: float) -> list[Timed]:
    """The words as engines give them, in whole milliseconds.

    They are monotone and within the audio whatever the engine says. What is said for no character
    of its own (a number too long for one piece) belongs to the word before it.
    """
    found: list[Timed] = []
    last_ms = int(duration_seconds * 1_000)
    heard_ms, begin_ms = 0, None
    for word in words:
        first_ms = min(max(round(word.begin_seconds * 1_000), heard_ms), last_ms)
        heard_ms = min(max(round(word.end_seconds * 1_000), first_ms), last_ms)
        if begin_ms is None:
            begin_ms = first_ms
        if word.end > word.start:
            found.append(Timed(word.start, word.end, begin_ms, heard_ms))
            begin_ms = None
        elif found:
            found[-1] = replace(found[-1], end_ms=heard_ms)
            begin_ms = None
    return found


def packed(words: Iterable[Timed]) -> str:
    """Four numbers a word: characters and milliseconds since the word before, and of the word."""
    numbers: list[int] = []
    end = end_ms = 0
    for word in words:
        numbers += (word.start - end, word.end - word.start)
        numbers += (word.begin_ms - end_ms, word.end_ms - word.begin_ms)
        end, end_ms = word.end, word.end_ms
    return " ".join(map(str, numbers))


def unpacked(stored: str) -> list[Timed]:
    """The words of `packed`. Raises ValueError for anything else."""
    words = []
    end = end_ms = 0
    numbers = map(int, stored.split())
    for gap, length, pause_ms, duration_ms in zip(*[numbers] * 4, strict=True):
        start, begin_ms = end + gap, end_ms + pause_ms
        end, end_ms = start + length, begin_ms + duration_ms
        words.append(Timed(start, end, begin_ms, end_ms))
    return words


def written(text: str, words: Sequence[Timed]) -> list[list[Timed]]:
    """The words as they are written, each as the parts of it that are spoken one by one.

    Parts that touch are one word: "https://", "example", ".", "com". The first and the last part
    include the punctuation attached to the word.
    """
    found: list[list[Timed]] = []
    for word in words:
        if found and found[-1][-1].end == word.start:
            found[-1].append(word)
        else:
            found.append([word])
    if not found:
        return []
    found[0][0] = replace(found[0][0], start=_attached(text, 0, found[0][0].start)[1])
    for former, following in pairwise(found):
        end, start = _attached(text, former[-1].end, following[0].start)
        former[-1] = replace(former[-1], end=end)
        following[0] = replace(following[0], start=start)
    end = _attached(text, found[-1][-1].end, len(text))[0]
    found[-1][-1] = replace(found[-1][-1], end=end)
    return found


def as_objects(text: str, words: Sequence[Timed]) -> list[dict[str, Any]]:
    """The written words, each with its seconds and its range, as JSON shows them."""
    return [
        {
            "word": text[parts[0].start : parts[-1].end],
            "start": parts[0].begin_ms / 1_000,
            "end": parts[-1].end_ms / 1_000,
            "from": parts[0].start,
            "to": parts[-1].end,
        }
        for parts in written(text, words)
    ]


def _attached(text: str, start: int, end: int) -> tuple[int, int]:
    """Of what is written between two words: where the first one's ends and the second one's begins.

    Without a blank between them all belongs to the first one, except opening brackets and quotes.
    """
    gap = text[start:end]
    parts = gap.split()
    if not parts or len(parts[0]) < len(gap):
        left = 0 if not gap or gap[0].isspace() else len(parts[0])
        right = 0 if not gap or gap[-1].isspace() else len(parts[-1])
        return start + left, end - right
    place = end
    while place > start and unicodedata.category(text[place - 1]) in ("Ps", "Pi"):
        place -= 1
    return place, place

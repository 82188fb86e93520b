"""When each character of a text is heard, made of the times of its words.

Within a word time is spread evenly over its characters; so is the time between two words over what
is written between them, blanks and punctuation. The text is the one that was sent: what we speak is
its normalised form, of which one character may stand for several that were sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from usage import text as texts
from usage.engines import Spoken
from usage.engines.whole import SpokenWord
from usage.speech.words import Timed, timed

Times = list[tuple[int, int]]  # begin and end of each character, in milliseconds


def times(words: Iterable[Timed], start: int, end: int, *, begin_ms: int, end_ms: int) -> Times:
    """The times of the characters from `start` to `end`, whose sound is from begin to end.

    `words` are those in between, in order. The times are monotone.
    """
    found: Times = []
    at, at_ms = start, begin_ms
    for word in words:
        first, last = max(at, min(word.start, end)), min(word.end, end)
        _spread(found, first - at, at_ms, word.begin_ms)
        _spread(found, last - first, word.begin_ms, word.end_ms)
        at, at_ms = max(first, last), word.end_ms
    _spread(found, end - at, at_ms, end_ms)
    return found


def of_piece(spoken: Spoken, sample_rate: int, start: int, end: int, at_ms: int = 0) -> Times:
    """The times of the characters from `start` to `end` of the text, which a piece is of. The piece
    begins at `at_ms`.
    """
    duration_seconds = len(spoken.samples) / 2 / sample_rate
    words = [
        SpokenWord(word.start, word.end, first, last)
        for word, (first, last) in zip(spoken.piece.words, spoken.times, strict=True)
    ]
    duration_ms = int(duration_seconds * 1_000)
    found = times(timed(words, duration_seconds), start, end, begin_ms=0, end_ms=duration_ms)
    return [(begin + at_ms, last + at_ms) for begin, last in found]


class Sent:
    """A text as it was sent, beside its normalised form."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.normalised = texts.normalise(text)
        self._starts = None if text == self.normalised else _starts(text, self.normalised)

    def at(self, place: int) -> int:
        """The place in the text as sent of a place in the normalised one."""
        return place if self._starts is None else self._starts[place]

    def part(self, start: int, end: int) -> str:
        """What was sent for that range of the normalised text."""
        return self.text[self.at(start) : self.at(end)]

    def times(self, found: Times, start: int) -> Times:
        """Times of the normalised text from `start` on, as those of what was sent."""
        if self._starts is None:
            return found
        sent: Times = []
        for place, (begin, end) in enumerate(found, start):
            _spread(sent, self.at(place + 1) - self.at(place), begin, end)
        return sent


def in_seconds(characters: str, found: Times) -> dict[str, Any]:
    """As the answers over HTTP have it."""
    return {
        "characters": list(characters),
        "character_start_times_seconds": [begin / 1_000 for begin, _ in found],
        "character_end_times_seconds": [end / 1_000 for _, end in found],
    }


def in_milliseconds(characters: str, found: Times) -> dict[str, Any]:
    """As the messages of sockets have it; the durations under both names that clients know."""
    durations = [end - begin for begin, end in found]
    return {
        "chars": list(characters),
        "charStartTimesMs": [begin for begin, _ in found],
        "charDurationsMs": durations,
        "charsDurationsMs": durations,
    }


def _spread(found: Times, count: int, begin_ms: int, end_ms: int) -> None:
    """Add `count` characters from begin to end, after the last one."""
    begin_ms = max(begin_ms, found[-1][1] if found else 0)
    length_ms = max(0, end_ms - begin_ms)
    for number in range(count):
        found.append(
            (
                begin_ms + length_ms * number // count,
                begin_ms + length_ms * (number + 1) // count,
            )
        )


def _starts(sent: str, normalised: str) -> Sequence[int]:
    """Where in the text as sent each character of the normalised text begins; its length last.

    What normalises together (a letter and its accents, CR and LF) is one cluster. Its characters
    begin where it does, and end with it.
    """
    starts: list[int] = []
    cluster = ""
    for place, character in enumerate(sent + "\0"):
        longer = cluster + character
        is_one = cluster and len(_form(longer)) < len(_form(cluster)) + len(_form(character))
        if cluster and not is_one:
            size = len(_form(cluster))
            starts += [place - len(cluster)] * size
            cluster = character
        else:
            cluster = longer
    if len(starts) != len(normalised):  # clusters of a kind that is not known here
        starts = [len(sent) * place // len(normalised) for place in range(len(normalised))]
    return [*starts, len(sent)]


def _form(text: str) -> str:
    return texts.normalise(text)

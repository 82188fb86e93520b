"""The parts of a text as its customer sees and hears them, while it is made and afterwards: its
chapters, or parts of some minutes where it has none (`usage.text.sections`).

When each begins follows from when its first word is heard. So nothing is stored for them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from usage import audio as sound
from usage.models import Generation, LongSpeech
from usage.text import MAX_CHARACTERS
from usage.text.sections import Section, sections

from . import audio, encoded, parts, words
from .problems import AudioLost

MADE, NOW, WAITS = "made", "now", "waits"
LEAD_MS = 60  # of silence before the first word of a part, if there is so much


@dataclass(frozen=True, slots=True)
class Part:
    """One part. It is heard from `begin_ms` to `end_ms` of the whole, once it is made."""

    number: int  # from 1
    name: str
    end: int  # in the text
    state: str  # MADE, NOW or WAITS
    begin_ms: int = 0
    end_ms: int = 0

    @property
    def begin_seconds(self) -> float:
        return self.begin_ms / 1_000

    @property
    def seconds(self) -> float:
        return (self.end_ms - self.begin_ms) / 1_000

    @property
    def is_made(self) -> bool:
        return self.state == MADE


def of(generation: Generation) -> list[Part]:
    """The parts; none of a text that is one, has failed, or is done without times of its words.

    Of a text that was stopped, those that were reached. Parts without a sound are left out.
    """
    found = _sections(generation)
    if not found:
        return []
    if generation.is_with_worker:
        row = LongSpeech.objects.get(pk=generation.pk)
        return _of_pending(found, row)
    if generation.state != Generation.State.DONE or not generation.words:
        return []
    reached = generation.characters_reached
    times = words.unpacked(generation.words)
    total_ms = round(1_000 * (generation.duration_seconds or 0))
    cuts = _cuts(found, times, total_ms)
    return [
        Part(each.number, _name(each, found), each.end, MADE, begin_ms, end_ms)
        for each, (begin_ms, end_ms) in zip(found, pairwise(cuts), strict=True)
        if each.start < reached and begin_ms < end_ms
    ]


def part(generation: Generation, number: int) -> Part | None:
    """That part, if it is made."""
    return next((one for one in of(generation) if one.number == number and one.is_made), None)


def encode(generation: Generation, wanted: Part, name: str) -> Iterator[bytes]:
    """That part in the format of that name, encoded while it is taken.

    Raises AudioLost and AudioUnreachable.
    """
    if generation.is_with_worker:
        rate, samples = _of_row(LongSpeech.objects.get(pk=generation.pk), wanted)
    else:
        rate, samples = _of_file(generation, wanted)
    bit_rate = encoded.BIT_RATE if sound.FORMATS[name].bit_rates else None
    count = _sample(wanted.end_ms, rate) - _sample(wanted.begin_ms, rate)
    stream = sound.encoder(name, sample_rate=rate, bit_rate=bit_rate, samples=count)
    with closing(stream):
        for each in samples:
            yield stream.feed(each)
        yield stream.finish()


def _sections(generation: Generation) -> list[Section]:
    found = sections(generation.text) if generation.may_have_parts else []
    is_shown = len(found) > 1 and (
        generation.characters > MAX_CHARACTERS or any(each.title for each in found)
    )
    return found if is_shown else []


def _of_pending(found: list[Section], row: LongSpeech) -> list[Part]:
    spoken = parts.of(row)
    rate = spoken[0].rate if spoken else 1
    times = list(parts.times(spoken))
    cuts = _cuts(found, times, 1_000 * sum(each.samples for each in spoken) // rate)
    shown = []
    for each, (begin_ms, end_ms) in zip(found, pairwise(cuts), strict=True):
        state = WAITS if each.start > row.characters_spoken else NOW
        if each.end <= row.characters_spoken:
            state = MADE
        shown.append(Part(each.number, _name(each, found), each.end, state, begin_ms, end_ms))
    return [one for one in shown if not one.is_made or one.begin_ms < one.end_ms]


def _cuts(found: list[Section], times: list[words.Timed], total_ms: int) -> list[int]:
    """Where parts begin in the audio, and its end: shortly before the first word of each."""
    starts = [word.start for word in times]
    cuts = [0]
    for section in found[1:]:
        at = bisect_left(starts, section.start)
        if at == len(times):
            cuts.append(total_ms)
        else:
            before_ms = times[at - 1].end_ms if at else 0
            cuts.append(max(before_ms, times[at].begin_ms - LEAD_MS))
    return [*cuts, total_ms]


def _name(section: Section, found: list[Section]) -> str:
    if section.title:
        return section.title
    return "Opening" if any(each.title for each in found) else f"Part {section.number}"


def _sample(milliseconds: int, rate: int) -> int:
    return milliseconds * rate // 1_000


def _of_row(row: LongSpeech, wanted: Part) -> tuple[int, Iterator[bytes]]:
    spoken = parts.of(row)
    if not spoken:
        raise AudioLost
    rate = spoken[0].rate

    def samples() -> Iterator[bytes]:
        first, last = _sample(wanted.begin_ms, rate), _sample(wanted.end_ms, rate)
        at = 0
        for each in spoken:
            if at < last and at + each.samples > first:
                data = audio.read_part(each.name)[1]
                yield data[2 * max(0, first - at) : 2 * (last - at)]
            at += each.samples

    return rate, samples()


def _of_file(generation: Generation, wanted: Part) -> tuple[int, Iterator[bytes]]:
    reader = audio.open_samples(generation)
    rate = reader.sample_rate
    first = _sample(wanted.begin_ms, rate)
    count = min(_sample(wanted.end_ms, rate), reader.samples) - first

    def samples() -> Iterator[bytes]:
        with reader:
            yield from reader.part(first, count)

    return rate, samples()


Open = Callable[[], Iterator[bytes]]


def files(generation: Generation, name: str) -> Iterator[tuple[str, Open]]:
    """All parts that are made, for an archive: what each is called, and what opens it."""
    for one in of(generation):
        if one.is_made:
            yield f"{one.number:02} {one.name}", partial(encode, generation, one, name)

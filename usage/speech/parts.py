"""The parts of a long text: what is spoken of it, some pieces each, while a worker holds its row.

The row (`LongSpeech`) lists the parts; each is one stored file of up to a minute or so. Who writes
a file notes its name in the row first, so that what a killed worker leaves is found and deleted by
the next one. Every write of the row says under which lease it is made. A worker that has lost its
lease gets Lost, and stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from billing import ledger
from billing.live.wake import wake
from jobs import queue
from usage.engines import PIECE_SECONDS, Spoken, whole
from usage.engines.whole import SpokenWord
from usage.models import Generation, LongSpeech
from usage.text import MAX_CHARACTERS
from usage.text.pieces import Piece

from . import audio, words
from .problems import AudioLost, AudioUnreachable, SpeechFailed

# A piece waits for a helper and is tried twice, each for at most PIECE_SECONDS; then it is stored.
LEASE_SECONDS = 3 * PIECE_SECONDS + 30
STORED_SECONDS_A_SECOND = 20  # of audio, at least, by a storage that is far away
LEFT_OUT_SHARE = 1 / 20  # of a text that may be missing where it cannot be spoken


class Lost(Exception):
    """The row is another worker's by now, or there is nothing to speak for it any more."""


class Part(NamedTuple):
    """Some pieces, spoken and stored."""

    name: str  # of its file
    samples: int
    words: str  # as `words.packed` has them, with times from the begin of the part
    rate: int  # of the samples, in Hz


@dataclass(frozen=True, slots=True)
class Joined:
    """All parts as one stored file."""

    name: str
    duration_seconds: float
    words: tuple[SpokenWord, ...]


def spoken_until(todo: Sequence[Piece], characters: int, count: int) -> int:
    """How many of the characters the first pieces make up, with the blanks up to the next one."""
    if count < len(todo):
        return todo[count].start if count else 0
    return characters


def of(row: LongSpeech) -> list[Part]:
    return [Part(*each) for each in row.parts]


def add(
    row: LongSpeech,
    generation: Generation,
    spoken: Sequence[Spoken],
    *,
    rate: int,
    end: int,
    now: datetime,
) -> None:
    """Store these pieces as one part, and count them. `end`: how many characters are spoken then.

    Raises Lost, SpeechFailed, and a permanent EngineFailed if there is too much audio.
    """
    speech = whole.joined(rate, spoken)
    samples = len(speech.samples) // 2
    whole.check_length(
        (sum(part.samples for part in of(row)) + samples) / rate,
        characters=generation.characters_reached,
    )
    name = audio.name_in(generation, row.lease or "", row.pieces_spoken)
    keep(row, now)
    write(row, storing=name)
    stored = row.storing = audio.store(generation, speech, name)
    counted = {
        "parts": [*row.parts, Part(stored, samples, words.packed(_timed(speech.words)), rate)],
        "pieces_spoken": row.pieces_spoken + len(spoken),
        "characters_spoken": end,
    }
    if not _ours(row).update(storing="", **counted):
        audio.remove(stored)
        raise Lost
    for column, value in counted.items():
        setattr(row, column, value)
    wake(ledger.wallet_of(generation.customer_id).id)


def leave_out(row: LongSpeech, generation: Generation, *, end: int) -> bool:
    """Go on behind the next piece, which cannot be spoken: up to `end` nothing is charged.

    Returns False if it is to be spoken or nothing: of a text that a request could speak, and where
    more than LEFT_OUT_SHARE of the text would be missing. Raises Lost.
    """
    missing = [*row.left_out, [row.characters_spoken, end]]
    count = sum(last - first for first, last in missing)
    if (
        generation.is_making_again
        or generation.characters <= MAX_CHARACTERS
        or count > generation.characters * LEFT_OUT_SHARE
    ):
        return False
    write(row, left_out=missing, pieces_spoken=row.pieces_spoken + 1, characters_spoken=end)
    wake(ledger.wallet_of(generation.customer_id).id)
    return True


def join(
    row: LongSpeech, generation: Generation, name: str, clock: Callable[[], datetime]
) -> Joined:
    """Store all parts as one file. One part is in memory at a time.

    Raises Lost and SpeechFailed. If a part is lost, all are forgotten, to be made again.
    """
    found = of(row)
    rate = found[0].rate

    def samples() -> Iterator[bytes]:
        for part in found:
            keep(row, clock())
            yield _read(row, part)
        audio_seconds = sum(part.samples for part in found) / rate
        more_seconds = int(audio_seconds / STORED_SECONDS_A_SECOND)
        seconds = min(LEASE_SECONDS + more_seconds, queue.LEASE_MAX_SECONDS)
        keep(row, clock(), seconds=seconds)

    write(row, storing=name)
    row.storing, count = audio.store_pieces(samples(), rate, name)
    spoken = tuple(
        SpokenWord(each.start, each.end, each.begin_ms / 1_000, each.end_ms / 1_000)
        for each in times(found)
    )
    return Joined(row.storing, count / rate, spoken)


def times(found: Sequence[Part]) -> Iterator[words.Timed]:
    """The words of all parts, with times from the begin of the first one."""
    at = 0
    for part in found:
        ms = round(1_000 * at / part.rate)
        for word in words.unpacked(part.words):
            yield replace(word, begin_ms=ms + word.begin_ms, end_ms=ms + word.end_ms)
        at += part.samples


def _timed(spoken: Iterable[SpokenWord]) -> Iterator[words.Timed]:
    for word in spoken:
        begin_ms, end_ms = round(word.begin_seconds * 1_000), round(word.end_seconds * 1_000)
        yield words.Timed(word.start, word.end, begin_ms, end_ms)


def _read(row: LongSpeech, part: Part) -> bytes:
    """The samples of a part. Raises as `join` does."""
    try:
        rate, data = audio.read_part(part.name)
        if (rate, len(data) // 2) != (part.rate, part.samples):
            raise AudioLost
    except AudioUnreachable as error:
        raise SpeechFailed(str(error)) from error
    except AudioLost as error:
        forget(row)
        raise SpeechFailed("A part of the audio was lost.") from error
    return data


def forget(row: LongSpeech) -> None:
    """Delete all parts, and what was left half written. Raises Lost, and OSError."""
    row.refresh_from_db(fields=["parts", "storing"])
    for part in of(row):
        audio.remove(part.name)
    discard(row)
    write(row, parts=[], left_out=[], pieces_spoken=0, characters_spoken=0)


def discard(row: LongSpeech) -> None:
    """Delete the file that somebody before us was writing when they were killed. Raises Lost."""
    if row.storing:
        audio.remove(row.storing)
        write(row, storing="")


def keep(row: LongSpeech, now: datetime, *, seconds: int = LEASE_SECONDS) -> None:
    """Hold the row for so long from now. Raises Lost."""
    if not queue.extend(row, seconds=seconds, now=now):
        raise Lost


def write(row: LongSpeech, **columns: Any) -> None:
    """Set columns of the row, which this worker holds. Raises Lost."""
    if not _ours(row).update(**columns):
        raise Lost
    for column, value in columns.items():
        setattr(row, column, value)


def _ours(row: LongSpeech) -> Any:
    return LongSpeech.objects.filter(pk=row.pk, lease=row.lease)

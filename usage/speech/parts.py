"""The parts of a long text: what is spoken of it, piece by piece, while a worker holds its row.

The row (`LongSpeech`) lists the parts; each is one stored file. Who writes a file notes its name in
the row first, so that what a killed worker leaves is found and deleted by the next one. Every write
of the row says under which lease it is made. A worker that has lost its lease gets Lost, and stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from billing import ledger
from billing.live.wake import wake
from jobs import queue
from usage.engines import PIECE_SECONDS, Spoken
from usage.engines.whole import Speech, SpokenWord, check_length
from usage.models import Generation, LongSpeech
from usage.text.pieces import Piece

from . import audio
from .problems import AudioLost, AudioUnreachable, SpeechFailed

# A piece waits for a helper and is tried twice, each for at most PIECE_SECONDS; then it is stored.
LEASE_SECONDS = 3 * PIECE_SECONDS + 30


class Lost(Exception):
    """The row is another worker's by now, or there is nothing to speak for it any more."""


class Part(NamedTuple):
    """One piece, spoken and stored."""

    name: str  # of its file
    samples: int
    words: list[list[int]]  # range in the text, and begin and end in the part in milliseconds


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
    spoken: Spoken,
    *,
    rate: int,
    end: int,
    now: datetime,
) -> None:
    """Store a piece and count it. `end`: how many characters are spoken with it.

    Raises Lost, SpeechFailed, and a permanent EngineFailed if there is too much audio.
    """
    samples = len(spoken.samples) // 2
    check_length((sum(part.samples for part in of(row)) + samples) / rate)
    name = audio.name_in(generation, row.lease or "", row.pieces_spoken)
    speech = Speech(spoken.samples, rate, ())
    if not queue.extend(row, seconds=LEASE_SECONDS, now=now):
        raise Lost
    stored = store(row, generation, speech, name)
    words = [
        [word.start, word.end, round(begin * 1_000), round(last * 1_000)]
        for word, (begin, last) in zip(spoken.piece.words, spoken.times, strict=True)
    ]
    counted = {
        "parts": [*row.parts, Part(stored, samples, words)],
        "pieces_spoken": row.pieces_spoken + 1,
        "characters_spoken": end,
    }
    if not _ours(row).update(storing="", **counted):
        audio.remove(stored)
        raise Lost
    for column, value in counted.items():
        setattr(row, column, value)
    wake(ledger.wallet_of(generation.customer_id).id)


def store(row: LongSpeech, generation: Generation, speech: Speech, name: str) -> str:
    """Store a file that the row knows before it exists. Raises Lost and SpeechFailed."""
    write(row, storing=name)
    row.storing = audio.store(generation, speech, name)
    return row.storing


def joined(row: LongSpeech) -> Speech:
    """All parts as one.

    Raises SpeechFailed. If a part is lost, all are forgotten, to be made again.
    """
    samples, rate = bytearray(), 0
    words = []
    for part in of(row):
        try:
            rate, data = audio.read_part(part.name)
            if len(data) // 2 != part.samples:
                raise AudioLost
        except AudioUnreachable as error:
            raise SpeechFailed(str(error)) from error
        except AudioLost as error:
            forget(row)
            raise SpeechFailed("A part of the audio was lost.") from error
        at = len(samples) / 2 / rate
        words += [
            SpokenWord(start, end, at + begin / 1_000, at + last / 1_000)
            for start, end, begin, last in part.words
        ]
        samples += data
    return Speech(bytes(samples), rate, tuple(words))


def forget(row: LongSpeech) -> None:
    """Delete all parts, and what was left half written. Raises Lost, and OSError."""
    row.refresh_from_db(fields=["parts", "storing"])
    for part in of(row):
        audio.remove(part.name)
    discard(row)
    write(row, parts=[], pieces_spoken=0, characters_spoken=0)


def discard(row: LongSpeech) -> None:
    """Delete the file that somebody before us was writing when they were killed. Raises Lost."""
    if row.storing:
        audio.remove(row.storing)
        write(row, storing="")


def write(row: LongSpeech, **columns: Any) -> None:
    """Set columns of the row, which this worker holds. Raises Lost."""
    if not _ours(row).update(**columns):
        raise Lost
    for column, value in columns.items():
        setattr(row, column, value)


def _ours(row: LongSpeech) -> Any:
    return LongSpeech.objects.filter(pk=row.pk, lease=row.lease)

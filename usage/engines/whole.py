"""Speak a whole text, for callers that wait for all of it, or take it piece by piece."""

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from usage.engines import PIECE_SECONDS, WAV, Engine, EngineFailed, NothingToSpeak, Settings, Spoken
from usage.text import MAX_CHARACTERS
from usage.text.pieces import LINE_PAUSE, PARAGRAPH_PAUSE, PAUSES, Piece, pieces
from usage.text.sections import blocks

# Bounds the memory of a request: 86 MB of samples at 24 kHz. MAX_CHARACTERS of prose take 5
# minutes, 20 at the slowest speed; only text that is spelled out takes longer. A longer text may
# take as much more as it is longer: its samples are never in memory together.
AUDIO_SECONDS_MAX = 30 * 60


@dataclass(frozen=True, slots=True)
class SpokenWord:
    start: int  # range in the text
    end: int
    begin_seconds: float  # from the begin of the audio
    end_seconds: float


@dataclass(frozen=True, slots=True)
class Speech:
    samples: bytes  # signed 16 bit, little-endian, mono
    sample_rate: int
    words: tuple[SpokenWord, ...]

    @property
    def duration_seconds(self) -> float:
        return len(self.samples) / 2 / self.sample_rate

    @property
    def audio(self) -> bytes:
        """A complete file of `content_type`."""
        return _wav_header(len(self.samples), self.sample_rate) + self.samples

    @property
    def content_type(self) -> str:
        return WAV


def speak_whole(
    engine: Engine,
    text: str,
    *,
    settings: Settings,
    speed: float = 1.0,
    paragraph_pause_seconds: float | None = None,
    pronunciations: Mapping[str, str] = MappingProxyType({}),
    deadline_seconds: float = 60,
    language: str = "en",
    heard: Callable[[bytes], object] | None = None,
) -> Speech:
    """All of the text. `heard` gets the samples of each piece as soon as they are there.

    A paragraph ends with a pause that follows the speed, or lasts `paragraph_pause_seconds` at any
    speed. `pronunciations` are written words and what is said for them.

    Raises NothingToSpeak, or EngineFailed: permanent for too much audio, not permanent if the
    deadline is over.
    """
    todo = pieces_for(
        engine,
        text,
        speed=speed,
        paragraph_pause_seconds=paragraph_pause_seconds,
        pronunciations=pronunciations,
        language=language,
    )
    pieces = speak_pieces(
        engine, todo, settings=settings, speed=speed, deadline_seconds=deadline_seconds
    )
    return joined(engine.sample_rate, pieces, heard=heard)


def joined(
    sample_rate: int, pieces: Iterable[Spoken], *, heard: Callable[[bytes], object] | None = None
) -> Speech:
    """Pieces as one. `heard` gets the samples of each as soon as they are there."""
    samples = bytearray()
    words: list[SpokenWord] = []
    for spoken in pieces:
        begin = len(samples) / 2 / sample_rate
        words += [
            SpokenWord(word.start, word.end, begin + first, begin + last)
            for word, (first, last) in zip(spoken.piece.words, spoken.times, strict=True)
        ]
        samples += spoken.samples
        if heard:
            heard(spoken.samples)
    return Speech(bytes(samples), sample_rate, tuple(words))


def pieces_for(
    engine: Engine,
    text: str,
    *,
    speed: float = 1.0,
    paragraph_pause_seconds: float | None = None,
    pronunciations: Mapping[str, str] = MappingProxyType({}),
    language: str = "en",
) -> list[Piece]:
    """The pieces that this engine is to speak at that speed; see `speak_whole`.

    Raises NothingToSpeak.
    """
    # An engine shortens the pauses of pieces as it shortens their words.
    pause = PARAGRAPH_PAUSE if paragraph_pause_seconds is None else paragraph_pause_seconds * speed
    todo: list[Piece] = []
    for start, end in blocks(text):
        found = pieces(
            text[start:end],
            language=language,
            characters_max=engine.characters_max,
            first_characters_max=None if todo else engine.first_characters_max,
            paragraph_pause_seconds=pause,
            pronunciations=pronunciations,
        )
        todo += (_moved(piece, start) for piece in found)
        if found and text[end:].strip():  # it is not the end of the text
            todo[-1] = replace(todo[-1], pause_seconds=_pause_after(text[start:end], pause))
    if not todo:
        raise NothingToSpeak("There is nothing to speak in this text.")
    return todo


def _moved(piece: Piece, by: int) -> Piece:
    """The piece of a text that stands so many characters further on."""
    words = tuple(replace(each, start=each.start + by, end=each.end + by) for each in piece.words)
    return replace(piece, start=piece.start + by, end=piece.end + by, words=words)


def _pause_after(block: str, paragraph_pause_seconds: float) -> float:
    """The pause after a block that the text goes on behind."""
    written = block.rstrip()
    blanks = block[len(written) :]
    if blanks.count("\n") > 1:
        return paragraph_pause_seconds
    ends = "\n" in blanks or any(sign in written[-3:] for sign in ".!?…")
    return LINE_PAUSE if ends else PAUSES[""]


def check_length(seconds: float, *, characters: int = 0) -> None:
    """Raises a permanent EngineFailed if a text of so many characters makes too much audio."""
    longest = AUDIO_SECONDS_MAX * max(1.0, characters / MAX_CHARACTERS)
    if seconds > longest:
        raise EngineFailed(
            f"The text makes more than {longest / 60:.0f} minutes of audio. Shorten it.",
            permanent=True,
        )


def speak_pieces(
    engine: Engine,
    todo: Sequence[Piece],
    *,
    settings: Settings,
    speed: float = 1.0,
    deadline_seconds: float = 60,
) -> Iterator[Spoken]:
    """Each piece, as long as there is time for the next. Raises EngineFailed as `speak_whole` does.

    A piece takes at most three times its `piece_seconds`: it waits for a helper and is tried twice.
    With little time left a healthy helper would be taken for a frozen one and killed, so the last
    fifth is not begun.
    """
    deadline = time.monotonic() + deadline_seconds
    seconds = 0.0
    for piece in todo:
        left = deadline - time.monotonic()
        if left < deadline_seconds / 5:
            raise EngineFailed("Speaking this text takes too long. Shorten it, or try again.")
        for spoken in engine.speak(
            [piece],
            settings=settings,
            speed=speed,
            piece_seconds=min(PIECE_SECONDS, left / 3),
        ):
            seconds += len(spoken.samples) / 2 / engine.sample_rate
            check_length(seconds)
            yield spoken


def _wav_header(size: int, sample_rate: int) -> bytes:
    # PCM, one channel, 16 bit.
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + size)
        + b"WAVEfmt "
        + fmt
        + b"data"
        + struct.pack("<I", size)
    )

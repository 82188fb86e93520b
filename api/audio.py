"""Speech as an answer: encoded and sent piece by piece, while the rest is made.

Only an async generator streams under ASGI; a synchronous one would be collected whole before the
first byte. The view itself is synchronous: it authenticates, reserves, and waits for the first
piece, so that whatever fails before the first byte is answered as an error.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import BinaryIO

from django.http import StreamingHttpResponse

from billing import ledger
from usage import audio
from usage.audio import formats
from usage.models import Generation
from usage.speech import audio as stored_audio
from usage.speech.stream import Stream

from .failures import Failure

logger = logging.getLogger(__name__)

PIECES_AT_ONCE = 16  # of stored audio, that are encoded: half a megabyte
FILE_BYTES = 64 * 1024
# Of the first piece: the client hears this while the rest of the piece is encoded.
FIRST_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Output:
    """The form that audio is asked for in. `rate` in Hz, `bit_rate` in kbit/s; None: as usual."""

    name: str  # of `usage.audio.FORMATS`
    rate: int | None = None
    bit_rate: int | None = None

    @classmethod
    def of(cls, name: str, rate: int | None, bit_rate: int | None) -> Output:
        """The form, checked. Raises FormatRefused, in words."""
        offered = audio.offered()
        if name not in offered:
            raise audio.FormatRefused(
                f"There is no format {name!r} here. Choose one of {', '.join(offered)}."
            )
        formats.check(name, rate, bit_rate)
        return cls(name, rate, bit_rate)

    @property
    def content_type(self) -> str:
        return audio.FORMATS[self.name].content_type

    def __str__(self) -> str:
        """As it belongs to what an idempotency key was used for."""
        return f"{self.name}-{self.rate or ''}-{self.bit_rate or ''}"

    def encoder(
        self, generation: Generation, sample_rate: int, samples: int | None = None
    ) -> audio.Encoder:
        """Of the same sound of a generation it makes the same bytes, whenever it is asked for.

        `samples`: how many they are, where that is known and the header is to say it.
        """
        return audio.encoder(
            self.name,
            sample_rate=sample_rate,
            rate=self.rate,
            bit_rate=self.bit_rate,
            streamed=samples is None,
            samples=samples,
            serial=generation.id.fields[0],
        )


def response(
    spoken: Stream | Generation, output: Output, headers: Mapping[str, str]
) -> StreamingHttpResponse:
    """The audio of a text that is being made, or of one that was made before.

    Raises what `content` raises.
    """
    return streamed(spoken, content(spoken, output), output.content_type, headers)


def content(spoken: Stream | Generation, output: Output) -> AsyncGenerator[bytes, None]:
    """The encoded audio of a text that is being made, or of one that was made before.

    Raises Failure if it cannot be encoded, with the credits back, and AudioLost and
    AudioUnreachable.
    """
    if isinstance(spoken, Stream):
        return encoded(spoken, stream_encoder(spoken, output))
    samples = stored_audio.open_whole(spoken)
    return replayed(samples, _encoder(spoken, samples.sample_rate, output))


def stored(generation: Generation, output: Output) -> StreamingHttpResponse:
    """The stored audio for itself: the very file where that is what is asked for, else with its
    length in the header where a format has it.

    Raises what `content` raises.
    """
    samples = stored_audio.open_whole(generation)
    is_file = output.content_type == generation.content_type
    if is_file and output.rate in (None, samples.sample_rate):
        with samples:
            content = _file(stored_audio.open_audio(generation))
    else:
        rate, count = samples.sample_rate, samples.samples
        content = replayed(samples, _encoder(generation, rate, output, samples=count))
    return streamed(generation, content, output.content_type, {})


def streamed(
    spoken: Stream | Generation,
    content: AsyncGenerator[bytes, None],
    content_type: str,
    headers: Mapping[str, str],
) -> StreamingHttpResponse:
    """An answer that is sent as it is made: nobody on the way keeps it until it is whole."""
    answer = StreamingHttpResponse(content, content_type=content_type)
    answer["Cache-Control"] = "no-store"
    answer["X-Accel-Buffering"] = "no"  # or nginx delays the first bytes until a buffer is full
    for name, value in headers.items():
        answer[name] = value
    if isinstance(spoken, Stream):
        # Its client may leave before the answer begins: then nobody ever asks for a piece.
        weakref.finalize(answer, spoken.leave).atexit = False
    return answer


def cost_headers(spoken: Stream | Generation, now: datetime) -> dict[str, str]:
    """What it costs, and what is left: the price reserved, or nothing for what was paid before."""
    generation = spoken.generation if isinstance(spoken, Stream) else spoken
    is_replayed = isinstance(spoken, Generation)
    credits = "0" if is_replayed else str(generation.credits)
    headers = {
        "Vocalis-Generation": str(generation.id),
        "Vocalis-Credits": credits,
        "character-cost": credits,  # as ElevenLabs calls it
        "Vocalis-Available": str(
            ledger.spendable(customer_id=generation.customer_id, now=now).usable
        ),
    }
    return headers | ({"Idempotent-Replayed": "true"} if is_replayed else {})


def stream_encoder(stream: Stream, output: Output) -> audio.Encoder:
    """An encoder for a stream. Raises Failure, with the stream's credits back."""
    try:
        return _encoder(stream.generation, stream.sample_rate, output)
    except Failure:
        stream.settle()
        raise


def _encoder(
    generation: Generation, sample_rate: int, output: Output, *, samples: int | None = None
) -> audio.Encoder:
    try:
        return output.encoder(generation, sample_rate, samples)
    except audio.FormatRefused as error:
        message = str(error)
        raise Failure(422, "unknown_format", message, errors={"format": [message]}) from error
    except OSError as error:
        logger.exception("no encoder for %s", output)
        message = "The audio cannot be encoded just now. Nothing was charged."
        raise Failure(503, "speech_failed", message, retry_after_seconds=5) from error


async def encoded(stream: Stream, encoder: audio.Encoder) -> AsyncGenerator[bytes, None]:
    """The audio of a stream, by an encoder that is closed. Before its end all of it is charged."""
    try:
        first = 2 * int(stream.sample_rate * FIRST_SECONDS)
        async with stream.delivered() as pieces:
            async for piece in pieces:
                parts = (
                    (piece.samples[:first], piece.samples[first:]) if first else (piece.samples,)
                )
                for samples in parts:
                    if data := await asyncio.to_thread(encoder.feed, samples):
                        yield data
                        stream.sent()
                first = 0
        if data := await asyncio.to_thread(encoder.finish):
            yield data
    finally:
        encoder.close()


async def replayed(samples: audio.Reader, encoder: audio.Encoder) -> AsyncGenerator[bytes, None]:
    """Stored samples, by an encoder; both are closed. Little of them is in memory at a time."""
    pieces = samples.part(0, samples.samples)
    try:
        with samples:
            while part := await asyncio.to_thread(_next, pieces):
                if data := await asyncio.to_thread(encoder.feed, part):
                    yield data
        if data := await asyncio.to_thread(encoder.finish):
            yield data
    finally:
        encoder.close()


def _next(pieces: Iterator[bytes]) -> bytes:
    return b"".join(islice(pieces, PIECES_AT_ONCE))


async def _file(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    with file:
        while data := await asyncio.to_thread(file.read, FILE_BYTES):
            yield data

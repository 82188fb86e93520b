"""Speech: `/v1/text-to-speech/{voice}`, whole or while it is made, with and without timestamps."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponseBase

from api import audio as answers
from api.access import ApiRequest, endpoint, key_of
from api.audio import Output
from api.failures import Failure
from usage import text as texts
from usage.audio import Encoder
from usage.models import Generation
from usage.speech import stream, words
from usage.speech.asked import Asked
from usage.speech.stream import Stream
from usage.text import MAX_CHARACTERS

from . import alignment, bodies, errors, formats, voices
from .alignment import Sent

# Of what is put into base64 at once: a multiple of three, so that the parts can be joined.
PART_BYTES = 192 * 1024
JSON, LINES = "application/json", "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for, begun."""

    sent: str
    output: Output
    spoken: Stream | Generation

    @property
    def generation(self) -> Generation:
        return self.spoken.generation if isinstance(self.spoken, Stream) else self.spoken


@endpoint(errors.answer, "speech", "POST")
def speak(request: ApiRequest, voice_id: str) -> HttpResponseBase:
    """`convert` and `stream` alike: the audio, sent while it is made."""
    wanted = begin(request, voice_id)
    return answers.response(wanted.spoken, wanted.output, headers(request, wanted.spoken))


@endpoint(errors.answer, "speech", "POST")
def with_timestamps(request: ApiRequest, voice_id: str) -> HttpResponseBase:
    """The whole audio with the times of all characters, as one JSON object."""
    wanted = begin(request, voice_id, "timestamps")
    cost = headers(request, wanted.spoken)
    data = asyncio.run(_whole(answers.content(wanted.spoken, wanted.output)))
    return answers.streamed(wanted.spoken, _joined(data, _aligned(wanted)), JSON, cost)


@endpoint(errors.answer, "speech", "POST")
def stream_with_timestamps(request: ApiRequest, voice_id: str) -> HttpResponseBase:
    """A JSON object a line for each piece, sent while the next one is made."""
    wanted = begin(request, voice_id, "timestamps")
    cost = headers(request, wanted.spoken)
    if isinstance(wanted.spoken, Stream):
        encoder = answers.stream_encoder(wanted.spoken, wanted.output)
        return answers.streamed(
            wanted.spoken, _lines(wanted.spoken, encoder, wanted.sent), LINES, cost
        )
    data = asyncio.run(_whole(answers.content(wanted.spoken, wanted.output)))
    return answers.streamed(wanted.spoken, _line_again(data, _aligned(wanted)), LINES, cost)


def begin(request: ApiRequest, voice_id: str, answer: str = "audio") -> Wanted:
    """Reserve the credits and speak the first piece. Raises what `stream.begin` raises.

    `answer` says in which form the audio is given: the same key cannot be used for another one.
    Raises Failure, too.
    """
    output = formats.output(request.GET.get("output_format"))
    body = bodies.json_object(request)
    text = bodies.text_of(body, "text")
    model_id = bodies.model_of(body.get("model_id"))
    manner = bodies.manner_of(body.get("voice_settings"))
    speaker = voices.find(request.customer, voice_id, model_id)
    check_length(text)
    spoken = stream.begin(
        customer=request.customer,
        text=text,
        voice_id=speaker.id,
        key=key_of(request),
        now=request.now,
        manner=manner,
        asked=Asked(api_key_id=request.api_key.pk, answer=f"elevenlabs-{answer} {output}"),
    )
    return Wanted(text, output, spoken)


def check_length(text: str) -> None:
    """Raises Failure if a text is longer than one can be."""
    if (count := texts.count(text)) > MAX_CHARACTERS:
        raise Failure(
            400,
            "text_too_long",
            f"The text has {count} characters. The maximum_text_length_per_request is "
            f"{MAX_CHARACTERS}: shorten it by {count - MAX_CHARACTERS}, or send it in parts.",
            details={"param": "text"},
        )


def headers(request: ApiRequest, spoken: Stream | Generation) -> dict[str, str]:
    """What every answer with speech says: its cost, and how many are made at once."""
    is_new = isinstance(spoken, Stream)
    generation = spoken.generation if isinstance(spoken, Stream) else spoken
    found = {
        "character-cost": str(generation.credits if is_new else 0),
        "history-item-id": str(generation.id),
        "current-concurrent-requests": str(stream.running()),
        "maximum-concurrent-requests": str(stream.STREAMS_MAX),
        "x-trace-id": request.api_id,
    }
    return found if is_new else found | {"Idempotent-Replayed": "true"}


async def _whole(content: AsyncGenerator[bytes, None]) -> bytes:
    """All of the audio, encoded; of a stream when it is charged."""
    return b"".join([part async for part in content])


def _aligned(wanted: Wanted) -> dict[str, Any]:
    """The times of all characters of a finished generation."""
    generation, sent = wanted.generation, Sent(wanted.sent)
    found = alignment.times(
        words.unpacked(generation.words or ""),
        0,
        len(sent.normalised),
        begin_ms=0,
        end_ms=int((generation.duration_seconds or 0) * 1_000),
    )
    return _both(sent, found, 0, len(sent.normalised))


def _both(sent: Sent, found: alignment.Times, start: int, end: int) -> dict[str, Any]:
    """The times of a range of the normalised text, for it and for what was sent."""
    return {
        "alignment": alignment.in_seconds(sent.part(start, end), sent.times(found, start)),
        "normalized_alignment": alignment.in_seconds(sent.normalised[start:end], found),
    }


async def _joined(data: bytes, aligned: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    yield b'{"audio_base64": "'
    for at in range(0, len(data), PART_BYTES):
        yield base64.b64encode(data[at : at + PART_BYTES])
    yield b'", ' + json.dumps(aligned).encode()[1:]


async def _line_again(data: bytes, aligned: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    """Audio that is there already, with all times in its first line."""
    for at in range(0, max(1, len(data)), PART_BYTES):
        yield _line(data[at : at + PART_BYTES], {} if at else aligned)


async def _lines(stream: Stream, encoder: Encoder, text: str) -> AsyncGenerator[bytes, None]:
    """A line for each piece. Before the last line all of it is charged."""
    sent = Sent(text)
    count = at = samples = 0
    try:
        async with stream.delivered() as pieces:
            async for piece in pieces:
                data = await asyncio.to_thread(encoder.feed, piece.samples)
                count += 1
                end, at_ms = stream.until(count), samples * 1_000 // stream.sample_rate
                found = alignment.of_piece(piece, stream.sample_rate, at, end, at_ms)
                yield _line(data, _both(sent, found, at, end))
                samples += len(piece.samples) // 2
                at = end
        if data := await asyncio.to_thread(encoder.finish):
            yield _line(data, {})
    finally:
        encoder.close()


def _line(data: bytes, aligned: dict[str, Any]) -> bytes:
    """One line of a stream. Clients drop a last one without its end."""
    nothing = {"alignment": None, "normalized_alignment": None}
    line = {"audio_base64": base64.b64encode(data).decode(), **(aligned or nothing)}
    return json.dumps(line).encode() + b"\n"

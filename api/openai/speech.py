"""`POST /v1/audio/speech`: a text spoken while it is sent, as sound or as events."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from django.http import HttpResponseBase

from api import audio
from api.access import ApiRequest, endpoint, key_of
from api.failures import Failure, of_problem
from usage.models import Generation
from usage.speech import problems, stream
from usage.speech.asked import Asked

from . import errors, fields, voices

logger = logging.getLogger(__name__)

EVENTS = "text/event-stream"
BROKEN_OFF = "The sound could not be made to its end. What was not sent is not charged."


@endpoint(errors.answer, "speech", "POST")
def speech(request: ApiRequest) -> HttpResponseBase:
    wanted = fields.read(request.body)
    speaker = voices.chosen(request.customer, wanted.voice, wanted.tier)
    voices.check(speaker, wanted.text)
    spoken = stream.begin(
        customer=request.customer,
        text=wanted.text,
        voice_id=speaker.id,
        key=key_of(request),
        now=request.now,
        manner={"speed": wanted.speed},
        asked=Asked(api_key_id=request.api_key.pk, answer=wanted.answer),
    )
    headers = audio.cost_headers(spoken, request.now)
    if not wanted.is_sse:
        return audio.response(spoken, wanted.output, headers)
    generation = spoken if isinstance(spoken, Generation) else spoken.generation
    sound = audio.content(spoken, wanted.output)
    return audio.streamed(spoken, events(sound, generation.characters), EVENTS, headers)


async def events(
    sound: AsyncGenerator[bytes, None], characters: int
) -> AsyncGenerator[bytes, None]:
    """Encoded sound as events. Tokens are what is charged for: the characters of the text."""
    try:
        async with aclosing(sound):
            async for data in sound:
                delta = base64.b64encode(data).decode()
                yield _event({"type": "speech.audio.delta", "audio": delta})
    except problems.EXPECTED as error:
        yield _failed(of_problem(problems.problem_of(error)))
    except OSError:
        logger.exception("the sound could not be encoded")
        yield _failed(Failure(503, "speech_failed", BROKEN_OFF))
    else:
        usage = {"input_tokens": characters, "output_tokens": 0, "total_tokens": characters}
        yield _event({"type": "speech.audio.done", "usage": usage})


def _failed(failure: Failure) -> bytes:
    return _event({"type": "error", "error": errors.error(failure)[1]})


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()

"""Speech and its price: `POST /v1/speech`, `POST /v1/quote`."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from ninja.params.functions import Header

from api import audio
from api.access import key_of
from api.audio import Output
from api.failures import Failure
from usage import audio as sound
from usage.speech import quote as quotes
from usage.speech import stream
from usage.speech.asked import Asked

from .api import Key, api
from .schemas import PROBLEMS, Quote, QuoteIn, SpeechIn

AUDIO = {"schema": {"type": "string", "format": "binary"}}
DELIVERED = """The audio, sent while it is made. All of it is charged when it is sent to its end.
Who leaves earlier pays for the pieces that were sent, and for nothing if none was. What cannot be
spoken costs nothing. With an `Idempotency-Key` the same request again gives the same audio at no
cost."""


@api.post(
    "/speech",
    auth=Key("speech"),
    operation_id="createSpeech",
    summary="Speak a text",
    description=DELIVERED,
    response={402: PROBLEMS[422], **PROBLEMS},
    openapi_extra={
        "responses": {
            200: {
                "description": "Audio in the format asked for",
                "content": {
                    each.content_type: AUDIO for each in sound.FORMATS.values() if each.is_offered
                },
            }
        }
    },
)
def create_speech(
    request: Any,
    data: SpeechIn,
    idempotency_key: str | None = Header(None, alias="Idempotency-Key"),
) -> HttpResponseBase:
    output = _output(data)
    spoken = stream.begin(
        customer=request.customer,
        text=data.text,
        voice_id=data.voice,
        key=key_of(request),
        now=request.now,
        manner={"speed": data.speed, "pause_seconds": data.pause_seconds},
        asked=Asked(api_key_id=request.api_key.pk, answer=f"v1 {output}"),
    )
    return audio.response(spoken, output, audio.cost_headers(spoken, request.now))


@api.post(
    "/quote",
    auth=Key("read"),
    operation_id="createQuote",
    summary="What a text would cost",
    description="Checked and priced by the code that speaks. Reserves nothing.",
    response={200: Quote, **PROBLEMS},
)
def create_quote(request: Any, data: QuoteIn) -> dict[str, Any]:
    found = quotes.quote(
        customer=request.customer,
        text=data.text,
        voice_id=data.voice,
        now=request.now,
        api_key_id=request.api_key.pk,
    )
    return {
        "voice": found.speaker.id,
        "characters": found.characters,
        "credits": found.credits,
        "credits_per_character": found.speaker.credits_per_character,
        "available": found.available,
        "key_remaining": found.key_remaining,
        "sufficient": found.is_sufficient,
    }


def _output(data: SpeechIn) -> Output:
    try:
        return Output.of(data.format, data.sample_rate, data.bit_rate)
    except sound.FormatRefused as error:
        message = str(error)
        raise Failure(422, "unknown_format", message, errors={"format": [message]}) from error

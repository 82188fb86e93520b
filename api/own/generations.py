"""What was spoken: the list, one with its receipt, its audio."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import Http404, HttpResponseBase
from ninja.params.functions import Query

from api import audio
from api.audio import Output
from api.failures import Failure
from usage import audio as sound
from usage.models import Generation
from usage.speech import receipt as receipts

from .api import Key, api
from .schemas import PROBLEMS, Generations, GenerationWithReceipt
from .speech import AUDIO


@api.get(
    "/generations",
    auth=Key("read"),
    operation_id="listGenerations",
    summary="What was spoken, newest first",
    response={200: Generations, **PROBLEMS},
)
def list_generations(
    request: Any,
    limit: int = Query(50, ge=1, le=100),
    starting_after: UUID | None = None,
) -> dict[str, Any]:
    rows = Generation.objects.filter(customer=request.customer).order_by("-created_at", "-id")
    if starting_after:
        last = _of(request, starting_after)
        # The first bound lets the index find the place; the second settles rows of one instant.
        rows = rows.filter(created_at__lte=last.created_at).filter(
            Q(created_at__lt=last.created_at) | Q(id__lt=last.id)
        )
    found = list(rows.defer("words")[: limit + 1])
    return {"data": [as_json(each) for each in found[:limit]], "has_more": len(found) > limit}


@api.get(
    "/generations/{generation_id}",
    auth=Key("read"),
    operation_id="getGeneration",
    summary="One, with its receipt",
    response={200: GenerationWithReceipt, **PROBLEMS},
)
def get_generation(request: Any, generation_id: UUID) -> dict[str, Any]:
    generation = _of(request, generation_id)
    found = receipts.receipt(generation)
    receipt = found and {
        "characters": found.characters,
        "credits": found.credits,
        "credits_per_character": found.credits_per_character,
        "balance_before": found.balance_before,
        "balance_after": found.balance_after,
        "paid_by": [
            {"grant": paid.grant, "free": paid.is_free, "credits": paid.credits}
            for paid in found.paid
        ],
        "event_id": found.event_id,
        "reported": found.is_reported,
        "reported_at": found.reported_at,
        "credited_back": found.credited_back,
        "audio": found.audio,
        "audio_sha256": found.audio_sha256,
    }
    return as_json(generation) | {"receipt": receipt}


@api.get(
    "/generations/{generation_id}/audio",
    auth=Key("read"),
    operation_id="getGenerationAudio",
    summary="Its audio, in any format, at no cost",
    response={410: PROBLEMS[404], **PROBLEMS},
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
def get_audio(
    request: Any,
    generation_id: UUID,
    format: str = "mp3",
    sample_rate: int | None = None,
    bit_rate: int | None = None,
) -> HttpResponseBase:
    generation = _of(request, generation_id)
    if generation.state != Generation.State.DONE:
        raise Http404
    try:
        output = Output.of(format, sample_rate, bit_rate)
    except sound.FormatRefused as error:
        message = str(error)
        raise Failure(422, "unknown_format", message, errors={"format": [message]}) from error
    return audio.stored(generation, output)


def as_json(generation: Generation) -> dict[str, Any]:
    is_done = generation.state == Generation.State.DONE
    return {
        "id": generation.id,
        "text": generation.text,
        "voice": generation.voice,
        "voice_name": generation.voice_name,
        "characters": generation.characters,
        "delivered_characters": generation.characters_charged if is_done else 0,
        "credits": generation.credits if is_done else 0,
        "state": generation.state,
        "failure": generation.failure,
        "seconds": generation.duration_seconds,
        "key": generation.api_key_id,
        "created_at": generation.created_at,
        "audio_until": generation.audio_until_at,
    }


def _of(request: Any, generation_id: UUID) -> Generation:
    rows = Generation.objects.select_related("reservation", "credit_back").defer("words")
    found = rows.filter(id=generation_id, customer=request.customer).first()
    if found is None:
        raise Http404
    return found

"""`/v1/audio/voices`: all voices to choose from, and custom voices, made under a recorded consent.

The list is for everybody: Open WebUI asks for it without a key, and reads `voices`. With a key the
customer's own voices stand in it first, and again in `data` as OpenAI has its objects.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from api import auth, recordings
from api.access import ApiRequest, endpoint, public
from api.failures import Failure
from usage.models import Voice
from usage.speech import voices as ours
from usage.uploads import keep_in_memory

from . import errors, pages
from . import voices as names
from .fields import refused

SAMPLE = "audio_sample"


def voices(request: HttpRequest) -> HttpResponseBase:
    return (_make if request.method == "POST" else _list)(request)


def voice(request: HttpRequest, voice_id: str) -> HttpResponseBase:
    return (_delete if request.method == "DELETE" else _look)(request, voice_id)


voices.csrf_exempt = voice.csrf_exempt = True  # type: ignore[attr-defined]  # all of them are


@public(errors.answer, "GET", "POST")
def _list(request: ApiRequest) -> HttpResponse:
    """The voices of the house, and with a key those of its customer."""
    if not auth.secret_of(request.headers):
        return JsonResponse({"voices": names.listed([])})
    customer = auth.authenticate(request, "", request.now).customer
    found = list(customer.voices.filter(state=Voice.State.READY).order_by("-created_at", "-id"))
    page = pages.of(request, found, _as_json)
    return JsonResponse({"voices": names.listed(ours.of(customer)), **page})


@endpoint(errors.answer, "voices", "GET", "POST")
def _make(request: ApiRequest) -> HttpResponse:
    """A voice of a sample, whose speaker has given a consent before."""
    keep_in_memory(request)
    if request.POST.get("type", SAMPLE) != SAMPLE:
        message = f"Voices are made of a sample here: send type={SAMPLE}, or leave it out."
        raise refused("type", message)
    try:
        sample = recordings.one(request, SAMPLE)
    except recordings.Several as error:
        raise refused(SAMPLE, str(error)) from None
    for field in ("name", "consent"):
        pages.required(request.POST, field)
    if sample is None:
        raise pages.missing(SAMPLE, "Send a form (multipart/form-data) with a file of that name.")
    made = recordings.make(
        request, name=request.POST["name"], sample=sample, agreed=request.POST["consent"]
    )
    answer = JsonResponse(_as_json(made.voice))
    for name, value in recordings.headers(made, request.now).items():
        answer[name] = value
    return answer


@endpoint(errors.answer, "read", "GET", "DELETE")
def _look(request: ApiRequest, voice_id: str) -> HttpResponse:
    return JsonResponse(_as_json(_of(request, voice_id)))


@endpoint(errors.answer, "voices", "GET", "DELETE")
def _delete(request: ApiRequest, voice_id: str) -> HttpResponse:
    found = _of(request, voice_id)
    recordings.delete(request, str(found.id), request.now)
    return JsonResponse({"id": str(found.id), "deleted": True, "object": "audio.voice.deleted"})


def _of(request: ApiRequest, voice_id: str) -> Voice:
    """A voice of the customer's own. Raises Failure."""
    try:
        found = request.customer.voices.get(id=UUID(voice_id), state=Voice.State.READY)
    except (ValueError, Voice.DoesNotExist):
        message = f"There is no voice {voice_id[:60]!r} of your own."
        raise Failure(404, "voice_not_found", message, details={"param": "voice_id"}) from None
    return found


def _as_json(voice: Voice) -> dict[str, Any]:
    return {
        "id": str(voice.id),
        "object": "audio.voice",
        "created_at": int(voice.created_at.timestamp()),
        "name": voice.name,
        "type": SAMPLE,
    }

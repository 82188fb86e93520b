"""`/v1/audio/voice_consents`: recordings in which somebody agrees to have their voice used."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts import throttle
from api import recordings
from api.access import ApiRequest, endpoint, key_of
from usage.models import VoiceConsent
from usage.speech import consents as ours
from usage.speech import withdrawal
from usage.speech.asked import Asked
from usage.uploads import keep_in_memory

from . import errors, pages
from .fields import refused

RECORDING = "recording"


def consents(request: HttpRequest) -> HttpResponseBase:
    return (_give if request.method == "POST" else _list)(request)


def consent(request: HttpRequest, consent_id: str) -> HttpResponseBase:
    views = {"POST": _rename, "DELETE": _withdraw}
    return views.get(request.method or "", _look)(request, consent_id)


consents.csrf_exempt = consent.csrf_exempt = True  # type: ignore[attr-defined]  # all of them are


@endpoint(errors.answer, "read", "GET", "POST")
def _list(request: ApiRequest) -> HttpResponse:
    return JsonResponse(pages.of(request, list(ours.kept(request.customer)), _as_json))


@endpoint(errors.answer, "voices", "GET", "POST")
def _give(request: ApiRequest) -> HttpResponse:
    keep_in_memory(request)
    try:
        recording = recordings.one(request, RECORDING)
    except recordings.Several as error:
        raise refused(RECORDING, str(error)) from None
    for field in ("name", "language"):
        pages.required(request.POST, field)
    if recording is None:
        hint = "Send a form (multipart/form-data) with a file in which somebody reads aloud:"
        raise pages.missing(RECORDING, f"{hint} “{ours.to_read()}”")
    asked = Asked(api_key_id=request.api_key.pk)
    given = ours.give(
        customer=request.customer,
        name=request.POST["name"],
        language=request.POST["language"],
        recording=recording,
        address=throttle.address(request),
        key=asked.keys + key_of(request),
        now=request.now,
    )
    return JsonResponse(_as_json(given))


@endpoint(errors.answer, "read", "GET", "POST", "DELETE")
def _look(request: ApiRequest, consent_id: str) -> HttpResponse:
    return JsonResponse(_as_json(ours.of(request.customer, consent_id)))


@endpoint(errors.answer, "voices", "GET", "POST", "DELETE")
def _rename(request: ApiRequest, consent_id: str) -> HttpResponse:
    given = ours.of(request.customer, consent_id)
    ours.rename(given, pages.required(_fields(request), "name"))
    return JsonResponse(_as_json(given))


@endpoint(errors.answer, "voices", "GET", "POST", "DELETE")
def _withdraw(request: ApiRequest, consent_id: str) -> HttpResponse:
    """Voices made under it speak no more."""
    given = ours.of(request.customer, consent_id)
    try:
        withdrawal.revoke_consent(given, request.now)
    except OSError as error:
        raise recordings.unreachable() from error
    return JsonResponse({"id": consent_id, "deleted": True, "object": "audio.voice_consent"})


def _fields(request: ApiRequest) -> dict[str, Any]:
    """A form, or JSON as their clients send it. Raises Failure."""
    if request.content_type != "application/json":
        return request.POST.dict()
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise refused("body", "The body cannot be read as JSON. Send a JSON object.")
    return found


def _as_json(given: VoiceConsent) -> dict[str, Any]:
    return {
        "id": str(given.id),
        "object": "audio.voice_consent",
        "created_at": int(given.given_at.timestamp()),
        "name": given.name,
        "language": given.language,
        "sentence": given.sentence,
    }

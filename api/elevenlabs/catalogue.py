"""The addresses of voices: lists, one voice, its settings, and what an own voice allows.

`/v1/voices` is ours, too: `api.shared` says who answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from api import recordings
from api.access import ApiRequest, endpoint
from usage.models import Voice
from usage.speech import consent, own_voice
from usage.speech.voices import Speaker
from usage.uploads import keep_in_memory

from . import bodies, errors, voices
from .errors import MISSING, invalid

PAGE, PAGE_MAX = 10, 100
OK = {"status": "ok"}
# What their kinds of voices are here. Others, such as those of a community, there are none of.
TYPES: dict[str, Callable[[Voice | None], bool]] = {
    "": lambda row: True,
    "default": lambda row: row is None,
    "non-default": lambda row: row is not None,
    "personal": lambda row: row is not None,
    "workspace": lambda row: row is not None,
    "saved": lambda row: row is not None,
}

Listed = tuple[Speaker, Voice | None]


@endpoint(errors.answer, "read", "GET")
def all_voices(request: ApiRequest) -> HttpResponseBase:
    found = [voices.shown(*each) for each in voices.listed(request.customer)]
    return JsonResponse({"voices": found})


def voice(request: HttpRequest, voice_id: str) -> HttpResponseBase:
    """One voice: looked at by keys that may read, deleted by those that may change voices."""
    return (_delete if request.method == "DELETE" else _look)(request, voice_id)


voice.csrf_exempt = True  # type: ignore[attr-defined]  # both are


@endpoint(errors.answer, "read", "GET", "DELETE")
def _look(request: ApiRequest, voice_id: str) -> HttpResponseBase:
    speaker = voices.find(request.customer, voice_id)
    row = voices.row_of(request.customer, speaker)
    return JsonResponse(voices.shown(speaker, row, voice_id))


@endpoint(errors.answer, "voices", "GET", "DELETE")
def _delete(request: ApiRequest, voice_id: str) -> HttpResponseBase:
    speaker = voices.own(request.customer, voice_id)
    recordings.delete(request, speaker.id, request.now)
    return JsonResponse(OK)


@endpoint(errors.answer, "voices", "POST")
def edit(request: ApiRequest, voice_id: str) -> HttpResponseBase:
    """Give a voice of one's own another name. Description and labels are not kept."""
    speaker = voices.own(request.customer, voice_id)
    if "name" not in request.POST:
        raise invalid("name", MISSING)
    if request.FILES:
        raise invalid("files", "Samples cannot be added to a voice. Make another voice of them.")
    own_voice.rename(customer=request.customer, voice_id=speaker.id, name=request.POST["name"])
    return JsonResponse(OK)


@endpoint(errors.answer, "voices", "POST")
def add(request: ApiRequest) -> HttpResponseBase:
    """Make a voice of a recording. Who sends it says that its speaker has agreed to the sentence of
    the consent, or to the one that stands in `labels`; the noise is left in.
    """
    keep_in_memory(request)
    try:
        sample = recordings.one(request, "files", "files[]")
    except recordings.Several as error:
        raise invalid("files", str(error)) from None
    if "name" not in request.POST:
        raise invalid("name", MISSING)
    if sample is None:
        raise invalid("files", MISSING)
    agreed = _labels(request).get("consent") or consent.sentence()
    made = recordings.make(request, name=request.POST["name"], sample=sample, agreed=str(agreed))
    answer = JsonResponse({"voice_id": str(made.voice.id), "requires_verification": False})
    for name, value in recordings.headers(made, request.now).items():
        answer[name] = value
    return answer


def _labels(request: ApiRequest) -> dict[str, Any]:
    """Labels as their clients send them; without any they send null. Raises Failure."""
    try:
        found = json.loads(request.POST.get("labels") or "null")
    except (ValueError, RecursionError):
        found = ""
    if found is not None and not isinstance(found, dict):
        raise invalid("labels", "This must be a JSON object.")
    return found or {}


@endpoint(errors.answer, "read", "GET")
def default_settings(request: ApiRequest) -> HttpResponseBase:
    return JsonResponse(voices.SETTINGS)


@endpoint(errors.answer, "read", "GET")
def settings_of(request: ApiRequest, voice_id: str) -> HttpResponseBase:
    voices.find(request.customer, voice_id)
    return JsonResponse(voices.SETTINGS)


@endpoint(errors.answer, "voices", "POST")
def edit_settings(request: ApiRequest, voice_id: str) -> HttpResponseBase:
    """Nothing is kept of it: what they set has no meaning here but for the speed, which is refused
    rather than forgotten.
    """
    voices.find(request.customer, voice_id)
    manner = bodies.manner_of(bodies.json_object(request))
    if manner.get("speed", 1) != 1:
        raise invalid("body/speed", "A voice keeps no speed. Send it with each text instead.")
    return JsonResponse(OK)


@endpoint(errors.answer, "read", "GET")
def search(request: ApiRequest) -> HttpResponseBase:
    """A page of the voices that are asked for."""
    size = bodies.number(request, "page_size", PAGE, 1, PAGE_MAX)
    start = bodies.number(request, "next_page_token", 0, 0, 10**9)
    found = _sorted(request, [each for each in _wanted(request) if _is_found(request, *each)])
    end = start + size
    has_more = end < len(found)
    return JsonResponse(
        {
            "voices": [voices.shown(*each) for each in found[start:end]],
            "has_more": has_more,
            "total_count": len(found),
            "next_page_token": str(end) if has_more else None,
        }
    )


def _wanted(request: ApiRequest) -> list[Listed]:
    """All voices, or those of the ids asked for."""
    found = voices.listed(request.customer)
    if not (ids := request.GET.getlist("voice_ids")):
        return found
    return [each for each in found if each[0].id in ids]


def _is_found(request: ApiRequest, speaker: Speaker, row: Voice | None) -> bool:
    shown = voices.shown(speaker, row)
    words = [shown["name"], shown["description"], shown["category"], *shown["labels"].values()]
    search = request.GET.get("search", "").strip().lower()
    category = request.GET.get("category", "")
    is_of = TYPES.get(request.GET.get("voice_type", ""))
    if is_of is None or not is_of(row):
        return False
    return category in ("", shown["category"]) and search in " ".join(words).lower()


def _sorted(request: ApiRequest, found: list[Listed]) -> list[Listed]:
    """In the order asked for; voices of the house are older than all others."""
    order = bodies.choice(request, "sort", "none", ("none", "name", "created_at_unix"))
    direction = bodies.choice(request, "sort_direction", "desc", ("asc", "desc"))
    keys: dict[str, Callable[[Listed], Any]] = {
        "name": lambda each: each[0].name.lower(),
        "created_at_unix": lambda each: each[1].created_at.timestamp() if each[1] else 0,
    }
    if order == "none":
        return found
    return sorted(found, key=keys[order], reverse=direction == "desc")

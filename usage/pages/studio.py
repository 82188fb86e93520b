"""The studio: a form, with or without script, and the same address for programs that want JSON."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from accounts import unsent
from accounts.access import CustomerRequest, customer_required, refuse, wants_json
from accounts.models import Customer
from billing import ledger
from usage import text as texts
from usage.models import Generation, VoiceType
from usage.speech import audio, library, manner, pricing, problems, progress, voices
from usage.speech.speak import speak

from . import answers

# Back in the browser and on with another text: a new request on an old form.
WORDS = {
    "key_reused": "This form was sent before with another text. Press Speak to speak this one.",
    "audio_lost": "{message} Pressing Speak does that.",
    "audio_deleted": "{message} Pressing Speak does that.",
}
NEEDS_NEW_KEY = {"key_reused", "audio_lost", "audio_deleted"}
OWN = "own"
# What one may take away, by the name of the format.
DOWNLOADS = (("mp3", "MP3"), ("wav", "WAV"), ("opus", "Opus"), ("flac", "FLAC"))
SUBTITLES = (("srt", "Subtitles, SRT"), ("vtt", "Subtitles, VTT"))
RECENT = 5
PENDING_REFRESH_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Voices of one price in the picker."""

    tier: str  # standard, premium or OWN
    name: str
    entries: list[library.Entry]

    @property
    def credits(self) -> int:
        """Its price for a character."""
        return self.entries[0].speaker.credits_per_character


# Exempt here, and checked below: whoever is not logged in should hear that, not of a token.
@csrf_exempt
@unsent.kept("text", "voice", *manner.FIELDS)
@customer_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: CustomerRequest) -> HttpResponseBase:
    if request.method == "POST":
        return _answer(request) if wants_json(request) else _submit(request)
    done = None
    if "done" in request.GET:
        done = _generation(request, request.GET["done"])
    former = _generation(request, request.GET["again"]) if "again" in request.GET else done
    typed = unsent.take(request)
    voice = typed.get("voice") or (former.voice if former else request.GET.get("voice", ""))
    text = typed.get("text") or (former.text if former and former is not done else "")
    how = typed or (former.manner if former else {})
    response = _render(request, done=done, voice=voice, text=text, how=how)
    if done and done.is_being_made:
        response["Refresh"] = str(PENDING_REFRESH_SECONDS)
    return response


# --- Programs -------------------------------------------------------------------------------------


def _answer(request: CustomerRequest) -> HttpResponse:
    fields = _fields(request)
    if fields is None:
        return refuse(HTTPStatus.BAD_REQUEST, "Send a form, or a JSON object of strings.")
    key = request.headers.get("Idempotency-Key") or fields.get("key") or str(uuid.uuid4())
    try:
        generation = speak(
            customer=request.customer,
            text=fields.get("text", ""),
            voice_id=fields.get("voice", ""),
            key=key,
            now=timezone.now(),
            manner=fields,
        )
        if later := answers.of_worker(request, generation):
            return later
    except problems.EXPECTED as error:
        return answers.as_json(problems.problem_of(error))
    response = JsonResponse(answers.of_done(generation), status=HTTPStatus.CREATED)
    if generation.replayed:
        response["Idempotent-Replayed"] = "true"
    else:
        response["Server-Timing"] = f"synthesis;dur={generation.synthesis_seconds * 1_000:.3f}"
    return response


def _fields(request: CustomerRequest) -> dict[str, Any] | None:
    """The fields of the form, or of the JSON object; None if there is no such thing.

    They are strings. Those of the manner may be numbers, too, or null.
    """
    if request.content_type != "application/json":
        return request.POST.dict()
    try:
        found = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    for name, value in found.items():
        of_manner = name in manner.FIELDS and (value is None or type(value) in (int, float))
        if not (isinstance(value, str) or of_manner):
            return None
    return found


# --- People ---------------------------------------------------------------------------------------


def _submit(request: CustomerRequest) -> HttpResponse:
    """Speak and redirect, or show the form again with what was written and what is wrong."""
    text, voice, key = (request.POST.get(name, "") for name in ("text", "voice", "key"))
    try:
        generation = speak(
            customer=request.customer,
            text=text,
            voice_id=voice,
            key=key or str(uuid.uuid4()),
            now=timezone.now(),
            manner=request.POST,
        )
        return redirect(f"{reverse('studio')}?done={generation.id}")
    # A double click: the page shows when the first click's speech is there.
    except problems.StillRunning as error:
        return redirect(f"{reverse('studio')}?done={error.row_id}")
    except problems.EXPECTED as error:
        problem = problems.problem_of(error)
    shown = answers.on_form(problem, WORDS)
    response = _render(
        request,
        text=text,
        voice=voice,
        how=request.POST,
        key="" if problem.code in NEEDS_NEW_KEY else key,
        **shown,
    )
    response.status_code = problem.status
    return response


def _render(
    request: CustomerRequest,
    *,
    text: str = "",
    voice: str = "",
    how: Mapping[str, Any] = MappingProxyType({}),
    key: str = "",
    done: Generation | None = None,
    **shown: Any,
) -> HttpResponse:
    groups = _groups(request.customer)
    recent = request.customer.generations.filter(state=Generation.State.DONE).order_by(
        "-created_at", "-id"
    )
    shown_recent = list(recent.defer("body_hash").without_words()[:RECENT])
    audio.mark_lost([*([done] if done else []), *shown_recent])
    try:
        chosen = voices.resolve(request.customer, voice)
    except problems.UnknownVoice:
        chosen = next(iter(voices.house()), voices.DEFAULT)
    characters = texts.count(text)
    wallet = ledger.wallet_of(request.customer.id)
    is_playable = done and done.state == Generation.State.DONE and not done.is_audio_lost
    context = {
        "text": text,
        "key": key or str(uuid.uuid4()),
        "groups": groups,
        "has_own": any(group.tier == OWN for group in groups),
        "languages": library.choices(one for group in groups for one in group.entries)["language"],
        "chosen": chosen,
        "characters": characters,
        "characters_max": texts.MAX_CHARACTERS,
        "credits": pricing.credits(characters, chosen.type),
        "manner": manner.shown(how),
        "available": wallet.available,
        "is_frozen": wallet.frozen_at is not None,
        "done": done,
        "progress": progress.of(done) if done else None,
        "playable": done if is_playable else None,
        "recent": shown_recent,
        "downloads": DOWNLOADS,
        "subtitles": SUBTITLES,
        **shown,
    }
    return render(request, "usage/studio.html", context)


def _groups(customer: Customer) -> list[Group]:
    """The voices to choose from as the picker shows them: one's own first, then by tier, then those
    of speech servers by their label."""
    house = [library.entry(speaker) for speaker in voices.house()]
    groups = [Group(OWN, "Yours", [library.entry(one) for one in voices.of(customer)])]
    for tier in (VoiceType.STANDARD, VoiceType.PREMIUM):
        entries = [one for one in house if one.speaker.type == tier and not one.speaker.group]
        groups.append(Group(tier.value, str(tier.label), entries))
    for label in dict.fromkeys(one.speaker.group for one in house if one.speaker.group):
        entries = [one for one in house if one.speaker.group == label]
        groups.append(Group(f"server-{label}", label, entries))
    return [group for group in groups if group.entries]


def _generation(request: CustomerRequest, generation_id: str) -> Generation | None:
    try:
        rows = request.customer.generations.without_words()
        return rows.filter(id=uuid.UUID(generation_id)).first()
    except ValueError:
        return None

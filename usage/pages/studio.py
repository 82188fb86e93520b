"""The studio: a form, with or without script, and the same address for programs that want JSON."""

from __future__ import annotations

import json
import uuid
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from accounts import unsent
from accounts.access import CustomerRequest, customer_required, refuse, wants_json
from usage.models import Generation
from usage.speech import drafts, manner, problems
from usage.speech.speak import speak

from . import answers, draft, editor, start

# Back in the browser and on with another text: a new request on an old form.
WORDS = {
    "key_reused": "This form was sent before with another text. Press Speak to speak this one.",
    "audio_lost": "{message} Pressing Speak does that.",
    "audio_deleted": "{message} Pressing Speak does that.",
}
NEEDS_NEW_KEY = {"key_reused", "audio_lost", "audio_deleted"}
PENDING_REFRESH_SECONDS = 2


# Exempt here, and checked below: whoever is not logged in should hear that, not of a token.
@csrf_exempt
@unsent.kept("text", "voice", *manner.FIELDS)
@customer_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: CustomerRequest) -> HttpResponseBase:
    if request.method == "POST":
        return _answer(request) if wants_json(request) else _submit(request)
    asked = _generation(request, request.GET["done"]) if "done" in request.GET else None
    again = _generation(request, request.GET["again"]) if "again" in request.GET else None
    done = asked or _with_worker(request)
    kept = drafts.of(request.customer)
    # What is asked for by the address goes before what was being written, and that before the rest.
    typed = unsent.take(request)
    former = again or (None if kept.version else asked)
    voice = request.GET.get("voice", "") or (former.voice if former else kept.voice)
    response = editor.page(
        request,
        done=done,
        draft=kept,
        voice=typed.get("voice") or voice,
        text=typed.get("text") or (former.text if former else kept.text or start.text(kept)),
        how=typed or (former.manner if former else kept.manner),
        is_again=again is not None,
        is_unsaved=bool(typed),
    )
    if done and done.is_being_made and not done.is_with_worker:
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
        spoken_id = generation.id
    # A double click: the page shows when the first click's speech is there.
    except problems.StillRunning as error:
        spoken_id = error.row_id
    except problems.EXPECTED as error:
        problem = problems.problem_of(error)
        fresh: dict[str, Any] = {"key": ""} if problem.code in NEEDS_NEW_KEY else {}
        words = answers.on_form(problem, WORDS)
        return editor.shown_again(request, problem.status, **fresh, **words, **_keep(request))
    _keep(request)
    return redirect(f"{reverse('studio')}?done={spoken_id}")


def _keep(request: CustomerRequest) -> dict[str, Any]:
    """Keep what was written as the draft, after the work with money is over, however it ended.

    What cannot be kept stands on the page, or is the text of what was spoken. Returns what the page
    should say about it.
    """
    if "draft_version" not in request.POST:
        return {}
    try:
        return {"draft": draft.keep(request)}
    except drafts.DraftChanged as error:
        return {"other_draft": error.draft}
    except problems.Refused:
        return {}


def _with_worker(request: CustomerRequest) -> Generation | None:
    """The newest text that a worker speaks, so that who comes back sees how far it is."""
    rows = request.customer.generations.without_words()
    pending = rows.filter(is_queued=True, state=Generation.State.PENDING)
    return pending.order_by("-created_at").first()


def _generation(request: CustomerRequest, generation_id: str) -> Generation | None:
    try:
        rows = request.customer.generations.without_words()
        return rows.filter(id=uuid.UUID(generation_id), text_deleted_at=None).first()
    except ValueError:
        return None

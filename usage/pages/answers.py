"""Problems of speech as responses: JSON for programs, and what a form shows to people."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse

from accounts.access import wants_json
from billing import ledger
from usage.models import Generation
from usage.speech import long, progress
from usage.speech.problems import Problem, SpeechFailed

TITLES = {
    "audio_lost": "This audio is lost",
    "audio_deleted": "This audio is deleted",
    "text_deleted": "This text is deleted",
    "again_too_often": "This audio must wait",
    "words_unknown": "This text has no subtitles",
    "audio_unreachable": "This audio cannot be read just now",
}


# How long a program waits for a text that a worker speaks, before it is told where to ask.
WAIT_SECONDS = 20
WITHOUT_WAITING = "respond-async"  # RFC 7240: `Prefer: respond-async`


def of_done(generation: Generation) -> dict[str, Any]:
    """A generation that is done, for programs."""
    return {
        "id": str(generation.id),
        "credits": generation.credits,
        "available": generation.available_after,
        **_audio(generation),
    }


def of_again(generation: Generation) -> dict[str, Any]:
    """A generation whose audio was made again, for programs."""
    return {"id": str(generation.id), "credits": 0, **_audio(generation)}


def _audio(generation: Generation) -> dict[str, Any]:
    has_words = generation.words is not None
    return {
        "name": generation.name,
        "audio_url": reverse("audio", args=[generation.id]),
        "words_url": reverse("words", args=[generation.id]) if has_words else None,
        "audio_until": generation.audio_until_at,
        "duration_seconds": generation.duration_seconds,
    }


def of_worker(request: HttpRequest, generation: Generation) -> JsonResponse | None:
    """Where to ask for what a worker makes, for programs; None if it was there while they waited,
    unless they prefer not to. Raises SpeechFailed if it failed meanwhile."""
    if not generation.is_with_worker:
        return None
    is_patient = WITHOUT_WAITING not in request.headers.get("Prefer", "")
    long.wait(generation, seconds=WAIT_SECONDS if is_patient else 0)
    found = progress.of(generation)
    if found.state == Generation.State.FAILED:
        raise SpeechFailed(found.failure)
    if found.state == Generation.State.DONE:
        return None
    answer = {
        "id": str(generation.id),
        "state": found.state,
        "progress_url": reverse("progress", args=[generation.id]),
        "stop_url": reverse("stop", args=[generation.id]),
        "characters": found.characters,
        "credits": 0 if generation.is_making_again else generation.credits,
        "available": ledger.wallet_of(generation.customer_id).available,
    }
    return JsonResponse(answer, status=HTTPStatus.ACCEPTED)


def as_json(problem: Problem, *, status: int | None = None) -> HttpResponse:
    """`again_url`, where it is there: a POST to it makes the audio again, free."""
    body: dict[str, Any] = (
        {"errors": problem.errors}
        if problem.errors
        else {"error": problem.message, **problem.details}
    )
    if problem.again_id:
        body["again_url"] = reverse("again", args=[problem.again_id])
    return _with_headers(JsonResponse(body, status=status or problem.status), problem)


def as_page(request: HttpRequest, problem: Problem, *, status: int | None = None) -> HttpResponse:
    """A page that says it, where there is no form to show it on; JSON for programs."""
    if wants_json(request):
        return as_json(problem, status=status)
    context = {
        "title": TITLES.get(problem.code, "This did not work"),
        "message": problem.message,
        "again_id": problem.again_id,
    }
    return _with_headers(
        render(request, "usage/problem.html", context, status=status or problem.status), problem
    )


def as_download(data: bytes, filename: str) -> HttpResponse:
    """Bytes somebody sent us, to be stored under this ASCII name and shown nowhere."""
    response = HttpResponse(data, content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "no-store"
    return response


def _with_headers(response: HttpResponse, problem: Problem) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    if problem.retry_after_seconds is not None:
        response["Retry-After"] = str(problem.retry_after_seconds)
    return response


def on_form(problem: Problem, words: dict[str, str]) -> dict[str, Any]:
    """The context in which a form shows it: at the fields, or above them.

    `words` are the form's own, by code.
    """
    if problem.code in words:
        return {"problem": words[problem.code].format(message=problem.message)}
    if problem.details:
        return {"missing": problem.details}
    if problem.errors:
        return {"errors": problem.errors, "problem": " ".join(problem.errors.get("key", []))}
    return {"problem": problem.message}

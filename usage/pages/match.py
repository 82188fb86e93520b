"""Voice match on the page of own voices: send a sample, hear the candidates, keep one, withdraw."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_safe

from accounts import throttle, unsent
from accounts.access import CustomerRequest, View, customer_required
from usage.speech import audio, candidates, copies, match, problems, withdrawal
from usage.uploads import in_memory

from . import answers, own_voice

PAGE = "own-voice"
WORDS = {
    "key_reused": "This form was sent before with another sample. Press the button again.",
    "still_running": problems.MATCH_IN_PROGRESS,
    "speech_failed": "{message} Press the button to try again.",
}
NEEDS_NEW_KEY = {"key_reused", "speech_failed", "refused"}


def _form(*fields: str) -> Callable[[View], View]:
    """A form of the page. Logged out, people get these fields back after they log in."""

    def decorate(view: View) -> View:
        guarded = unsent.kept(*fields, page=PAGE)(customer_required(csrf_protect(view)))
        protected: View = csrf_exempt(unsent.form_only(PAGE)(in_memory(guarded)))
        return protected

    return decorate


@_form()
def begin(request: CustomerRequest) -> HttpResponse:
    key = request.POST.get("key", "") or str(uuid.uuid4())
    sample = request.FILES.get("sample")
    consent = request.FILES.get("consent_recording")
    try:
        match.begin(
            customer=request.customer,
            sample=sample.read() if sample else b"",
            consent_recording=consent.read() if consent else b"",
            consent_sha256=request.POST.get("consent", ""),
            keeps_sample=bool(request.POST.get("keep_sample")),
            address=throttle.address(request),
            key=key,
            now=timezone.now(),
        )
        return redirect(PAGE)
    except problems.EXPECTED as error:
        problem = problems.problem_of(error)
    shown = answers.on_form(problem, WORDS)
    new = problem.code in NEEDS_NEW_KEY
    return _page(request, problem, {"sent": shown | {"key": "" if new else key}})


@require_safe
@customer_required
def sample(request: CustomerRequest, match_id: uuid.UUID, number: int) -> HttpResponse:
    """The sample sentence in the voice of a candidate. Listening is free, so the text is fixed."""
    try:
        found = match.of(request.customer, match_id)
        data = candidates.heard(found, number)
    except problems.EXPECTED as error:
        return answers.as_page(request, problems.problem_of(error))
    response = HttpResponse(data, content_type="audio/mpeg")
    response["Cache-Control"] = "private, max-age=86400"
    return response


@_form("candidate", "name")
def keep(request: CustomerRequest, match_id: uuid.UUID) -> HttpResponse:
    key = request.POST.get("key", "") or str(uuid.uuid4())
    try:
        voice = match.keep(
            customer=request.customer,
            match_id=match_id,
            number=_number(request.POST),
            name=request.POST.get("name", ""),
            key=key,
            now=timezone.now(),
        )
        ready = f"{voice.name} is ready. You can find it in the studio under your own voices."
        messages.success(request, ready)
        return redirect(PAGE)
    except problems.UnknownMatch as error:
        return answers.as_page(request, problems.problem_of(error))
    except problems.EXPECTED as error:
        problem = problems.problem_of(error)
    shown = answers.on_form(problem, own_voice.WORDS)
    new = problem.code in own_voice.NEEDS_NEW_KEY
    return _page(request, problem, {"kept": shown | {"key": "" if new else key}})


@_form()
def forget(request: CustomerRequest, match_id: uuid.UUID) -> HttpResponse:
    """Withdraw a consent, or have the kept sample alone deleted; nothing without either word."""
    try:
        if request.POST.get("what") == "consent":
            withdrawal.revoke(customer=request.customer, match_id=match_id, now=timezone.now())
            gone = "Your consent is withdrawn, and what we had of your voice is deleted."
            if label := copies.being_deleted(match_id):
                gone += f" {label} is being asked to delete its copy."
            messages.success(request, gone)
            return redirect(PAGE)
        found = match.of(request.customer, match_id)
        if request.POST.get("what") == "sample":
            match.forget_sample(found)
            messages.success(request, "The sample is deleted.")
    except problems.UnknownMatch as error:
        return answers.as_page(request, problems.problem_of(error))
    except OSError:
        messages.error(request, "The sample could not be deleted just now. Try again in a moment.")
    return redirect(PAGE)


@require_safe
@customer_required
def recording(request: CustomerRequest, match_id: uuid.UUID) -> HttpResponse:
    """The sample that the customer had us keep."""
    try:
        found = match.of(request.customer, match_id)
        if not found.sample:
            raise problems.UnknownMatch
        with audio.open_sample(found.sample) as file:
            data = file.read()
    except problems.EXPECTED as error:
        return answers.as_page(request, problems.problem_of(error))
    return answers.as_download(data, f"vocalis-sample.{found.sample.rpartition('.')[2]}")


def _page(
    request: CustomerRequest, problem: problems.Problem, shown: dict[str, Any]
) -> HttpResponse:
    response = own_voice.render_page(request, request.POST, **shown)
    response.status_code = problem.status
    if problem.retry_after_seconds is not None:
        response["Retry-After"] = str(problem.retry_after_seconds)
    return response


def _number(fields: QueryDict) -> int:
    """The candidate that was chosen; -1, which there is none of, for anything else."""
    digits = fields.get("candidate", "")
    return int(digits) if re.fullmatch("[0-9]", digits) else -1

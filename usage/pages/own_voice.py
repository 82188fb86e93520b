"""The page of own voices: match one (`match`), or tune one by ear, listen to it free of charge, and
set it up.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from billing import ledger, plans
from usage import voiceprint
from usage.models import Voice
from usage.speech import candidates, consent, consents, copies, match, own_voice, problems

from . import answers

WORDS = {
    "key_reused": "This form was sent before with other settings. Press the button again.",
    "still_running": problems.VOICE_IN_PROGRESS,
    "speech_failed": "{message} Press the button to try again.",
}
NEEDS_NEW_KEY = {"key_reused", "speech_failed"}


# Here, and checked below: whoever is not logged in should hear that, and not of a missing token.
@csrf_exempt
@unsent.kept("name", *(setting.name for setting in own_voice.tunable()))
@customer_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: CustomerRequest) -> HttpResponseBase:
    if request.method == "POST":
        return _set_up(request)
    fields = request.GET.copy()
    fields.update(unsent.take(request))
    return render_page(request, fields)


@require_safe
@customer_required
def preview(request: CustomerRequest) -> HttpResponseBase:
    """The sample sentence with the settings of the query.

    The text is fixed, so that listening can be free.
    """
    try:
        speech = own_voice.preview(_settings(request.GET))
    except problems.EXPECTED as error:
        return answers.as_json(problems.problem_of(error))
    response = HttpResponse(bytes(speech.audio), content_type=speech.content_type)
    # The same settings always give the same bytes.
    response["Cache-Control"] = "private, max-age=86400"
    return response


def _set_up(request: CustomerRequest) -> HttpResponse:
    key = request.POST.get("key", "")
    try:
        voice = own_voice.set_up(
            customer=request.customer,
            name=request.POST.get("name", ""),
            settings=_settings(request.POST),
            key=key or str(uuid.uuid4()),
            now=timezone.now(),
        )
        ready = f"{voice.name} is ready. You can find it in the studio under your own voices."
        messages.success(request, ready)
        return redirect("own-voice")
    except problems.EXPECTED as error:
        problem = problems.problem_of(error)
    shown = answers.on_form(problem, WORDS)
    response = render_page(
        request, request.POST, key="" if problem.code in NEEDS_NEW_KEY else key, **shown
    )
    response.status_code = problem.status
    return response


def render_page(
    request: CustomerRequest, fields: QueryDict, *, key: str = "", **shown: Any
) -> HttpResponse:
    """The page with what was typed. `shown` is what is wrong: with the form of tuning, or under
    "sent" and "kept" with those of a match.
    """
    tuned = {
        setting.name: fields.get(setting.name) or str(setting.default)
        for setting in own_voice.tunable()
    }
    errors = shown.pop("errors", {})
    query = QueryDict(mutable=True)
    query.update(tuned)
    context = {
        "tuned": tuned,
        "settings": [
            {
                "setting": setting,
                "value": tuned[setting.name],
                "error": " ".join(errors.get(setting.name, [])),
            }
            for setting in own_voice.tunable()
        ],
        "errors": errors,
        "name": fields.get("name", ""),
        "key": key or str(uuid.uuid4()),
        "sample": own_voice.SAMPLE,
        "preview_url": f"{reverse('own-voice-preview')}?{query.urlencode()}",
        "credits": plans.OWN_VOICE_CREDITS,
        "available": ledger.wallet_of(request.customer.id).available,
        "own_voices": request.customer.voices.filter(state=Voice.State.READY).order_by(
            "created_at"
        ),
        "revoked_voices": request.customer.voices.filter(state=Voice.State.REVOKED)
        .select_related("match__consent")
        .order_by("created_at"),
        "recorded_consents": list(consents.kept(request.customer)),
        **_of_match(request, fields),
        **shown,
    }
    return render(request, "usage/own_voice.html", context)


def _of_match(request: CustomerRequest, fields: QueryDict) -> dict[str, Any]:
    found = match.newest(request.customer)
    chosen = fields.get("candidate", "0")
    maker = copies.maker()
    sentence = consent.sentence()
    return {
        "match": found,
        "candidates": [
            _in_words(each) | {"number": number, "chosen": str(number) == chosen}
            for number, each in enumerate(found.candidates if found else [])
        ],
        "is_copied": bool(found and found.copied_at),
        "not_copied": copies.failure_of(found) if found else "",
        "copier": maker.label if maker else "",
        "compares": match.finds_here(),
        "held": match.held(request.customer),
        "consent": sentence,
        "consent_sha256": consent.sha256(sentence),
        "to_read": consent.to_read(),
        "phrase": (phrase := consent.phrase()),
        "sample_seconds": f"10 to {copies.OPENAI_SECONDS_MAX} seconds"
        if phrase
        else "10 seconds to 5 minutes",
        "recorded_seconds_max": copies.OPENAI_SECONDS_MAX - 1 if phrase else 60,
        "consent_bytes_max": match.CONSENT_BYTES_MAX,
        "formats": voiceprint.listed(),
        "accept": ",".join(f".{name}" for name in voiceprint.formats()),
        "is_matching": match.is_offered(),
        "new_key": str(uuid.uuid4()),
        "sample_bytes_max": voiceprint.SAMPLE_BYTES_MAX,
    }


def _in_words(candidate: dict[str, Any]) -> dict[str, Any]:
    if label := candidate.get("copy"):
        return {"kind": f"A copy of your voice, made by {label}", "note": "Of your own recording"}
    likeness = candidates.in_words(candidate["likeness"])
    return {
        "kind": candidates.in_kind(candidate["style"]),
        "note": f"{likeness}: of this kind, not this person",
    }


def _settings(fields: QueryDict) -> dict[str, str | int | float]:
    return {
        setting.name: _number(fields.get(setting.name, ""), decimals=bool(setting.decimals))
        if setting.is_number
        else fields.get(setting.name, "")
        for setting in own_voice.tunable()
    }


def _number(digits: str, *, decimals: bool) -> int | float:
    """A small number, whole unless `decimals`; -1, which no setting allows, for anything else."""
    if decimals and re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", digits):
        return float(digits)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 4 else -1

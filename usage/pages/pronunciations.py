"""The customer's pronunciation dictionary: list, add, change, delete, and listen free of charge."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from accounts import throttle, unsent
from accounts.access import CustomerRequest, customer_required, refuse
from usage.models import Pronunciation
from usage.speech import problems, pronunciations, voices

from . import answers


# Exempt here, and checked below: whoever is not logged in should hear that, not of a token.
@csrf_exempt
@unsent.kept("written", "spoken")
@customer_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: CustomerRequest) -> HttpResponseBase:
    if request.method != "POST":
        entry = _entry(request, request.GET.get("change", ""))
        return _render(request, entry, unsent.take(request))
    entry = _entry(request, request.POST.get("entry", ""))
    if "delete" in request.POST:
        if entry:
            entry.delete()
        return redirect("pronunciations")
    written, spoken = (request.POST.get(name, "") for name in ("written", "spoken"))
    try:
        pronunciations.save(request.customer, written, spoken, entry=entry)
        return redirect("pronunciations")
    except problems.Refused as error:
        problem = problems.problem_of(error)
    typed = {"written": written, "spoken": spoken}
    response = _render(request, entry, typed, **answers.on_form(problem, {}))
    response.status_code = problem.status
    return response


@require_safe
@customer_required
def preview(request: CustomerRequest) -> HttpResponseBase:
    """The word of the query in a short sentence, in a voice."""
    if not throttle.is_allowed(request, "preview", account=str(request.customer.pk)):
        return refuse(429, "You have listened very often. Wait some minutes and try again.")
    try:
        speech = pronunciations.preview(
            request.GET.get("written", ""),
            request.GET.get("spoken", ""),
            voices.resolve(request.customer, request.GET.get("voice", "")),
        )
    except problems.EXPECTED as error:
        return answers.as_json(problems.problem_of(error))
    response = HttpResponse(bytes(speech.audio), content_type=speech.content_type)
    response["Cache-Control"] = "private, max-age=3600"
    return response


def _render(
    request: CustomerRequest, entry: Pronunciation | None, typed: dict[str, str], **shown: Any
) -> HttpResponse:
    house = voices.house()
    try:
        chosen = voices.resolve(request.customer, request.GET.get("voice", ""))
    except problems.UnknownVoice:
        chosen = next(iter(house), voices.DEFAULT)
    entries = list(request.customer.pronunciations.order_by("written"))
    context = {
        "entries": [(each, _preview_url(each, chosen)) for each in entries],
        "entries_max": pronunciations.ENTRIES_MAX,
        "characters_max": pronunciations.CHARACTERS_MAX,
        "changed": entry,
        "written": typed.get("written", entry.written if entry else ""),
        "spoken": typed.get("spoken", entry.spoken if entry else ""),
        "voices": [*house, *voices.of(request.customer)],
        "chosen": chosen,
        **shown,
    }
    return render(request, "usage/pronunciations.html", context)


def _preview_url(entry: Pronunciation, voice: voices.Speaker) -> str:
    query = {"written": entry.written, "spoken": entry.spoken, "voice": voice.id}
    return f"{reverse('pronunciations-preview')}?{urlencode(query)}"


def _entry(request: CustomerRequest, entry_id: str) -> Pronunciation | None:
    """The customer's entry of that id; None if there is no such entry."""
    if not (entry_id.isascii() and entry_id.isdigit() and len(entry_id) <= 18):
        return None
    return request.customer.pronunciations.filter(pk=int(entry_id)).first()

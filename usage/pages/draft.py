"""The studio's form as a draft: saved by its script as one types, and by buttons without it."""

from __future__ import annotations

from http import HTTPStatus

from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from accounts import throttle, unsent
from accounts.access import CustomerRequest, customer_required, refuse, wants_json
from usage.models import Draft
from usage.speech import drafts, manner, problems

from . import answers, editor

TOO_OFTEN = "The draft was saved very often. It is saved again in a moment."
RETRY_SECONDS = 30


@csrf_exempt
@unsent.form_only("studio")
@unsent.kept("text", "voice", *manner.FIELDS, page="studio")
@customer_required
@csrf_protect
def page(request: CustomerRequest) -> HttpResponseBase:
    """Save it. With the field `restore`, bring the former text back."""
    if not throttle.is_allowed(request, "draft", account=str(request.customer.pk)):
        return _too_often(request)
    try:
        draft = keep(request)
    except drafts.DraftChanged as error:
        return _changed(request, error)
    except problems.Refused as error:
        problem = problems.problem_of(error)
        if wants_json(request):
            return answers.as_json(problem)
        return editor.shown_again(request, problem.status, **answers.on_form(problem, {}))
    return _as_json(draft) if wants_json(request) else redirect("studio")


def keep(request: CustomerRequest) -> Draft:
    """Save the form of the request. Raises DraftChanged and Refused."""
    change = drafts.restore if "restore" in request.POST else drafts.save
    replaces = {"replaces": request.POST.get("replaces") == "1"}
    return change(
        customer=request.customer,
        typed=drafts.typed(request.POST.dict()),
        version=_version(request),
        now=timezone.now(),
        **({} if change is drafts.restore else replaces),
    )


def _version(request: CustomerRequest) -> int:
    """The version that the page has seen; one that nobody has if it is no number."""
    text = request.POST.get("draft_version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1


def _as_json(draft: Draft, **more: object) -> JsonResponse:
    kept = {
        "version": draft.version,
        "text": draft.text,
        "voice": draft.voice,
        "former_text": draft.former_text,
    }
    return JsonResponse(kept | more)


def _changed(request: CustomerRequest, error: drafts.DraftChanged) -> HttpResponse:
    if wants_json(request):
        response: HttpResponse = _as_json(error.draft, error=str(error))
        response.status_code = HTTPStatus.CONFLICT
        return response
    return editor.shown_again(request, HTTPStatus.CONFLICT, other_draft=error.draft)


def _too_often(request: CustomerRequest) -> HttpResponse:
    if wants_json(request):
        response = refuse(HTTPStatus.TOO_MANY_REQUESTS, TOO_OFTEN)
    else:
        response = editor.shown_again(request, HTTPStatus.TOO_MANY_REQUESTS, problem=TOO_OFTEN)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response

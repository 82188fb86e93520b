"""Voices starred in the studio's picker: by its script, or by a button of its form without it."""

from __future__ import annotations

from django.http import HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from accounts import unsent
from accounts.access import CustomerRequest, customer_required, wants_json
from usage.speech import drafts, favourites, manner, problems

from . import answers, draft, editor


@csrf_exempt
@unsent.form_only("studio")
@unsent.kept("text", "voice", *manner.FIELDS, page="studio")
@customer_required
@csrf_protect
def page(request: CustomerRequest) -> HttpResponseBase:
    """`favourite` or `unfavourite` is the id of the voice. What else stands in the form is kept."""
    is_favourite = "favourite" in request.POST
    voice = request.POST.get("favourite" if is_favourite else "unfavourite", "")
    try:
        favourites.put(customer=request.customer, voice_id=voice, is_favourite=is_favourite)
        if wants_json(request):
            return JsonResponse({"voice": voice, "is_favourite": is_favourite})
        draft.keep(request)
    except drafts.DraftChanged as error:
        return editor.shown_again(request, 409, other_draft=error.draft)
    except problems.EXPECTED as error:
        problem = problems.problem_of(error)
        if wants_json(request):
            return answers.as_json(problem)
        return editor.shown_again(request, problem.status, **answers.on_form(problem, {}))
    return redirect("studio")

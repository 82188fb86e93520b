"""One text of the library: read whole, heard, copied, named, moved, deleted."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from usage.models import Generation
from usage.speech import audio, folders, problems, progress, retention, shelf

from . import answers, editor, library

NOT_DELETED = "This could not be deleted just now. Try again in a moment."


@csrf_exempt
@unsent.kept("title", "folder")
@customer_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    """The text; a form gives it a title and a folder."""
    generation = _generation(request, generation_id)
    if request.method != "POST":
        return _shown(request, generation, unsent.take(request))
    typed = {name: request.POST.get(name, "") for name in ("title", "folder")}
    folder = library.folder_of(request, typed["folder"])
    try:
        shelf.rename(customer=request.customer, generation_id=generation.id, title=typed["title"])
    except problems.Refused as error:
        problem = problems.problem_of(error)
        return _shown(request, generation, typed, problem.status, **answers.on_form(problem, {}))
    shelf.move(customer=request.customer, generation_ids=[generation.id], folder=folder)
    return redirect("generation", generation.id)


@csrf_exempt
@unsent.form_only("library")
@unsent.kept(page="library")
@customer_required
@csrf_protect
def delete(request: CustomerRequest, generation_id: uuid.UUID) -> HttpResponseBase:
    """Delete text and audio; the receipt stays."""
    generation = _generation(request, generation_id)
    try:
        retention.delete_all(generation, timezone.now())
    except (problems.StillRunning, OSError):
        messages.error(request, NOT_DELETED)
        return redirect("generation", generation.id)
    messages.success(request, "Text and audio are deleted. What it cost stays on your Usage page.")
    return redirect(library.address(generation.folder))


def _generation(request: CustomerRequest, generation_id: uuid.UUID) -> Generation:
    rows = shelf.of(request.customer).select_related("folder")
    return get_object_or_404(rows, id=generation_id)


def _shown(
    request: CustomerRequest,
    generation: Generation,
    typed: dict[str, str],
    status: int = 200,
    **shown: Any,
) -> HttpResponse:
    audio.mark_lost([generation])
    folder = str(generation.folder_id or "")
    context = {
        "generation": generation,
        "title": typed.get("title", generation.title),
        "title_max": shelf.TITLE_CHARACTERS_MAX,
        "folder_id": typed.get("folder", folder),
        "folders": folders.of(request.customer),
        "progress": progress.of(generation) if generation.is_with_worker else None,
        **editor.player(generation),
        **shown,
    }
    return render(request, "usage/generation.html", context, status=status)

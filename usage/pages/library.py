"""The library: everything a customer had spoken, to find, hear, take away and put into folders."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_safe

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from usage.models import Folder
from usage.speech import audio, encoded, folders, shelf

from . import editor

NO_FOLDER = "none"  # the value of a choice


@require_safe
@customer_required
def page(request: CustomerRequest) -> HttpResponseBase:
    return shown(request)


def shown(request: CustomerRequest, status: int = 200, **shown_too: Any) -> HttpResponse:
    """The page, with what a form on it has to say."""
    folder = folder_of(request, request.GET.get("folder", ""))
    words = request.GET.get("q", "")[: shelf.SEARCH_CHARACTERS_MAX].strip()
    after = request.GET.get("after", "")
    found = shelf.find(request.customer, words=words, folder=folder, after=after)
    audio.mark_lost(found.rows)
    kept = {"q": words, "folder": str(folder.id) if folder else ""}
    context = {
        "found": found,
        "words": words,
        "folder": folder,
        "folders": folders.of(request.customer),
        "name_max": folders.NAME_CHARACTERS_MAX,
        "words_max": shelf.SEARCH_CHARACTERS_MAX,
        "formats": encoded.DELIVERED,
        "is_first": not after,
        "next": urlencode({**{k: v for k, v in kept.items() if v}, "after": found.after}),
        "back": request.get_full_path() if request.method == "GET" else reverse("library"),
        **editor.player(None),
        **shown_too,
    }
    return render(request, "usage/library.html", context, status=status)


@csrf_exempt
@unsent.form_only("library")
@unsent.kept(page="library")
@customer_required
@csrf_protect
def move(request: CustomerRequest) -> HttpResponseBase:
    """Put the texts that were ticked into a folder, or into none."""
    wanted = request.POST.get("folder", "")
    folder = folder_of(request, wanted)
    ids = [each for text in request.POST.getlist("id") if (each := _uuid(text))]
    if (folder or wanted == NO_FOLDER) and ids:
        count = shelf.move(customer=request.customer, generation_ids=ids, folder=folder)
        what = "1 text is" if count == 1 else f"{count} texts are"
        where = f"in {folder.name}" if folder else "in no folder"
        messages.success(request, f"{what} {where} now.")
    else:
        messages.warning(request, "Tick the texts, and choose a folder for them.")
    return redirect(address(folder))


def address(folder: Folder | None) -> str:
    """The page of a folder, or of all texts."""
    return f"{reverse('library')}?folder={folder.id}" if folder else reverse("library")


def folder_of(request: CustomerRequest, folder_id: str) -> Folder | None:
    """The customer's folder of that id; None if there is none."""
    found = _uuid(folder_id)
    return request.customer.folders.filter(id=found).first() if found else None


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None

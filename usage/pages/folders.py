"""Folders of the library: made, renamed and deleted on its page."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from accounts import unsent
from accounts.access import CustomerRequest, customer_required
from usage.models import Folder
from usage.speech import folders, problems

from . import library


@csrf_exempt
@unsent.form_only("library")
@unsent.kept(page="library")
@customer_required
@csrf_protect
def create(request: CustomerRequest) -> HttpResponseBase:
    name = request.POST.get("name", "")
    try:
        folder = folders.create(customer=request.customer, name=name, now=timezone.now())
    except problems.Refused as error:
        return library.shown(request, 422, new_name=name, new_error=str(error))
    return redirect(library.address(folder))


@csrf_exempt
@unsent.form_only("library")
@unsent.kept(page="library")
@customer_required
@csrf_protect
def change(request: CustomerRequest, folder_id: uuid.UUID) -> HttpResponseBase:
    """Rename it, or delete it with the field `delete`."""
    folder = get_object_or_404(Folder, id=folder_id, customer=request.customer)
    if "delete" in request.POST:
        folders.delete(folder)
        messages.success(request, f"The folder {folder.name} is deleted. Its texts are here.")
        return redirect(library.address(None))
    try:
        folders.rename(folder, request.POST.get("name", ""))
    except problems.Refused as error:
        folder.refresh_from_db()
        return library.shown(request, 422, folder=folder, rename_error=str(error))
    return redirect(library.address(folder))

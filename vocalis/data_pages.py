"""The pages on which customers take their data with them, and delete their account."""

from __future__ import annotations

import tempfile
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts import sessions
from accounts.access import CustomerRequest, customer_required
from accounts.forms import OwnPasswordForm
from accounts.recent import recent_login_required
from accounts.throttle import refusal, throttled_password
from accounts.unsent import form_only
from usage.pages.audio import Pieces

from .operations import closing, deletion, export

WORD = "delete"
CLOSED = (
    "Your account is closed, and you are logged out. We are deleting its data; that takes some "
    "minutes. Goodbye."
)


class DeleteForm(OwnPasswordForm):
    word = forms.CharField(
        label=f"Type “{WORD}”",
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word.strip().strip("“”\"'").lower() != WORD:
            raise forms.ValidationError(f"Type the word {WORD} here, to be sure.")
        return word


@require_http_methods(["GET", "HEAD"])
@customer_required
@never_cache
def data(request: CustomerRequest) -> HttpResponse:
    return render(request, "accounts/data.html")


@form_only("account_data")
@customer_required
@recent_login_required("account_data")
@never_cache
def download(request: CustomerRequest) -> HttpResponseBase:
    """Everything as a zip. It is written whole before the first byte goes out."""
    customer, now = request.customer, timezone.now()
    if refused := refusal(request, "export", account=f"id {request.user.pk}"):
        return refused

    def address(generation_id: Any) -> str:
        return request.build_absolute_uri(reverse("audio", args=[generation_id]))

    with tempfile.TemporaryFile() as file:
        export.write(customer, file, address=address, now=now)
        response = Pieces(file, 0, file.seek(0, 2), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="vocalis-{now:%Y-%m-%d}.zip"'
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@customer_required
@never_cache
@throttled_password("password")
@sensitive_post_parameters("password")
def delete_account(request: CustomerRequest) -> HttpResponse:
    user = request.user
    form = DeleteForm(user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            closing.ask(customer=request.customer, now=timezone.now())
        except deletion.NotDeletable as error:
            form.add_error(None, str(error))
        else:
            sessions.end_others(user=user, here=request.session.session_key)
            logout(request)
            messages.success(request, CLOSED)
            return redirect("home")
    status = 422 if form.is_bound else 200
    return render(request, "accounts/delete.html", {"form": form}, status=status)

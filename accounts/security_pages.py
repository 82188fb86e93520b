"""The page of passwords, passkeys and codes, and what is done there."""

from __future__ import annotations

from typing import cast

import segno
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from . import passkeys, second_step
from .access import refuse
from .forms import CodeForm, PasskeyForm
from .models import User
from .recent import recent_login_required
from .throttle import refusal
from .unsent import form_only

page = require_http_methods(["GET", "HEAD", "POST"])

SECRET = "secret of an app"  # in the session, until the app has shown a code
ALREADY = "Your account has an authenticator app. Remove it first."


@require_http_methods(["GET", "HEAD"])
@login_required
@never_cache
def security(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    context = {
        "app": getattr(user, "authenticator_app", None),
        "passkeys": user.passkeys.order_by("added_at", "pk"),
        "codes_left": second_step.codes_left(user),
        "has_codes": user.recovery_codes.exists(),
        "passkey_form": PasskeyForm(),
    }
    return render(request, "accounts/security.html", context)


@page
@recent_login_required("authenticator_app")
@never_cache
@sensitive_post_parameters("code")
def authenticator_app(request: HttpRequest) -> HttpResponse:
    """Set up an app: a QR code of a new secret, and a first code as proof."""
    user, now = cast(User, request.user), timezone.now()
    if second_step.has_app(user):
        messages.info(request, ALREADY)
        return redirect("security")
    form = CodeForm(request.POST if request.method == "POST" else None)
    secret = request.session.get(SECRET) or second_step.new_secret()
    if request.method == "POST":
        if refused := refusal(request, "second step", account=f"id {user.pk}"):
            return refused
        if form.is_valid():
            try:
                code = form.cleaned_data["code"]
                codes = second_step.add_app(user=user, secret=secret, code=code, now=now)
            except second_step.CodeRefused as error:
                form.add_error("code", str(error))
            except second_step.AlreadyThere:
                messages.info(request, ALREADY)
                return redirect("security")
            else:
                request.session.pop(SECRET, None)
                return _done(request, "Your authenticator app is set up.", codes)
    request.session[SECRET] = secret
    picture = segno.make(second_step.uri(user, secret), micro=False, error="m")
    context = {
        "form": form,
        "picture": picture.svg_data_uri(scale=5, border=4, dark="#000", light="#fff"),
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "email": user.email,
    }
    return render(request, "accounts/authenticator_app.html", context)


@form_only("security")
@recent_login_required("security")
def remove_app(request: HttpRequest) -> HttpResponseBase:
    user = cast(User, request.user)
    if second_step.remove_app(user=user, now=timezone.now()):
        messages.success(request, "Your authenticator app is removed.")
    return redirect("security")


@form_only("security")
@recent_login_required("security")
@never_cache
def new_recovery_codes(request: HttpRequest) -> HttpResponseBase:
    user = cast(User, request.user)
    if not second_step.is_on(user):
        messages.info(request, "Add a passkey or an authenticator app first.")
        return redirect("security")
    codes = second_step.new_codes(user=user, now=timezone.now())
    return _done(request, "You have new recovery codes. The former ones no longer work.", codes)


@form_only("security")
@recent_login_required("security")
@never_cache
def passkey_options(request: HttpRequest) -> HttpResponseBase:
    """What the browser needs to make a passkey."""
    user = cast(User, request.user)
    try:
        options = passkeys.begin_adding(user=user, session=request.session, now=timezone.now())
    except passkeys.PasskeyRefused as error:
        return refuse(409, str(error))
    return JsonResponse(options)


@form_only("security")
@recent_login_required("security")
@never_cache
def add_passkey(request: HttpRequest) -> HttpResponseBase:
    user, form = cast(User, request.user), PasskeyForm(request.POST)
    if not form.is_valid():
        messages.error(
            request, " ".join(str(words) for error in form.errors.values() for words in error)
        )
        return redirect("security")
    try:
        passkey, codes = passkeys.add(
            user=user,
            session=request.session,
            name=form.cleaned_data["name"],
            answer=form.cleaned_data["credential"],
            now=timezone.now(),
        )
    except passkeys.PasskeyRefused as error:
        messages.error(request, str(error))
        return redirect("security")
    return _done(request, f"{passkey.name} is added.", codes)


@form_only("security")
@recent_login_required("security")
def remove_passkey(request: HttpRequest, passkey_id: int) -> HttpResponseBase:
    user = cast(User, request.user)
    if passkeys.remove(user=user, passkey_id=passkey_id, now=timezone.now()):
        messages.success(request, "The passkey is removed.")
    return redirect("security")


def _done(request: HttpRequest, words: str, codes: list[str]) -> HttpResponse:
    """Back to the page, or once to the recovery codes, if there are new ones."""
    messages.success(request, words)
    if not codes:
        return redirect("security")
    return render(request, "accounts/recovery_codes.html", {"codes": codes})

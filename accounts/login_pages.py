"""The pages of the login: password, second step, passkey; and showing again who one is."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from . import login, passkeys, second_step
from .access import next_url, refuse, start_url
from .forms import CodeForm, LoginForm, OwnPasswordForm
from .models import User
from .recent import mark_confirmed
from .throttle import is_allowed, refusal, throttled, throttled_password
from .unsent import form_only

page = require_http_methods(["GET", "HEAD", "POST"])

TOO_MANY = "Too many attempts. Wait some minutes and try again."
BEGIN_ANEW = "The first step is too long ago. Log in once more."


@page
@never_cache
@throttled("login")
@sensitive_post_parameters("password")
def log_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return HttpResponseRedirect(next_url(request) or start_url(request.user))
    login.forget(request)
    form = LoginForm(request, request.POST or None)
    if form.is_valid():
        now = timezone.now()
        return login.after_password(request, form.user, next_url=next_url(request), now=now)
    return render(request, "accounts/login.html", {"form": form, "next": next_url(request)})


@page
@never_cache
@sensitive_post_parameters("code")
def second(request: HttpRequest) -> HttpResponse:
    """The second step: a code of the app, a recovery code, or a passkey."""
    now = timezone.now()
    user = login.begun(request, now)
    if user is None:
        return redirect("login")
    form = CodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if refused := refusal(request, "second step", account=f"id {user.pk}"):
            return refused
        if form.is_valid():
            try:
                by = second_step.use(user=user, code=form.cleaned_data["code"], now=now)
            except second_step.CodeRefused as error:
                form.add_error("code", str(error))
            else:
                if by is second_step.By.RECOVERY:
                    _warn_of_codes(request, user)
                return login.finish(request, user, next_url=login.begun_next_url(request), now=now)
    context = {
        "form": form,
        "has_app": second_step.has_app(user),
        "has_passkey": user.passkeys.exists(),
    }
    return render(request, "accounts/login_second.html", context)


@form_only("login")
@never_cache
def passkey_options(request: HttpRequest) -> HttpResponse:
    """What the browser needs to use a passkey: of the user who is known, or of any."""
    now = timezone.now()
    if not is_allowed(request, "passkey"):
        return refuse(429, TOO_MANY)
    options = passkeys.begin_login(user=_known(request), session=request.session, now=now)
    return JsonResponse(options)


@form_only("login")
@never_cache
def use_passkey(request: HttpRequest) -> HttpResponse:
    """Log in with what the browser has made of a passkey, or show again who one is."""
    now = timezone.now()
    known = _known(request)
    if not is_allowed(request, "passkey"):
        return _refused(request, TOO_MANY)
    try:
        answer = request.POST.get("credential", "")
        user = passkeys.use(user=known, session=request.session, answer=answer, now=now)
    except passkeys.PasskeyRefused as error:
        return _refused(request, str(error))
    if request.user.is_authenticated:
        mark_confirmed(request, now)
        return HttpResponseRedirect(next_url(request) or start_url(user))
    wanted = login.begun_next_url(request) if known else next_url(request)
    return login.finish(request, user, next_url=wanted, now=now)


@page
@never_cache
@login_required
@throttled_password("password")
@sensitive_post_parameters("password")
def reauthenticate(request: HttpRequest) -> HttpResponse:
    """Ask a user who is logged in for the password once more."""
    user = cast(User, request.user)
    form = OwnPasswordForm(user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        mark_confirmed(request, timezone.now())
        return HttpResponseRedirect(next_url(request) or start_url(user))
    context = {"form": form, "next": next_url(request), "has_passkey": user.passkeys.exists()}
    return render(request, "accounts/reauthenticate.html", context)


def _known(request: HttpRequest) -> User | None:
    """Who is logged in here, or whose password was right a moment ago."""
    if request.user.is_authenticated:
        return request.user
    return login.begun(request, timezone.now())


def _refused(request: HttpRequest, why: str) -> HttpResponse:
    messages.error(request, why)
    if request.user.is_authenticated:
        return redirect("reauthenticate")
    return redirect("login_second" if _known(request) else "login")


def _warn_of_codes(request: HttpRequest, user: User) -> None:
    left = second_step.codes_left(user)
    messages.warning(
        request,
        f"You have used a recovery code; {left or 'none'} {'is' if left == 1 else 'are'} left. "
        "You can make new ones under Account, Security.",
    )

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.contrib.messages.views import SuccessMessageMixin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

import mails

from . import confirmation, login, overview, password_reset, profile, sessions, signup, unsent
from .access import CustomerRequest, next_url, start_url
from .aliases import EmailTaken
from .forms import EmailForm, NewPasswordForm, PasswordChangeForm, ProfileForm, SignupForm
from .throttle import throttled, throttled_password

if TYPE_CHECKING:
    Success = SuccessMessageMixin[Any]
else:  # generic in the stubs only
    Success = SuccessMessageMixin

LINK_SENT = "We have sent a link to {}. Open it to confirm that the address is yours."
LINK_PROMISED = "If there is an account for this address, we will send it an e-mail with a link."

page = require_http_methods(["GET", "HEAD", "POST"])


@page
@never_cache
@throttled("signup")
@sensitive_post_parameters("password")
def sign_up(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(start_url(request.user))
    form = SignupForm(request.POST or None)
    if form.is_valid():
        try:
            password = form.cleaned_data["password"]
            zone, now = form.cleaned_data["time_zone"], timezone.now()
            customer = signup.register(**form.person(), password=password, time_zone=zone, now=now)
        except EmailTaken as error:
            form.add_error("email", str(error))
        else:
            messages.success(request, f"Welcome, {customer.user.first_name}.")
            if settings.TRIAL_NEEDS_CONFIRMATION:
                messages.info(request, LINK_SENT.format(customer.user.email))
            # Without a page that was asked for to the studio, where the trial begins.
            return login.finish(request, customer.user, next_url=next_url(request), now=now)
    return render(request, "accounts/signup.html", {"form": form, "next": next_url(request)})


@page
@unsent.kept("first_name", "last_name", "email", "time_zone")
@login_required
@throttled_password("current_password")
@sensitive_post_parameters("current_password")
def edit_profile(request: CustomerRequest) -> HttpResponse:
    form = ProfileForm(request.user, request.POST or None, typed=unsent.take(request))
    if form.is_valid():
        try:
            is_asked = profile.change(
                user=request.user,
                **form.person(),
                time_zone=form.cleaned_data["time_zone"],
                now=timezone.now(),
            )
        except EmailTaken as error:
            form.add_error("email", str(error))
        else:
            messages.success(request, "Your profile is saved.")
            if is_asked:
                messages.info(request, LINK_SENT.format(form.person()["email"]))
            return redirect("profile")
    context = {"form": form, "waiting": confirmation.waiting(request.user)}
    context |= overview.of(request, timezone.now())
    return render(request, "accounts/profile.html", context)


@page
@never_cache
@throttled("password reset")
def ask_password_reset(request: HttpRequest) -> HttpResponse:
    form = EmailForm(request.POST or None)
    if form.is_valid():
        password_reset.ask(email=form.cleaned_data["email"], now=timezone.now())
        messages.info(request, LINK_PROMISED)
        return redirect("login")
    return render(request, "accounts/password_reset.html", {"form": form})


@unsent.form_only("home")
def log_out(request: HttpRequest) -> HttpResponseBase:
    return auth_views.LogoutView.as_view()(request)


class PasswordTold(Success):
    """Tells people by mail that their password was changed, in the same transaction.

    All sessions but this one end.
    """

    request: HttpRequest

    def form_valid(self, form: Any) -> HttpResponse:
        now = timezone.now()
        former = self.request.session.session_key
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            mails.write(form.user.pk, "account.password_changed", now.isoformat(), {}, now)
            here = self.request.session.session_key
            sessions.moved(former, here)
            sessions.end_others(user=form.user, here=here)
        return response


class PasswordResetConfirm(PasswordTold, auth_views.PasswordResetConfirmView):
    form_class = NewPasswordForm
    template_name = "accounts/password_reset_confirm.html"
    success_url = reverse_lazy("login")
    success_message = "Your new password is set. Log in with it."


@method_decorator(throttled_password("old_password"), name="dispatch")
class PasswordChange(PasswordTold, auth_views.PasswordChangeView):
    form_class = PasswordChangeForm
    template_name = "accounts/password_change.html"
    success_url = reverse_lazy("security")
    success_message = "Your new password is set. All other browsers are logged out."


def change_password(request: HttpRequest) -> HttpResponse:
    """Where password managers look for the page that changes a password."""
    return redirect("password_change")

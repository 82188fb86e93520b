from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.contrib.messages.views import SuccessMessageMixin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

import mails

from . import confirmation, password_reset, profile, signup, unsent
from .access import CustomerRequest, next_url, start_url
from .aliases import EmailTaken
from .forms import (
    EmailForm,
    LoginForm,
    NewPasswordForm,
    PasswordChangeForm,
    ProfileForm,
    SignupForm,
)
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
            customer = signup.register(**form.person(), password=password, now=timezone.now())
        except EmailTaken as error:
            form.add_error("email", str(error))
        else:
            login(request, customer.user)
            messages.success(request, f"Welcome, {customer.user.first_name}. Choose how to start.")
            if settings.TRIAL_NEEDS_CONFIRMATION:
                messages.info(request, LINK_SENT.format(customer.user.email))
            return HttpResponseRedirect(next_url(request) or reverse("plans"))
    return render(request, "accounts/signup.html", {"form": form, "next": next_url(request)})


@page
@never_cache
@throttled("login")
@sensitive_post_parameters("password")
def log_in(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return HttpResponseRedirect(next_url(request) or start_url(request.user))
    form = LoginForm(request, request.POST or None)
    if form.is_valid():
        login(request, form.user)
        return HttpResponseRedirect(next_url(request) or start_url(form.user))
    return render(request, "accounts/login.html", {"form": form, "next": next_url(request)})


@page
@unsent.kept("first_name", "last_name", "email")
@login_required
@throttled_password("current_password")
@sensitive_post_parameters("current_password")
def edit_profile(request: CustomerRequest) -> HttpResponse:
    form = ProfileForm(request.user, request.POST or None, typed=unsent.take(request))
    if form.is_valid():
        try:
            is_asked = profile.change(user=request.user, **form.person(), now=timezone.now())
        except EmailTaken as error:
            form.add_error("email", str(error))
        else:
            messages.success(request, "Your profile is saved.")
            if is_asked:
                messages.info(request, LINK_SENT.format(form.person()["email"]))
            return redirect("profile")
    context = {"form": form, "waiting": confirmation.waiting(request.user)}
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
    """Tells people by mail that their password was changed, in the same transaction."""

    def form_valid(self, form: Any) -> HttpResponse:
        now = timezone.now()
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            mails.write(form.user.pk, "account.password_changed", now.isoformat(), {}, now)
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
    success_url = reverse_lazy("profile")
    success_message = "Your new password is set."

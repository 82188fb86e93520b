"""Pages that mails lead to: confirming an address, which mails one wants, and turning one off."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from mails import preferences
from mails.kinds import KINDS, optional

from . import confirmation, profile, unsent
from .access import next_url, start_url
from .aliases import EmailTaken
from .forms import MailForm
from .models import User
from .throttle import is_allowed

page = require_http_methods(["GET", "HEAD", "POST"])

SENT_AGAIN = "A new link is on its way to {}. Look into the folder for spam, too."
TOO_OFTEN = "We have sent you several links already. Wait some minutes and try again."
NOTHING_WAITS = "Your address is confirmed."
LINK_REFUSED = "This link no longer works. Have a new one sent from your profile."


@page
@never_cache
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """What the link asks, and the button that confirms it. It works without a login."""
    try:
        asked = confirmation.read(token)
        if request.method == "POST":
            confirmation.confirm(token, timezone.now())
            messages.success(request, f"{asked.address} is confirmed.")
            user = request.user if request.user.is_authenticated else None
            return redirect(start_url(user) if user else "login")
    except confirmation.LinkRefused:
        return render(request, "accounts/confirm.html", {"failure": LINK_REFUSED}, status=404)
    except EmailTaken as error:
        return render(request, "accounts/confirm.html", {"failure": str(error)}, status=409)
    return render(request, "accounts/confirm.html", {"asked": asked})


@unsent.form_only("profile")
@login_required
def ask(request: HttpRequest) -> HttpResponseBase:
    """Send the link again to the address that waits."""
    user = cast(User, request.user)
    address = confirmation.waiting(user)
    if not address:
        messages.success(request, NOTHING_WAITS)
    elif not is_allowed(request, "confirmation", account=f"id {user.pk}"):
        messages.error(request, TOO_OFTEN)
    else:
        confirmation.ask(user=user, now=timezone.now())
        messages.success(request, SENT_AGAIN.format(address))
    return redirect(next_url(request) or "profile")


@unsent.form_only("profile")
@login_required
def keep_address(request: HttpRequest) -> HttpResponseBase:
    """Ask for no other address any more."""
    user = cast(User, request.user)
    profile.keep_address(user=user)
    messages.success(request, f"Your address stays {user.email}.")
    return redirect("profile")


@page
@unsent.kept()
@login_required
@never_cache
def preferences_page(request: HttpRequest) -> HttpResponse:
    """Which mails the user wants."""
    user_id = cast(User, request.user).pk
    unsent.take(request)  # only for its message
    chosen = preferences.of(user_id)
    wanted = [kind for kind in optional() if kind not in chosen.unwanted]
    known = {"wanted": wanted, "low_balance_credits": chosen.low_balance_credits}
    form = MailForm(request.POST if request.method == "POST" else None, initial=known)
    if form.is_valid():
        preferences.change(user_id, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("mails")
    status = 422 if form.is_bound else 200
    return render(request, "accounts/mails.html", {"form": form}, status=status)


# Exempt: mail programs post here with one click, without cookies (RFC 8058).
@csrf_exempt
@page
@never_cache
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """Turn one kind of mail off, without a login. A GET only asks: programs open links, too."""
    try:
        user_id, kind = preferences.read_token(token)
    except preferences.LinkRefused:
        return render(request, "accounts/unsubscribe.html", {"is_refused": True}, status=404)
    is_done = request.method == "POST" and User.objects.filter(pk=user_id).exists()
    if is_done:
        preferences.turn_off(user_id, kind)
    context = {"what": KINDS[kind].choice, "is_done": is_done}
    return render(request, "accounts/unsubscribe.html", context)

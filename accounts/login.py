"""The login in its steps: password, then code or passkey; or a passkey alone.

Between the steps the anonymous session knows whose password was right, for some minutes. A changed
password or a closed account ends that. The session is the user's only after the last step, with a
new key. `confirmed_at` in it says when its user has last shown who they are (`accounts.recent`).
"""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare

from . import second_step
from .access import start_url
from .models import User
from .recent import mark_confirmed

BEGUN = "login begun"  # in the session
BEGUN_SECONDS = 600


def after_password(
    request: HttpRequest, user: User, *, next_url: str, now: datetime
) -> HttpResponse:
    """Go on with a user whose password was right: to the second step, or to the page asked for."""
    if not second_step.is_on(user):
        return finish(request, user, next_url=next_url, now=now)
    request.session[BEGUN] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "at": now.timestamp(),
        "next": next_url,
    }
    return redirect("login_second")


def begun(request: HttpRequest, now: datetime) -> User | None:
    """The user whose password was right in this session, some minutes ago at most."""
    kept = request.session.get(BEGUN)
    if not kept or not 0 <= now.timestamp() - kept["at"] <= BEGUN_SECONDS:
        return None
    user = User.objects.filter(pk=kept["user"], is_active=True).first()
    if user is None or not constant_time_compare(user.get_session_auth_hash(), kept["hash"]):
        return None
    return user


def forget(request: HttpRequest) -> None:
    """Begin anew: perhaps another person is at the keyboard now."""
    request.session.pop(BEGUN, None)


def begun_next_url(request: HttpRequest) -> str:
    """The page that was asked for before the first step, or ""."""
    return str(request.session.get(BEGUN, {}).get("next", ""))


def finish(request: HttpRequest, user: User, *, next_url: str, now: datetime) -> HttpResponse:
    """Log the user in."""
    request.session.pop(BEGUN, None)
    login(request, user)
    mark_confirmed(request, now)
    return HttpResponseRedirect(next_url or start_url(user))

"""Pages that change how an account is entered ask for the password again.

An open session on a shared machine is not enough for them. Who has shown the password or a passkey
in the last minutes, by logging in or on the page `reauthenticate`, is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from .access import LOG_IN_FIRST, View, refuse, wants_json

CONFIRMED_AT = "confirmed_at"  # in the session
RECENT_SECONDS = 900
SHOW_PASSWORD = "Enter your password again, then repeat this."


def mark_confirmed(request: HttpRequest, now: datetime) -> None:
    request.session[CONFIRMED_AT] = now.timestamp()


def is_recent(request: HttpRequest, now: datetime) -> bool:
    at = request.session.get(CONFIRMED_AT)
    return at is not None and 0 <= now.timestamp() - at <= RECENT_SECONDS


def recent_login_required(page: str) -> Callable[[View], View]:
    """Restrict a view to users who have shown who they are in the last minutes.

    Others are asked on a page of its own, and come to the page named `page` after that: a POST is
    not done then, it has to be sent again. A program that asks for JSON gets 401 or 403.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                if wants_json(request):
                    return refuse(401, LOG_IN_FIRST)
                return redirect_to_login(reverse(page))
            if is_recent(request, timezone.now()):
                return view(request, *args, **kwargs)
            if wants_json(request):
                return refuse(403, SHOW_PASSWORD)
            return redirect(f"{reverse('reauthenticate')}?{urlencode({'next': reverse(page)})}")

        return guarded

    return decorate

"""Forms of people whose session had ended: after logging in they are back on the form's page,
with what they had typed.

That waits in the session with which the login goes on. The views name the fields; a password or the
number of a card must not be among them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from .access import View, wants_json
from .throttle import is_allowed

SESSION_KEY = "unsent form"
CHARACTERS_MAX = 25_000  # of all fields; a text of 5,000 may be longer before it is normalised
KEPT_SECONDS = 3_600
NOTHING_SENT = "You were logged out, so nothing was sent. Check the form and send it again."


def form_only(page: str) -> Callable[[View], View]:
    """For a view that only takes a form: a GET leads to `page`, where the form is."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method in ("GET", "HEAD"):
                return redirect(page)
            if request.method != "POST":
                return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def kept(*fields: str, page: str = "") -> Callable[[View], View]:
    """Keep `fields` of a form sent without a session, for `take` on `page` or its own address."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method != "POST" or request.user.is_authenticated or wants_json(request):
                return view(request, *args, **kwargs)
            back = reverse(page) if page else request.path
            if _is_from_our_page(request, view):
                _keep(request, back, {name: request.POST.get(name, "") for name in fields})
            return redirect_to_login(back)

        return guarded

    return decorate


def take(request: HttpRequest) -> dict[str, str]:
    """What was typed on this page before logging in, once; the page says that it was not sent."""
    form = request.session.get(SESSION_KEY)
    if request.method != "GET" or not form or form["page"] != request.path:
        return {}
    del request.session[SESSION_KEY]
    if timezone.now().timestamp() - form["at"] > KEPT_SECONDS:
        return {}
    messages.warning(request, NOTHING_SENT)
    fields: dict[str, str] = form["fields"]
    return fields


def _is_from_our_page(request: HttpRequest, view: View) -> bool:
    """The CSRF check, for views that are exempt from it until someone is logged in: to keep the
    form of another site would give the browser a new session, and log out whoever has one."""
    return CsrfViewMiddleware(lambda _: HttpResponse()).process_view(request, view, (), {}) is None


def _keep(request: HttpRequest, page: str, fields: dict[str, str]) -> None:
    """Nobody has logged in here, so what one may have stored is bounded in size and number."""
    if sum(map(len, fields.values())) <= CHARACTERS_MAX and is_allowed(request, "unsent form"):
        at = timezone.now().timestamp()
        request.session[SESSION_KEY] = {"page": page, "fields": fields, "at": at}

"""Keeps the input of a form that was sent after the session had ended.

After logging in, people return to the form's page and find what they had typed. It is stored in the
anonymous session, which the login continues. The views name the fields to keep; passwords and card
numbers must not be among them.
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
CHARACTERS_MAX = 125_000  # of all fields; a text is longer until it is normalised
KEPT_SECONDS = 3_600
NOTHING_SENT = "You were logged out, so nothing was sent. Check the form and send it again."


def form_only(page: str) -> Callable[[View], View]:
    """Restrict a view to POST. A GET is redirected to `page`, which shows the form."""

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
    """Keep `fields` of a form sent without a login, then redirect to the login page.

    After the login, `take` returns them on `page`, or on the view's own address.
    """

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
    """What was typed on this page before the login, by field. Returned once.

    Adds a message that the form was not sent.
    """
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
    """Run the CSRF check, also for views that are exempt from it before login.

    Keeping the form of another site would give the browser a new session, and so log out its user.
    """
    return CsrfViewMiddleware(lambda _: HttpResponse()).process_view(request, view, (), {}) is None


def _keep(request: HttpRequest, page: str, fields: dict[str, str]) -> None:
    """Store the fields in the session. Visitors are anonymous, so size and number are limited."""
    if sum(map(len, fields.values())) <= CHARACTERS_MAX and is_allowed(request, "unsent form"):
        at = timezone.now().timestamp()
        request.session[SESSION_KEY] = {"page": page, "fields": fields, "at": at}

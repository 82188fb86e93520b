"""Pages of no app: the front page, which speaks of all of them, and those of failures."""

from __future__ import annotations

import logging
import sys

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import resolve
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt

from accounts.access import refuse, start_url, wants_json
from billing import plans

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5
SAMPLE = "Good evening. You are listening to Vocalis, and every character counts."


def home(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(start_url(request.user))
    words = {
        "trial": plans.PLANS["trial"],
        "plans": plans.PLANS.values(),
        "standard_credits": plans.STANDARD_CREDITS,
        "premium_credits": plans.PREMIUM_CREDITS,
        "own_voice_credits": plans.OWN_VOICE_CREDITS,
        "credits_per_dollar": plans.CREDITS_PER_DOLLAR,
        "sample": SAMPLE,
        "sample_credits": len(SAMPLE) * plans.STANDARD_CREDITS,
    }
    return render(request, "home.html", words)


def unavailable_if_database(
    request: HttpRequest, error: BaseException | None
) -> HttpResponse | None:
    """503 if `error` says that the database is away, locked or full;
    rendered without it, and without the user."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return None
    logger.error("503 for %s: %s", request.path, error)
    return _later(request, "The database is not responding. Try again in a moment.", is_busy=False)


def too_busy(request: HttpRequest) -> HttpResponse:
    """503 for a request whose turn did not come (`vocalis.turns`). It has seen no middleware."""
    words = "The site is very busy right now. Try again in a moment."
    response = _later(request, words, is_busy=True)
    response["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _later(request: HttpRequest, message: str, *, is_busy: bool) -> HttpResponse:
    if wants_json(request) or request.path.startswith("/api/"):
        response = refuse(503, message)
    else:
        response = HttpResponse(render_to_string("503.html", {"is_busy": is_busy}), status=503)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response


@csrf_exempt  # programs are told where nothing is, not that a token is missing
def no_such_api(request: HttpRequest, rest: str) -> HttpResponse:
    """404 in JSON, with DEBUG too, instead of a page that no log of a sender has room for."""
    without_slash = request.path.rstrip("/")
    message = "There is nothing at this address."
    if request.path == f"{without_slash}/" and resolve(without_slash).func is not no_such_api:
        message += f" Leave out the slash at the end: {without_slash}"
    return refuse(404, message)


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """405 in JSON for programs, else as a page. `allowed` as in the header Allow."""
    if wants_json(request) or request.path.startswith(("/api/", "/health")):
        response = refuse(405, f"{request.method} is not possible here. Use {allowed}.")
    else:
        response = render(request, "405.html", status=405)
    response["Allow"] = allowed
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """What escaped every view and middleware; the error is the one being handled."""
    return unavailable_if_database(request, sys.exc_info()[1]) or defaults.server_error(request)

"""The error pages, of which no app is in charge."""

from __future__ import annotations

import logging
import sys

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import resolve
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt

from accounts.access import refuse, wants_json
from api import dialects
from api.middleware import of_outside

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5


def unavailable_if_database(
    request: HttpRequest, error: BaseException | None
) -> HttpResponse | None:
    """The 503 page if `error` means that the database is unreachable, locked or full, else None.

    It is rendered without the database, and so without the user.
    """
    if not isinstance(error, (OperationalError, InterfaceError)):
        return None
    logger.error("503 for %s: %s", request.path, error)
    return _later(request, "The database is not responding. Try again in a moment.", is_busy=False)


def too_busy(request: HttpRequest) -> HttpResponse:
    """503 for a request that got no thread (`vocalis.concurrency`).

    No middleware runs for it, so the security headers are set here.
    """
    message = "The site is very busy right now. Try again in a moment."
    response = _later(request, message, is_busy=True)
    response["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _later(request: HttpRequest, message: str, *, is_busy: bool) -> HttpResponse:
    if dialects.is_ours(request.path):
        response = of_outside(request.path, request.headers, 503)
    elif wants_json(request) or request.path.startswith("/api/"):
        response = refuse(503, message)
    else:
        response = HttpResponse(render_to_string("503.html", {"is_busy": is_busy}), status=503)
    response["Retry-After"] = str(RETRY_SECONDS)
    return response


@csrf_exempt  # a program that posts here should get 404, not 403 for a missing token
def no_such_api(request: HttpRequest, rest: str) -> HttpResponse:
    """404 as JSON, with DEBUG too: Django's page is too long for the log of a webhook sender."""
    without_slash = request.path.rstrip("/")
    message = "There is nothing at this address."
    if request.path == f"{without_slash}/" and resolve(without_slash).func is not no_such_api:
        message += f" Leave out the slash at the end: {without_slash}"
    return refuse(404, message)


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """405 as JSON for programs, else as a page. `allowed` is the value of the Allow header."""
    if wants_json(request) or request.path.startswith(("/api/", "/health")):
        response = refuse(405, f"{request.method} is not possible here. Use {allowed}.")
    else:
        response = render(request, "405.html", status=405)
    response["Allow"] = allowed
    return response


def server_error(request: HttpRequest) -> HttpResponse:
    """The 500 page, or the 503 page if the exception being handled comes from the database."""
    return unavailable_if_database(request, sys.exc_info()[1]) or defaults.server_error(request)

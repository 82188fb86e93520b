"""Failures as problem details (RFC 9457): `application/problem+json`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import reverse

from api.failures import Failure

# Where a status needs another one than speech has it, by our code.
STATUSES: dict[str, int] = {}
TITLES = {
    "insufficient_credits": "Not enough credits",
    "key_budget_exceeded": "The budget of this API key is spent",
    "missing_api_key": "No API key",
    "invalid_api_key": "This API key is not valid",
    "insufficient_scope": "This API key may not be used for this",
    "rate_limit_exceeded": "Too many requests",
    "wallet_frozen": "The credits of this account are on hold",
    "key_reused": "This idempotency key was used for another request",
    "still_running": "The same request is being worked on",
}


def answer(failure: Failure, request_id: str) -> HttpResponse:
    """The failure as a response. `type` is the address of the page that explains it."""
    name = failure.code.replace("_", "-")
    body: dict[str, Any] = {
        "type": f"{settings.SITE_URL}/docs/api/problems/#{name}",
        "title": TITLES.get(failure.code, failure.code.replace("_", " ").capitalize()),
        "status": failure.status,
        "detail": failure.message,
        "instance": request_id,
        "code": failure.code,
        **failure.details,
    }
    if failure.code == "insufficient_credits":
        body["top_up_url"] = f"{settings.SITE_URL}{reverse('billing')}"
    if failure.errors:
        body["errors"] = [
            {"pointer": f"/{field}", "detail": message}
            for field, messages in failure.errors.items()
            for message in messages
        ]
    response = JsonResponse(
        body,
        status=STATUSES.get(failure.code, failure.status),
        content_type="application/problem+json",
    )
    if failure.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if failure.retry_after_seconds is not None:
        response["Retry-After"] = str(failure.retry_after_seconds)
    return response

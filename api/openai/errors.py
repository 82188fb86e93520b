"""Failures as OpenAI's clients read them: `{"error": {"message", "type", "param", "code"}}`.

Their classes follow the status. Without credits their service answers 429 `insufficient_quota`, and
programs look for that; `x-should-retry` keeps the clients from trying it again.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import reverse

from api.failures import Failure

QUOTA = "insufficient_quota"
# Our codes → theirs, with the status.
CODES = {
    "insufficient_credits": (429, QUOTA),
    "key_budget_exceeded": (429, QUOTA),
    "missing_api_key": (401, "invalid_api_key"),
    "too_many_streams": (429, "rate_limit_exceeded"),
    "refused": (400, "invalid_value"),
    "text_refused": (400, "invalid_value"),
    "unknown_voice": (400, "invalid_value"),
    "unknown_format": (400, "invalid_value"),
    "too_many_consents": (400, "too_many_consents"),
}
# Their names of our fields; of the key it is a header.
PARAMS = {
    "text": "input",
    "format": "response_format",
    "key": "Idempotency-Key",
    "sample": "audio_sample",
}
NEVER_AGAIN = {QUOTA, "too_many_matches"}  # what the clients would try again in vain
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def answer(failure: Failure, request_id: str) -> HttpResponse:
    """The failure as a response."""
    status, body = error(failure)
    response = JsonResponse({"error": body}, status=status)
    if body["code"] in NEVER_AGAIN:
        response["x-should-retry"] = "false"
    if failure.retry_after_seconds is not None:
        response["Retry-After"] = str(failure.retry_after_seconds)
    return response


def error(failure: Failure) -> tuple[int, dict[str, Any]]:
    """Status and error of a failure."""
    status, code = CODES.get(failure.code, (failure.status, failure.code))
    field = next(iter(failure.errors), None)
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return status, {
        "message": _message(failure),
        "type": QUOTA if code == QUOTA else kind,
        "param": failure.details.get("param") or (PARAMS.get(field, field) if field else None),
        "code": code,
    }


def _message(failure: Failure) -> str:
    if failure.code != "insufficient_credits":
        return failure.message
    return f"{failure.message}. Add credits at {settings.SITE_URL}{reverse('top_up')}"

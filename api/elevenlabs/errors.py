"""Failures as ElevenLabs' clients read them: `{"detail": {…}}`, with the code in `status`, too.

What is wrong with a field is a list, as their framework writes it. Without credits their service
answers 401 `quota_exceeded`, and programs look for that.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, JsonResponse

from api.failures import Failure

QUOTA = "quota_exceeded"
CODES = {
    "insufficient_credits": (401, QUOTA),
    "key_budget_exceeded": (401, QUOTA),
    "missing_api_key": (401, "invalid_api_key"),
    "too_many_streams": (429, "too_many_concurrent_requests"),
    "rate_limit_exceeded": (429, "too_many_concurrent_requests"),
    "unknown_voice": (404, "voice_not_found"),
}


def answer(failure: Failure, request_id: str) -> HttpResponse:
    """The failure as a response."""
    status, code = CODES.get(failure.code, (failure.status, failure.code))
    detail: Any = {
        "type": "error",
        "code": code,
        "message": _message(failure) if code == QUOTA else failure.message,
        "status": code,
        "request_id": request_id,
    }
    if status == 422 and failure.errors:
        detail = [
            {"type": "value_error", "loc": ["body", name], "msg": message}
            for name, messages in failure.errors.items()
            for message in messages
        ]
    response = JsonResponse({"detail": detail}, status=status)
    if failure.retry_after_seconds is not None:
        response["Retry-After"] = str(failure.retry_after_seconds)
    return response


def _message(failure: Failure) -> str:
    """In their words, which programs parse; a key's budget is named."""
    details = failure.details
    left = details.get("available", details.get("remaining", 0))
    limit = details.get("limit", left)
    which = "this key's budget" if "limit" in details else "your quota"
    return (
        f"This request exceeds {which} of {limit}. You have {left} credits remaining, while "
        f"{details.get('needed', 0)} credits are required for this request."
    )

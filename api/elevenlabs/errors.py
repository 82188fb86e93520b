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
    "too_many_streams": (429, "system_busy"),
    "rate_limit_exceeded": (429, "too_many_concurrent_requests"),
    "unknown_voice": (404, "voice_not_found"),
}
# Where what we call a field is in their requests. Others are in the body, under their own name;
# a name with a slash says the place itself: "query/output_format".
PLACES = {
    "key": ("header", "Idempotency-Key"),
    "voice": ("path", "voice_id"),
    "speed": ("body", "voice_settings", "speed"),
    "sample": ("body", "files"),
    "consent": ("body", "labels", "consent"),
}
IN_PLACES = ("query", "path", "header", "body")
MISSING = "Field required"


def invalid(place: str, message: str) -> Failure:
    """What is wrong with a field of a request, as 422. `place`: "query/page_size", or "text"."""
    return Failure(422, "invalid_request", message, errors={place: [message]})


def answer(failure: Failure, request_id: str) -> HttpResponse:
    """The failure as a response."""
    status, body = shape(failure, request_id)
    response = JsonResponse(body, status=status)
    if failure.retry_after_seconds is not None:
        response["Retry-After"] = str(failure.retry_after_seconds)
    return response


def shape(failure: Failure, request_id: str) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer to a failure."""
    status, code = CODES.get(failure.code, (failure.status, failure.code))
    if status == 422 and failure.errors:
        return status, {
            "detail": [
                {
                    "type": "missing" if text == MISSING else "value_error",
                    "loc": _place(name),
                    "msg": text,
                }
                for name, texts in failure.errors.items()
                for text in texts
            ]
        }
    detail: dict[str, Any] = {
        "type": _type(status),
        "code": code,
        "message": message(failure),
        "status": code,
        "request_id": request_id,
    }
    if param := failure.details.get("param"):
        detail["param"] = param
    return status, {"detail": detail}


def message(failure: Failure) -> str:
    """Its words; where credits are missing those of their service, which programs parse."""
    if CODES.get(failure.code, (0, ""))[1] != QUOTA:
        return failure.message
    details = failure.details
    left = details.get("available", details.get("remaining", 0))
    limit = details.get("limit", left)
    which = "this key's budget" if "limit" in details else "your quota"
    return (
        f"This request exceeds {which} of {limit}. You have {left} credits remaining, while "
        f"{details.get('needed', 0)} credits are required for this request."
    )


def code_of(failure: Failure) -> str:
    """What their clients know it as."""
    return CODES.get(failure.code, (0, failure.code))[1]


def _place(name: str) -> list[str]:
    if name in PLACES:
        return list(PLACES[name])
    parts = [part for part in name.split("/") if part]
    return parts if parts and parts[0] in IN_PLACES else ["body", *parts]


def _type(status: int) -> str:
    types = {
        400: "validation_error",
        401: "authentication_error",
        403: "authorization_error",
        404: "not_found",
        409: "conflict",
        422: "validation_error",
        429: "rate_limit_error",
    }
    return types.get(status, "internal_error" if status >= 500 else "request_error")

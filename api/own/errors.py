"""Failures as problem details (RFC 9457): `application/problem+json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import reverse

from api.failures import Failure


@dataclass(frozen=True, slots=True)
class Explained:
    """A kind of problem, as the page of problems has it."""

    code: str
    status: int
    title: str
    what: str  # it means, and what to do

    @property
    def name(self) -> str:
        """Its anchor on the page, with which the address in `type` ends."""
        return self.code.replace("_", "-")


EXPLAINED = (
    Explained("invalid_request", 422, "Invalid request", "`errors` says which field, and why."),
    Explained(
        "refused",
        422,
        "This cannot be spoken or made so",
        "`errors` says which field, and why. Nothing was charged.",
    ),
    Explained("unknown_format", 422, "Unknown format", "Choose one that `detail` names."),
    Explained(
        "missing_api_key",
        401,
        "No API key",
        "Send it as Authorization: Bearer vk_…, or as xi-api-key: vk_….",
    ),
    Explained(
        "invalid_api_key",
        401,
        "This API key is not valid",
        "It is mistyped, revoked, or has expired. Make a new one.",
    ),
    Explained(
        "insufficient_scope",
        403,
        "This API key may not be used for this",
        "`scope` names the scope it needs. Make a key that has it.",
    ),
    Explained(
        "wallet_frozen",
        403,
        "The credits of this account are on hold",
        "Write to us before you go on.",
    ),
    Explained(
        "insufficient_credits",
        402,
        "Not enough credits",
        "`missing` credits are wanting. `top_up_url` is where you get more.",
    ),
    Explained(
        "key_budget_exceeded",
        402,
        "The budget of this API key is spent",
        "`remaining` of `limit` credits are left. Give the key another budget, or wait.",
    ),
    Explained("unknown_voice", 404, "Unknown voice", "`GET /v1/voices` lists those there are."),
    Explained(
        "voice_not_owned",
        403,
        "Not a voice of your own",
        "Only your own can be changed or deleted.",
    ),
    Explained(
        "voice_in_progress",
        409,
        "Another voice of yours is being made",
        "Send the request again when that one is ready.",
    ),
    Explained(
        "match_in_progress",
        409,
        "Another recording of yours is being looked at",
        "Send the request again in a moment.",
    ),
    Explained(
        "too_many_matches",
        429,
        "As many recordings as a day has",
        "Send it again after `Retry-After`. Nothing was charged.",
    ),
    Explained(
        "webhook_disabled",
        409,
        "This endpoint is disabled",
        "Nothing is sent to it. Enable it first: PATCH it with `enabled` true.",
    ),
    Explained(
        "secret_replaced",
        409,
        "The secret was replaced meanwhile",
        "Get the endpoint again, and see its `rotations`. Replace the secret once more if you do"
        " not have the present one.",
    ),
    Explained("not_found", 404, "Not found", "There is no such thing, or it is not yours."),
    Explained("unknown_url", 404, "Unknown address", "Look for a typing error in the address."),
    Explained(
        "method_not_allowed", 405, "This method is not possible here", "`Allow` says which are."
    ),
    Explained(
        "still_running",
        409,
        "The same request is being worked on",
        "Send it again after `Retry-After`: you get its answer, and pay once.",
    ),
    Explained(
        "key_reused",
        422,
        "This idempotency key was used for another request",
        "Use a new one for another text, voice, format or speed, or another key or endpoint.",
    ),
    Explained(
        "already_made",
        409,
        "This request has made a key or endpoint before",
        "`key` or `webhook` is its id. Its secret is shown for one minute, to whoever asks again,"
        " and then to nobody. Sending the request again changes nothing.",
    ),
    Explained(
        "audio_lost",
        410,
        "The audio is not there any more",
        "It was paid for, so it is made again free, in the studio or on the Usage page.",
    ),
    Explained(
        "audio_deleted",
        410,
        "The audio was deleted because its time was over",
        "It is made again free, in the studio or on the Usage page.",
    ),
    Explained(
        "text_deleted",
        410,
        "The text was deleted",
        "Its customer deleted text and audio in the library. The receipt stays.",
    ),
    Explained("too_large", 413, "The request is too large", "Send a shorter text."),
    Explained(
        "rate_limit_exceeded",
        429,
        "Too many requests",
        "Send it again after `Retry-After`. Nothing was charged.",
    ),
    Explained(
        "too_many_streams",
        429,
        "The service is busy",
        "Send it again after `Retry-After`. Nothing was charged.",
    ),
    Explained(
        "speech_failed",
        503,
        "The speech could not be made",
        "Nothing was charged. Send it again after a moment.",
    ),
    Explained(
        "audio_unreachable",
        503,
        "The audio cannot be read just now",
        "Send the request again after `Retry-After`.",
    ),
    Explained(
        "unavailable", 503, "The service is not available", "Send it again after `Retry-After`."
    ),
    Explained(
        "internal_error", 500, "A fault of ours", "Nothing was charged for it. It is in our log."
    ),
)
# What our own requests call a field of `usage.speech`.
FIELDS = {"sample": "recording"}
TITLES = {each.code: each.title for each in EXPLAINED}


def answer(failure: Failure, request_id: str) -> HttpResponse:
    """The failure as a response. `type` is the address of the page that explains it."""
    name = failure.code.replace("_", "-")
    body: dict[str, Any] = {
        "type": f"{settings.SITE_URL}{reverse('api_problems')}#{name}",
        "title": TITLES.get(failure.code, failure.code.replace("_", " ").capitalize()),
        "status": failure.status,
        "detail": failure.message,
        "instance": request_id,
        "code": failure.code,
        **failure.details,
    }
    if failure.code == "insufficient_credits":
        body["top_up_url"] = f"{settings.SITE_URL}{reverse('top_up')}"
    if failure.errors:
        body["errors"] = [
            {"pointer": f"/{FIELDS.get(field, field)}", "detail": message}
            for field, messages in failure.errors.items()
            for message in messages
        ]
    response = JsonResponse(
        body,
        status=failure.status,
        content_type="application/problem+json",
    )
    if failure.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if failure.retry_after_seconds is not None:
        response["Retry-After"] = str(failure.retry_after_seconds)
    for name, value in failure.headers.items():
        response[name] = value
    return response

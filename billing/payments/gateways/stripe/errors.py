"""Stripe's errors as ours: declined, try again, or never.

https://docs.stripe.com/error-handling, https://docs.stripe.com/error-low-level
"""

from __future__ import annotations

from typing import Any

import stripe

from billing.models import Payment
from billing.payments.gateways import CardGone, GatewayDeclined, GatewayUnavailable
from jobs.errors import Rejected

from .declines import kind_of, words_of

REFUSED_PAUSE_SECONDS = 60  # a refused key fails every row alike
RATE_PAUSE_SECONDS = 2
# Where Stripe says that a card or a customer is not there any more.
GONE_PARAMETERS = {"payment_method", "customer", "default_payment_method"}
GONE_WORDS = "may not be used again"  # a detached card, in some answers without a code


class StripeRejected(Rejected):
    """Stripe understood the request and refused it. `code` is Stripe's word for why."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def translated(error: stripe.StripeError) -> Exception:
    """What to raise instead of the SDK's error."""
    code = code_of(error)
    said = f"Stripe: {error.user_message or type(error).__name__}"
    if error.http_status == 409:  # another request with this key is under way
        return GatewayUnavailable(said, is_under_way=True)
    match error:
        case stripe.CardError():
            return declined(error)
        case stripe.RateLimitError():
            # The limiter stands before everything else, so this says nothing of earlier requests.
            wait = _retry_after(error) or RATE_PAUSE_SECONDS
            return GatewayUnavailable(said, retry_after_seconds=wait)
        case stripe.AuthenticationError() | stripe.PermissionError():
            return GatewayUnavailable(
                f"{said} (is STRIPE_SECRET_KEY right, and has it this right?)",
                pause_seconds=REFUSED_PAUSE_SECONDS,
            )
        case stripe.IdempotencyError():
            return StripeRejected(f"the same key with another request: {said}", code=code)
        case stripe.InvalidRequestError() if _is_gone(error, code):
            return CardGone(
                "This card cannot be charged any more. Add it again, or another one.",
                Payment.Decline.NEW_CARD,
            )
        case stripe.InvalidRequestError():
            return StripeRejected(f"{said} ({code or error.http_status})", code=code)
    # Without a status there was no connection, or no answer.
    return GatewayUnavailable(said, is_doubtful=error.http_status is not None)


def declined(error: stripe.CardError) -> GatewayDeclined:
    fields = fields_of(error)
    kind = kind_of(fields)
    return GatewayDeclined(
        words_of(fields, kind), kind, reference=(fields.get("payment_intent") or {}).get("id") or ""
    )


def code_of(error: stripe.StripeError) -> str:
    """Stripe's code. For some errors the SDK has it in the body only."""
    return error.code or str(fields_of(error).get("code") or "")


def fields_of(error: stripe.StripeError) -> dict[str, Any]:
    """The fields of the error in the body of the answer."""
    body = error.json_body
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _is_gone(error: stripe.StripeError, code: str) -> bool:
    parameter = fields_of(error).get("param")
    if code == "resource_missing":
        return parameter in GONE_PARAMETERS
    return parameter == "payment_method" or GONE_WORDS in (error.user_message or "")


def _retry_after(error: stripe.StripeError) -> float:
    text = str((error.headers or {}).get("Retry-After") or "")
    return float(text) if text.isdecimal() else 0

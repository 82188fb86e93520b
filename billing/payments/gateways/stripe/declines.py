"""What a decline says about trying again, and what the customer is told.

https://docs.stripe.com/declines/codes, https://docs.stripe.com/declines/card
"""

from __future__ import annotations

from typing import Any

from billing.models import Payment

Decline = Payment.Decline

# What the issuer advises counts before the code. Codes that are not below may pass later.
ADVICE = {
    "do_not_try_again": Decline.NEVER,
    "try_again_later": Decline.LATER,
    "confirm_card_data": Decline.NEW_CARD,
}
CODES: dict[Decline, set[str]] = {
    Decline.CUSTOMER: {"authentication_required", "authentication_not_handled"},
    Decline.NEW_CARD: {
        "card_not_supported",
        "currency_not_supported",
        "expired_card",
        "incorrect_cvc",
        "incorrect_number",
        "invalid_account",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
        "new_account_information_available",
    },
    Decline.NEVER: {
        "do_not_try_again",
        "fraudulent",
        "highest_risk_level",
        "lost_card",
        "merchant_blacklist",
        "pickup_card",
        "previously_declined_do_not_retry",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "stolen_card",
        "stop_payment_order",
        "transaction_not_allowed",
    },
}
WORDS = {
    Decline.CUSTOMER: "Your bank wants you to confirm this payment.",
    Decline.NEW_CARD: "This card cannot be charged.",
    # Nobody is told that a card was reported lost or stolen, or that fraud is suspected.
    Decline.NEVER: "Your card was declined.",
    Decline.LATER: "Your card was declined.",
}
WORDS_LENGTH_MAX = 300


def kind_of(error: dict[str, Any]) -> Payment.Decline:
    """The class of a card error: of its advice if there is one, else of its code."""
    advice = ADVICE.get(str(error.get("advice_code")))
    if advice:
        return advice
    codes = {error.get("decline_code"), error.get("code")} - {None}
    if not error.get("decline_code"):
        codes |= {_reason(error)} - {""}
    for kind, listed in CODES.items():
        if codes & listed:
            return kind
    return Decline.LATER


def words_of(error: dict[str, Any], kind: Payment.Decline) -> str:
    """What the customer reads: Stripe's sentence, which is made for them, or ours."""
    said = str(error.get("message") or "").strip()[:WORDS_LENGTH_MAX]
    return WORDS[kind] if kind == Decline.NEVER or not said else said


def _reason(error: dict[str, Any]) -> str:
    """Why Stripe itself blocked the charge, if it did and the answer has the charge."""
    intent = error.get("payment_intent") or {}
    charge = intent.get("latest_charge")
    outcome = charge.get("outcome") if isinstance(charge, dict) else None
    return str((outcome or {}).get("reason") or "")

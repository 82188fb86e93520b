"""Which cards a payment may be tried with again, after a decline.

A card is known by its fingerprint, so that the same card saved anew is no other card.
"""

from __future__ import annotations

from typing import Any

from billing.models import Payment, PaymentMethod

# What a decline says about one card only: another card may be charged at once.
NOT_THIS_CARD = (Payment.Decline.NEVER, Payment.Decline.NEW_CARD)


def noted(payment: Payment, name: str, decline: str) -> dict[str, Any]:
    """The fields of a payment that was declined with the card of this fingerprint, or none ("")."""
    refused = payment.refused_cards
    if decline in NOT_THIS_CARD and name and name not in refused:
        refused = [*refused, name]
    return {"decline": decline, "declined_card": name, "refused_cards": refused}


def fingerprint(card: PaymentMethod | None) -> str:
    return (card.fingerprint or card.reference) if card else ""


def may_try(payment: Payment, card: PaymentMethod | None) -> bool:
    """Whether this card may be charged for the payment again."""
    return card is not None and fingerprint(card) not in payment.refused_cards


def may_retry(payment: Payment, card: PaymentMethod | None) -> bool:
    """Whether it may be tried again without the customer, whose bank may want a confirmation."""
    return may_try(payment, card) and payment.decline != Payment.Decline.CUSTOMER


def is_other(payment: Payment, card: PaymentMethod | None) -> bool:
    """Whether it is another card than the one that was declined last, and may be charged."""
    return may_try(payment, card) and fingerprint(card) != payment.declined_card

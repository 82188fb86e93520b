"""The card a customer pays with.

The card data stays at the gateway; we store the gateway's reference to it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from billing.models import Payment, PaymentMethod, Subscription

from .gateways import SavedCard


class CardInUse(Exception):
    """A payment is being made with the card."""


IN_USE = Payment.State.INITIATED, Payment.State.CHARGING, Payment.State.REQUIRES_ACTION


def card_of(customer_id: UUID) -> PaymentMethod | None:
    """The card that a payment would use now."""
    return PaymentMethod.objects.filter(customer_id=customer_id).first()


def keep(customer_id: UUID, gateway_name: str, saved: SavedCard, now: datetime) -> PaymentMethod:
    """Use a card from now on that was typed in at the gateway. In the caller's transaction.

    Payments that wait for a confirmation with another card become due, so that they use it too, and
    so does a plan whose renewal was declined.
    """
    method = PaymentMethod.objects.update_or_create(
        customer_id=customer_id, defaults={"gateway": gateway_name, **fields_of(saved)}
    )[0]
    _use_in_waiting(customer_id, now)
    return method


def fields_of(saved: SavedCard) -> dict[str, Any]:
    """The columns of a PaymentMethod for this card."""
    return {
        "reference": saved.card.reference,
        "label": saved.card.label,
        "fingerprint": saved.card.fingerprint,
        "brand": saved.brand,
        "last4": saved.last4,
        "exp_month": saved.exp_month,
        "exp_year": saved.exp_year,
        "is_expiry_told": False,
    }


def check_unused(customer_id: UUID) -> None:
    """Raise CardInUse while a payment of this customer is being made."""
    if Payment.objects.filter(customer_id=customer_id, state__in=IN_USE).exists():
        raise CardInUse


def _use_in_waiting(customer_id: UUID, now: datetime) -> None:
    waiting = Payment.objects.filter(customer_id=customer_id, state=Payment.State.REQUIRES_ACTION)
    waiting.run_now(now)
    past_due = Subscription.objects.live().filter(
        customer_id=customer_id, past_due_at__isnull=False
    )
    past_due.run_now(now)

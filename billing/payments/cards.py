"""The card a customer pays with.

The card data stays at the gateway; we store the gateway's reference to it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from billing.models import Payment, PaymentMethod, Subscription

from .gateways import Card, SavedCard, gateway


class UnknownCard(Exception):
    """The gateway has no such card for this customer."""


class CardInUse(Exception):
    """A payment is being made with the card."""


NOT_KNOWN = {
    "brand": "",
    "last4": "",
    "exp_month": None,
    "exp_year": None,
    "is_expiry_told": False,
}  # of test cards
IN_USE = Payment.State.INITIATED, Payment.State.CHARGING, Payment.State.REQUIRES_ACTION


def shown(customer_id: UUID) -> Card | None:
    """The card that a payment would use now. Writes nothing."""
    method = PaymentMethod.objects.filter(
        customer_id=customer_id, gateway=settings.PAYMENT_GATEWAY
    ).first()
    if method:
        return Card(method.reference, method.label, method.fingerprint)
    return next(iter(gateway().cards_of(customer_id=customer_id)), None)


def card_of(customer_id: UUID) -> PaymentMethod | None:
    """The customer's card at the gateway in use.

    If none was chosen, the gateway's first one is stored and returned, None if it has none.
    """
    name = settings.PAYMENT_GATEWAY
    method = PaymentMethod.objects.filter(customer_id=customer_id).first()
    if method and method.gateway == name:
        return method
    card = shown(customer_id)
    return _store(customer_id, card) if card else None


def choose(*, customer_id: UUID, reference: str, now: datetime) -> PaymentMethod:
    """Use this card from now on. Raises UnknownCard.

    Payments that wait for a confirmation with another card become due, so that they use it too, and
    so does a plan whose renewal was declined.
    """
    offered = gateway().cards_of(customer_id=customer_id)
    card = next((card for card in offered if card.reference == reference), None)
    if card is None:
        raise UnknownCard(reference)
    method = _store(customer_id, card)
    _use_in_waiting(customer_id, now)
    return method


def keep(customer_id: UUID, gateway_name: str, saved: SavedCard, now: datetime) -> PaymentMethod:
    """Use a card from now on that was typed in at the gateway, as `choose` does.

    In the caller's transaction.
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


def _store(customer_id: UUID, card: Card) -> PaymentMethod:
    chosen = {
        "gateway": settings.PAYMENT_GATEWAY,
        "reference": card.reference,
        "label": card.label,
        "fingerprint": card.fingerprint,
        **NOT_KNOWN,
    }
    return PaymentMethod.objects.update_or_create(customer_id=customer_id, defaults=chosen)[0]

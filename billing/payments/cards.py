"""Which card a customer pays with.

The card itself stays at the gateway; here is its reference there.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.conf import settings

from billing.models import Payment, PaymentMethod

from .gateways import Card, gateway


class UnknownCard(Exception):
    """The gateway has no such card for this customer."""


def shown(customer_id: UUID) -> Card | None:
    """The card a payment made now would take. Writes nothing."""
    method = PaymentMethod.objects.filter(
        customer_id=customer_id, gateway=settings.PAYMENT_GATEWAY
    ).first()
    if method:
        return Card(method.reference, method.label)
    return next(iter(gateway().cards_of(customer_id=customer_id)), None)


def card_of(customer_id: UUID) -> PaymentMethod | None:
    """The customer's card at the gateway in use; on first need the one the gateway begins with,
    where it has one.
    """
    name = settings.PAYMENT_GATEWAY
    method = PaymentMethod.objects.filter(customer_id=customer_id).first()
    if method and method.gateway == name:
        return method
    card = shown(customer_id)
    return _store(customer_id, card) if card else None


def choose(*, customer_id: UUID, reference: str, now: datetime) -> PaymentMethod:
    """Pay with this card from now on, also what waits for a confirmation with another one.

    Raises UnknownCard.
    """
    offered = gateway().cards_of(customer_id=customer_id)
    card = next((card for card in offered if card.reference == reference), None)
    if card is None:
        raise UnknownCard(reference)
    method = _store(customer_id, card)
    Payment.objects.filter(customer_id=customer_id, state=Payment.State.REQUIRES_ACTION).run_now(
        now
    )
    return method


def _store(customer_id: UUID, card: Card) -> PaymentMethod:
    chosen = {"gateway": settings.PAYMENT_GATEWAY, "reference": card.reference, "label": card.label}
    return PaymentMethod.objects.update_or_create(customer_id=customer_id, defaults=chosen)[0]

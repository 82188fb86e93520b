"""The card a customer pays with.

The card data stays at the gateway; we store the gateway's reference to it.
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

    Payments that wait for a confirmation with another card become due, so that they use it too.
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
    chosen = {
        "gateway": settings.PAYMENT_GATEWAY,
        "reference": card.reference,
        "label": card.label,
        "fingerprint": card.fingerprint,
    }
    return PaymentMethod.objects.update_or_create(customer_id=customer_id, defaults=chosen)[0]

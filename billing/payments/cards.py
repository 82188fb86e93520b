"""Which card a customer pays with. The card itself stays at the gateway; here is its reference there."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from billing.models import PaymentMethod

from .gateways import gateway


class UnknownCard(Exception):
    """The gateway has no such card for this customer."""


def card_of(customer_id: UUID) -> PaymentMethod | None:
    """The customer's card at the gateway in use; on first need the gateway's default card, where it has one."""
    name = settings.PAYMENT_GATEWAY
    method = PaymentMethod.objects.filter(customer_id=customer_id).first()
    if method and method.gateway == name:
        return method
    return choose(customer_id=customer_id, reference=cards[0].reference) if (cards := gateway().cards) else None


def choose(*, customer_id: UUID, reference: str) -> PaymentMethod:
    """Pay with this card from now on. Raises UnknownCard."""
    card = next((card for card in gateway().cards if card.reference == reference), None)
    if card is None:
        raise UnknownCard(reference)
    chosen = {"gateway": settings.PAYMENT_GATEWAY, "reference": card.reference, "label": card.label}
    return PaymentMethod.objects.update_or_create(customer_id=customer_id, defaults=chosen)[0]

"""The test gateway: two cards that only exist here. It keeps its own books, so that a key is charged once as anywhere."""

from __future__ import annotations

from django.utils import timezone

from billing.models import ChargeAtTestGateway

from . import Card, Charge, GatewayDeclined

GOOD_CARD = Card("test-4242", "Test card •••• 4242")
DECLINING_CARD = Card("test-0002", "Test card •••• 0002")


class TestGateway:
    __test__ = False  # its name invites pytest

    cards = (GOOD_CARD, DECLINING_CARD)
    is_real_money = False

    def charge(self, *, key: str, amount_cents: int, currency: str, method_reference: str, description: str) -> Charge:
        if method_reference != GOOD_CARD.reference:
            raise GatewayDeclined("The card was declined.")
        row, _ = ChargeAtTestGateway.objects.get_or_create(
            key=key,
            defaults={
                "amount_cents": amount_cents,
                "currency": currency,
                "method_reference": method_reference,
                "description": description,
            },
        )
        return _charge(row)

    def find(self, *, key: str) -> Charge | None:
        row = ChargeAtTestGateway.objects.filter(key=key).first()
        return _charge(row) if row else None

    def refund(self, *, key: str) -> None:
        if not ChargeAtTestGateway.objects.filter(key=key).exists():
            raise GatewayDeclined("There is no such charge.")
        ChargeAtTestGateway.objects.filter(key=key, refunded_at=None).update(refunded_at=timezone.now())


def _charge(row: ChargeAtTestGateway) -> Charge:
    return Charge(reference=f"test-charge-{row.pk}", amount_cents=row.amount_cents)

"""The test gateway, with cards that exist only here.

It stores its charges, so that a key is charged only once, as at a real gateway.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.urls import reverse
from django.utils import timezone

from billing.models import ChargeAtTestGateway

from . import Card, Charge, ChargeState, GatewayDeclined

GOOD_CARD = Card("test-4242", "Test card •••• 4242", "test-4242")
DECLINING_CARD = Card("test-0002", "Test card •••• 0002", "test-0002")
CONFIRMED_CARD = Card(
    "test-3155", "Test card •••• 3155", "test-3155"
)  # charged once the customer confirms

State = ChargeAtTestGateway.State


class TestGateway:
    __test__ = False  # pytest would collect it because of its name

    is_real_money = False

    def cards_of(self, *, customer_id: UUID) -> Sequence[Card]:
        return GOOD_CARD, DECLINING_CARD, CONFIRMED_CARD

    def charge(
        self, *, key: str, amount_cents: int, currency: str, method_reference: str, description: str
    ) -> Charge:
        if method_reference not in (GOOD_CARD.reference, CONFIRMED_CARD.reference):
            raise GatewayDeclined("The card was declined.")
        row, _ = ChargeAtTestGateway.objects.get_or_create(
            key=key,
            defaults={
                "state": State.PAID if method_reference == GOOD_CARD.reference else State.WAITING,
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

    def confirmation_url(self, *, key: str, return_url: str) -> str:
        return reverse("test_bank", args=[key])

    def confirm(self, *, key: str) -> bool:
        """Confirm the waiting charge, as the bank's page would. Returns whether it was waiting."""
        return bool(
            ChargeAtTestGateway.objects.filter(key=key, state=State.WAITING).update(
                state=State.PAID
            )
        )

    def cancel(self, *, key: str) -> Charge:
        ChargeAtTestGateway.objects.filter(key=key, state=State.WAITING).update(
            state=State.CANCELLED
        )
        return _charge(ChargeAtTestGateway.objects.get(key=key))

    def refund(self, *, key: str) -> None:
        paid = ChargeAtTestGateway.objects.filter(key=key, state=State.PAID)
        if not paid.exists():
            raise GatewayDeclined("There is no such charge.")
        paid.filter(refunded_at=None).update(refunded_at=timezone.now())


def _charge(row: ChargeAtTestGateway) -> Charge:
    return Charge(
        reference=f"test-charge-{row.pk}",
        amount_cents=row.amount_cents,
        method_reference=row.method_reference,
        state=ChargeState(row.state),
    )

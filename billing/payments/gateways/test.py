"""The test gateway, with cards that exist only here.

It stores its charges, so that a key is charged only once, as at a real gateway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone

from billing.models import ChargeAtTestGateway, PaymentAttempt

from . import Card, Charge, ChargeState, GatewayDeclined, Refund, RefundState

GOOD_CARD = Card("test-4242", "Test card •••• 4242", "test-4242")
DECLINING_CARD = Card("test-0002", "Test card •••• 0002", "test-0002")
CONFIRMED_CARD = Card(
    "test-3155", "Test card •••• 3155", "test-3155"
)  # charged once the customer confirms

State = ChargeAtTestGateway.State


class TestGateway:
    __test__ = False  # pytest would collect it because of its name

    is_real_money = False
    hosted = None

    def cards_of(self, *, customer_id: UUID) -> Sequence[Card]:
        return GOOD_CARD, DECLINING_CARD, CONFIRMED_CARD

    def parameters(self, attempt: PaymentAttempt, *, description: str) -> dict[str, Any]:
        return {
            "method_reference": attempt.method_reference,
            "amount_cents": attempt.amount_cents,
            "currency": attempt.currency,
            "description": description,
        }

    def charge(self, attempt: PaymentAttempt) -> Charge:
        card = attempt.parameters["method_reference"]
        if card not in (GOOD_CARD.reference, CONFIRMED_CARD.reference):
            raise GatewayDeclined("The card was declined.")
        state = State.PAID if card == GOOD_CARD.reference else State.WAITING
        row, _ = ChargeAtTestGateway.objects.get_or_create(
            key=attempt.key, defaults={"state": state, **attempt.parameters}
        )
        return _charge(row)

    def find(self, attempt: PaymentAttempt) -> Charge | None:
        row = ChargeAtTestGateway.objects.filter(key=attempt.key).first()
        return _charge(row) if row else None

    def confirmation_url(self, attempt: PaymentAttempt, *, return_url: str) -> str | None:
        return reverse("test_bank", args=[attempt.key])

    def confirm(self, *, key: str) -> bool:
        """Confirm the waiting charge, as the bank's page would. Returns whether it was waiting."""
        return bool(
            ChargeAtTestGateway.objects.filter(key=key, state=State.WAITING).update(
                state=State.PAID
            )
        )

    def cancel(self, attempt: PaymentAttempt) -> Charge:
        ChargeAtTestGateway.objects.filter(key=attempt.key, state=State.WAITING).update(
            state=State.CANCELLED
        )
        return _charge(ChargeAtTestGateway.objects.get(key=attempt.key))

    def refund(self, attempt: PaymentAttempt, *, key: str, amount_cents: int) -> Refund:
        paid = ChargeAtTestGateway.objects.filter(key=attempt.key, state=State.PAID)
        if not paid.exists():
            raise GatewayDeclined("There is no such charge.")
        paid.filter(refunded_at=None).update(refunded_at=timezone.now())
        return self.find_refund(f"refund-{key}")

    def find_refund(self, reference: str) -> Refund:
        return Refund(reference, RefundState.PAID_BACK)


def _charge(row: ChargeAtTestGateway) -> Charge:
    return Charge(reference=f"test-charge-{row.pk}", state=ChargeState(row.state))

"""Asking for a payment, or for its refund: rows that a worker brings to their end (`billing.payments.processing`)."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import Customer
from billing.models import Payment, Subscription
from jobs.errors import Rejected, Snooze

State = Payment.State
CENTS_MAX = 100_000_000  # a million dollars: more is an error of somebody's


class InvoiceTotalInvalid(Rejected):
    """Metronome asks for an amount that nobody can charge."""


class RechargeUnderWay(Snooze):
    """The customer has an open recharge; this one waits for its end."""


class NotRefundable(Exception):
    """Only what was charged and not granted can be refunded."""


def request_plan_payment(*, subscription: Subscription, period: int, amount_cents: int, now: datetime) -> Payment:
    """The payment of one period of a plan, made on first asking. A worker brings it to CHARGED or FAILED.

    Whoever asked grants the credits once it is CHARGED and then calls `mark_granted`.
    """
    return Payment.objects.get_or_create(
        subscription=subscription,
        period=period,
        defaults={
            "customer_id": subscription.customer_id,
            "kind": Payment.Kind.PLAN,
            "amount_cents": amount_cents,
            "gateway": settings.PAYMENT_GATEWAY,
            "created_at": now,
            "due_at": now,
        },
    )[0]


def mark_granted(payment: Payment, *, grant_id: int, now: datetime) -> None:
    """Note that the credits of a charged plan payment have been granted. Safe to repeat."""
    Payment.objects.filter(pk=payment.pk, kind=Payment.Kind.PLAN, state=State.CHARGED).update(
        state=State.GRANTED, grant_id=grant_id, settled_at=now, due_at=None, dead_at=None, last_error=""
    )


def request_recharge(
    *, customer: Customer, workflow_id: str, invoice_id: str, invoice_total: object, currency: str, now: datetime
) -> Payment:
    """The payment of one recharge workflow, made on first asking. `invoice_total` is in cents, as Metronome sent it.

    Raises InvoiceTotalInvalid, and RechargeUnderWay while another recharge of the customer is open.
    """
    if found := Payment.objects.filter(workflow_id=workflow_id).first():
        return found
    amount_cents = _whole_cents(invoice_total, currency)
    try:
        with transaction.atomic():
            return Payment.objects.create(
                customer=customer, kind=Payment.Kind.RECHARGE, workflow_id=workflow_id, invoice_id=invoice_id,
                invoice_total=str(invoice_total), amount_cents=amount_cents, gateway=settings.PAYMENT_GATEWAY,
                created_at=now, due_at=now,
            )  # fmt: skip
    except IntegrityError:
        if found := Payment.objects.filter(workflow_id=workflow_id).first():
            return found
        raise RechargeUnderWay("another recharge of this customer is under way", seconds=10) from None


def request_refund(payment: Payment, *, reason: str, now: datetime) -> None:
    """Have a worker give back what was charged and never granted. Raises NotRefundable.

    A live subscription may be in the middle of granting it, and a recharge always can be: neither is refunded.
    """
    live = Subscription.objects.live().filter(payments=payment).exists()
    charged = Payment.objects.filter(pk=payment.pk, kind=Payment.Kind.PLAN, state=State.CHARGED)
    if live or not charged.update(state=State.REFUNDING, failure=reason, due_at=now, dead_at=None, attempts=0):
        raise NotRefundable


def renewal_failure(payment: Payment) -> str:
    """What page and mail say of a plan that ended with this payment."""
    return f"The payment for the next month failed: {payment.failure}"


def _whole_cents(invoice_total: object, currency: str) -> int:
    text = str(invoice_total)
    try:
        total = Decimal(text)
        # Compared as a Decimal: the int of one with a large exponent takes a worker's life to compute.
        can_be_charged = len(text) <= 40 and Decimal("0.5") <= total <= CENTS_MAX
    except InvalidOperation:
        raise InvoiceTotalInvalid(f"invoice_total {text[:40]!r} is not an amount") from None
    if not can_be_charged:
        raise InvoiceTotalInvalid(f"invoice_total {text[:40]!r} cannot be charged")
    if currency != "USD":
        raise InvoiceTotalInvalid(f"invoice_currency {currency[:40]!r}: only USD can be charged")
    return int(total.to_integral_value(ROUND_HALF_UP))

"""Asking for a payment, or for its refund: rows that a worker brings to their end
(`billing.payments.processing`).

Whoever asks for a payment waits until it is CHARGED or FAILED (the row that points at it is made
due then), grants what was paid for, and notes the credits with `mark_granted`. A charged payment
without such a note is never done with.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.models import Customer
from billing.models import Payment, Recharge, Subscription
from jobs.models import due

from .gateways import gateway

State = Payment.State


class NotRefundable(Exception):
    """Only what was charged and not granted can be refunded."""


def request_plan_payment(
    *, subscription: Subscription, period: int, amount_cents: int, now: datetime
) -> Payment:
    """The payment of one period of a plan, made on first asking."""
    return Payment.objects.get_or_create(
        subscription=subscription,
        period=period,
        defaults={
            "customer_id": subscription.customer_id,
            "kind": Payment.Kind.PLAN,
            "amount_cents": amount_cents,
            "gateway": settings.PAYMENT_GATEWAY,
            "created_at": now,
            **due(now),
        },
    )[0]


def request_recharge_payment(*, customer: Customer, amount_cents: int, now: datetime) -> Payment:
    """The payment of one recharge: a new one each time, so the caller stores which it is in the
    same transaction.
    """
    return Payment.objects.create(
        customer=customer,
        kind=Payment.Kind.RECHARGE,
        amount_cents=amount_cents,
        gateway=settings.PAYMENT_GATEWAY,
        created_at=now,
        **due(now),
    )


def mark_granted(payment: Payment, *, grant_id: int, now: datetime) -> None:
    """Note the credits that a charged payment has bought. Safe to repeat; changes nothing that is
    not charged, or noted."""
    Payment.objects.filter(pk=payment.pk, state=State.CHARGED, grant=None).cancel(
        grant_id=grant_id, settled_at=now
    )


def is_waited_for(payment: Payment) -> bool:
    """Whether somebody can still grant what this payment pays for, or is in the middle of it."""
    plan = Subscription.objects.live().filter(payments=payment)
    return plan.exists() or Recharge.objects.open().filter(payment=payment).exists()


def request_refund(payment: Payment, *, reason: str, now: datetime) -> None:
    """Have a worker give back what was charged and never granted. Raises NotRefundable.

    A live subscription may be in the middle of granting it, and a recharge always can be: neither
    is refunded.
    """
    charged = Payment.objects.filter(
        pk=payment.pk, kind=Payment.Kind.PLAN, state=State.CHARGED, grant=None
    )
    if is_waited_for(payment) or not charged.run_now(now, state=State.REFUNDING, failure=reason):
        raise NotRefundable


def call_off(payment: Payment, *, failure: str, now: datetime) -> None:
    """Have it fail, for this reason, if nobody has begun to charge it, or the customer's
    confirmation is missing.

    A confirmation that comes first wins: then it is charged all the same.
    """
    with transaction.atomic():
        rows = Payment.objects.filter(pk=payment.pk)
        if rows.filter(state=State.INITIATED).cancel(
            state=State.FAILED, failure=failure, settled_at=now
        ):
            tell(payment, now)
        else:
            rows.filter(state=State.REQUIRES_ACTION, failure="").run_now(now, failure=failure)


def confirmation_url(payment: Payment, *, return_url: str) -> str | None:
    """Where the customer confirms this payment; None if there is nothing to confirm (any more).

    Called while the customer waits. Raises GatewayUnavailable.
    """
    if not is_unconfirmed(payment):
        return None
    return gateway(payment.gateway).confirmation_url(key=charge_key(payment), return_url=return_url)


def is_unconfirmed(payment: Payment) -> bool:
    return payment.state == State.REQUIRES_ACTION and not payment.failure


def mark_told(payment: Payment, *, now: datetime) -> None:
    """Note that the customer was told by mail to confirm it."""
    Payment.objects.filter(pk=payment.pk).update(told_at=now)


def charge_key(payment: Payment) -> str:
    """The gateway's idempotency key: made from our own row before the first attempt, and one for
    each card.
    """
    return f"vocalis-payment-{payment.pk}" + (
        f"-{payment.charge_number}" if payment.charge_number else ""
    )


def look_again(payment: Payment, *, now: datetime) -> None:
    """Have a payment that waited for its confirmation looked at: it is said to be confirmed."""
    Payment.objects.filter(pk=payment.pk, state=State.REQUIRES_ACTION).run_now(now)


def tell(payment: Payment, now: datetime) -> None:
    """Have looked at what waits for this payment."""
    Subscription.objects.filter(payments=payment).run_now(now)
    Recharge.objects.filter(payment=payment).run_now(now)

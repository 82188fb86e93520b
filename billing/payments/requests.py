"""Requests for a payment, its cancellation or its refund.

A job processes the rows (`billing.payments.processing`).

The subscription, recharge or purchase that requests a payment becomes due once it is CHARGED or
FAILED. It then grants the credits and calls `mark_granted`. Until that call a charged payment stays
open.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction

from accounts.models import Customer
from billing.models import Payment, Purchase, Recharge, Subscription
from jobs.models import due
from notifications import banners, emit

from . import attempts
from .gateways import gateway

State = Payment.State


class NotRefundable(Exception):
    """Only a charged plan payment without credits, which nothing waits for, can be refunded."""


def request_plan_payment(
    *,
    subscription: Subscription,
    period: int,
    amount_cents: int,
    credits: int | None = None,
    now: datetime,
) -> Payment:
    """The payment of one period of a plan, created by the first call.

    `credits` is what its receipt says it is for.
    """
    return Payment.objects.get_or_create(
        subscription=subscription,
        period=period,
        defaults={
            "customer_id": subscription.customer_id,
            "kind": Payment.Kind.PLAN,
            "amount_cents": amount_cents,
            "credits": credits,
            "gateway": settings.PAYMENT_GATEWAY,
            "created_at": now,
            **due(now),
        },
    )[0]


def request_recharge_payment(*, customer: Customer, amount_cents: int, now: datetime) -> Payment:
    """Create the payment of one recharge.

    Each call creates another one, so the caller stores which it is in the same transaction.
    """
    return _request(customer, Payment.Kind.RECHARGE, amount_cents, now)


def request_pack_payment(
    *, customer: Customer, amount_cents: int, credits: int, now: datetime
) -> Payment:
    """Create the payment of one top-up of so many credits.

    Each call creates another one, so the caller stores which it is in the same transaction.
    """
    return _request(customer, Payment.Kind.PACK, amount_cents, now, credits=credits)


def _request(
    customer: Customer,
    kind: Payment.Kind,
    amount_cents: int,
    now: datetime,
    *,
    credits: int | None = None,
) -> Payment:
    return Payment.objects.create(
        customer=customer,
        kind=kind,
        amount_cents=amount_cents,
        credits=credits,
        gateway=settings.PAYMENT_GATEWAY,
        created_at=now,
        **due(now),
    )


def mark_granted(payment: Payment, *, grant_id: int, now: datetime) -> None:
    """Store the credits that a charged payment has bought, which completes it.

    Safe to repeat. Does nothing if the payment is not charged or has credits already.
    """
    Payment.objects.filter(pk=payment.pk, state=State.CHARGED, grant=None).cancel(
        grant_id=grant_id, settled_at=now
    )


def is_waited_for(payment: Payment) -> bool:
    """Whether a live subscription, an open recharge or an open purchase waits for this payment."""
    waiting = (
        Subscription.objects.live().filter(payments=payment),
        Recharge.objects.open().filter(payment=payment),
        Purchase.objects.open().filter(payment=payment),
    )
    return any(rows.exists() for rows in waiting)


def request_refund(payment: Payment, *, reason: str, now: datetime) -> None:
    """Refund a charged plan payment without credits; a worker does it. Raises NotRefundable.

    Payments that a live subscription or an open recharge waits for are not refunded, because the
    credits may be granted at any moment. Nor are those of recharges.
    """
    charged = Payment.objects.filter(
        pk=payment.pk, kind=Payment.Kind.PLAN, state=State.CHARGED, grant=None
    )
    if is_waited_for(payment) or not charged.run_now(now, state=State.REFUNDING, failure=reason):
        raise NotRefundable


def call_off(payment: Payment, *, failure: str, now: datetime) -> None:
    """Cancel a payment that is not being charged yet or waits for the customer's confirmation.

    It fails with the reason `failure`, which is shown to the customer. If the customer confirms
    before the charge is cancelled, it is charged all the same.
    """
    with transaction.atomic():
        rows = Payment.objects.filter(pk=payment.pk)
        if rows.filter(state=State.INITIATED).cancel(
            state=State.FAILED, failure=failure, settled_at=now
        ):
            tell(payment, now)
            payment.failure = failure
            emit_failed(payment, now)
        else:
            rows.filter(state=State.REQUIRES_ACTION, failure="").run_now(now, failure=failure)


def try_again(payment: Payment, *, now: datetime) -> bool:
    """Charge a payment that was declined anew, under a key of its own.

    Safe to repeat: `payment` says which charge was declined. Returns whether this call did it.
    """
    declined = Payment.objects.filter(
        pk=payment.pk, state=State.FAILED, attempt_number=payment.attempt_number
    )
    return bool(
        declined.exclude(decline="").run_now(
            now,
            state=State.INITIATED,
            attempt_number=payment.attempt_number + 1,
            failure="",
            decline="",
            confirm_by_at=None,
            settled_at=None,
        )
    )


def confirmation_url(payment: Payment, *, return_url: str) -> str | None:
    """URL where the customer confirms this payment, None if it does not wait for confirmation.

    Called in web requests. Raises GatewayUnavailable, or GatewayDeclined if the bank refuses it.
    """
    attempt = attempts.current(payment)
    if attempt is None or not is_unconfirmed(payment):
        return None
    return gateway(payment.gateway).confirmation_url(attempt, return_url=return_url)


def is_unconfirmed(payment: Payment) -> bool:
    return payment.state == State.REQUIRES_ACTION and not payment.failure


def charge_key(payment: Payment) -> str:
    """The idempotency key at the gateway of the attempt under way or the last one."""
    return attempts.key_of(payment, payment.attempt_number)


def charge_name(payment: Payment) -> str:
    """Names the current attempt at a payment, among all attempts at all payments."""
    return f"{payment.pk}-{payment.attempt_number}"


def check_confirmation(payment: Payment, *, now: datetime) -> None:
    """Make a payment that waits for a confirmation due, because it may have been confirmed."""
    Payment.objects.filter(pk=payment.pk, state=State.REQUIRES_ACTION).run_now(now)


def tell(payment: Payment, now: datetime) -> None:
    """Make the subscription, the recharge or the purchase of this payment due."""
    Subscription.objects.filter(payments=payment).run_now(now)
    Recharge.objects.filter(payment=payment).run_now(now)
    Purchase.objects.filter(payment=payment).run_now(now)


def emit_failed(payment: Payment, now: datetime) -> None:
    """Tell the customer's endpoints of a payment that failed, in the transaction in which it did.

    `payment.failure` says why.
    """
    data = {
        "payment": str(payment.pk),
        "kind": payment.kind,
        "amount_cents": payment.amount_cents,
        "currency": payment.currency,
        "failure": payment.failure,
    }
    emit(payment.customer_id, "payment.failed", charge_name(payment), data, now)
    stop_asking(payment, now)


def stop_asking(payment: Payment, now: datetime) -> None:
    """Take down the banners that ask for a confirmation of this payment."""
    banners.take_down(payment.customer_id, "payment.action_needed", f"{payment.pk}-", now)

"""Requests for a payment, its cancellation or its refund.

A job processes the rows (`billing.payments.processing`).

The subscription, recharge or purchase that requests a payment becomes due once it is CHARGED or
FAILED. It then grants the credits and calls `mark_granted`. Until that call a charged payment stays
open.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Sum

from accounts.models import Customer, User
from billing.models import (
    CreditGrant,
    InvoiceReading,
    Payment,
    PaymentAlert,
    Purchase,
    Recharge,
    Refund,
    Subscription,
)
from jobs.models import due
from notifications import banners, emit

from . import attempts
from .gateways import DEFAULT, gateway

State = Payment.State
WAITING = State.REQUIRES_ACTION, State.AT_PAGE  # for the customer
PAGE_CHECK_SECONDS = 3_600  # how often a page of which nobody tells us is looked at
BEING_READ = timedelta(seconds=30)  # how long a worker usually needs at most to look again


class NotRefundable(Exception):
    """Only a charged payment can be refunded, and without credits only one nothing waits for."""


def request_plan_payment(
    *,
    subscription: Subscription,
    period: int,
    amount_cents: int,
    tax_cents: int = 0,
    credits: int | None = None,
    now: datetime,
) -> Payment:
    """The payment of one period of a plan, created by the first call.

    `tax_cents` are part of the amount. `credits` is what its receipt says it is for.
    """
    return Payment.objects.get_or_create(
        subscription=subscription,
        period=period,
        defaults={
            "customer_id": subscription.customer_id,
            "kind": Payment.Kind.PLAN,
            "amount_cents": amount_cents,
            "tax_cents": tax_cents,
            "credits": credits,
            "gateway": DEFAULT,
            "created_at": now,
            **due(now),
        },
    )[0]


def request_recharge_payment(
    *, customer: Customer, amount_cents: int, tax_cents: int = 0, now: datetime
) -> Payment:
    """Create the payment of one recharge. `tax_cents` are part of the amount.

    Each call creates another one, so the caller stores which it is in the same transaction.
    """
    return _request(customer, Payment.Kind.RECHARGE, amount_cents, now, tax_cents=tax_cents)


def request_pack_payment(
    *,
    customer: Customer,
    amount_cents: int,
    tax_cents: int = 0,
    credits: int,
    state: Payment.State = State.INITIATED,
    now: datetime,
) -> Payment:
    """Create the payment of one top-up of so many credits. `tax_cents` are part of the amount.

    AT_PAGE is for one that the customer makes at the gateway's page (`pay_page`). Each call creates
    another one, so the caller stores which it is in the same transaction.
    """
    return _request(
        customer,
        Payment.Kind.PACK,
        amount_cents,
        now,
        tax_cents=tax_cents,
        credits=credits,
        state=state,
    )


def _request(
    customer: Customer,
    kind: Payment.Kind,
    amount_cents: int,
    now: datetime,
    *,
    tax_cents: int = 0,
    credits: int | None = None,
    state: Payment.State = State.INITIATED,
) -> Payment:
    return Payment.objects.create(
        customer=customer,
        kind=kind,
        state=state,
        amount_cents=amount_cents,
        tax_cents=tax_cents,
        credits=credits,
        gateway=DEFAULT,
        created_at=now,
        **due(now + timedelta(seconds=PAGE_CHECK_SECONDS) if state == State.AT_PAGE else now),
    )


def mark_granted(payment: Payment, *, grant_id: int, now: datetime) -> None:
    """Store the credits that a charged payment has bought, which completes it.

    Safe to repeat. Does nothing if the payment is not charged or has credits already.
    """
    granted = Payment.objects.filter(pk=payment.pk, state=State.CHARGED, grant=None)
    if granted.cancel(grant_id=grant_id, settled_at=now):
        # Metronome has drawn up the invoice of it by now.
        InvoiceReading.objects.filter(customer_id=payment.customer_id).run_now(now)


def given_back_elsewhere_cents(payment: Payment) -> int:
    """How much of the charge somebody gave back at the gateway itself."""
    foreign = payment.alerts.filter(kind=PaymentAlert.Kind.FOREIGN_REFUND)
    cents: int = foreign.aggregate(cents=Sum("amount_cents", default=0))["cents"]
    return cents


def is_waited_for(payment: Payment) -> bool:
    """Whether a live subscription, an open recharge or an open purchase waits for this payment."""
    waiting = (
        Subscription.objects.live().filter(payments=payment),
        Recharge.objects.open().filter(payment=payment),
        Purchase.objects.open().filter(payment=payment),
    )
    return any(rows.exists() for rows in waiting)


def request_refund(payment: Payment, *, reason: str, now: datetime) -> None:
    """Refund the whole of a charged payment without credits. Raises NotRefundable.

    Payments that a live subscription, an open recharge or an open purchase waits for are not
    refunded, because the credits may be granted at any moment.
    """
    with transaction.atomic():
        if payment.grant_id or is_waited_for(payment):
            raise NotRefundable
        start_refund(payment, amount_cents=payment.amount_cents, reason=reason, now=now)


def start_refund(
    payment: Payment,
    *,
    amount_cents: int,
    credits: int = 0,
    grant: CreditGrant | None = None,
    reason: str,
    by: User | None = None,
    now: datetime,
) -> Refund:
    """Write the refund of a charged payment, in the caller's transaction; a worker pays it back.

    Raises NotRefundable if the payment is not charged, or has other credits than `grant`.
    """
    charged = Payment.objects.filter(pk=payment.pk, state=State.CHARGED, grant=grant)
    if not charged.cancel(state=State.REFUNDING, failure=reason):
        raise NotRefundable
    return Refund.objects.create(
        payment_id=payment.pk,
        customer_id=payment.customer_id,
        amount_cents=amount_cents,
        credits=credits,
        grant=grant,
        reason=reason,
        by=by,
        created_at=now,
        **due(now),
    )


def call_off(payment: Payment, *, failure: str, now: datetime) -> None:
    """Cancel a payment that is not being charged yet or waits for the customer.

    It fails with the reason `failure`, which is shown to the customer. If the customer confirms
    before the charge is cancelled, it is charged all the same. What is paid at the gateway's page
    before that is closed is paid back.
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
            ours = rows.filter(state__in=WAITING, failure="", is_by_metronome=False)
            ours.run_now(now, failure=failure)


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


def is_being_read(payment: Payment, now: datetime) -> bool:
    """Whether an unconfirmed one is being looked at again, as when its customer is just back.

    Only for a moment: without a worker, the customer can still confirm or call it off.
    """
    since = payment.due_at is not None and timedelta(0) <= now - payment.due_at < BEING_READ
    return since or (payment.leased_until is not None and payment.leased_until > now)


def is_unpaid(payment: Payment) -> bool:
    """Whether the customer may still pay it at the gateway's page."""
    return payment.state == State.AT_PAGE and not payment.failure


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

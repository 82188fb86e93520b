"""A renewal that was declined: when it is tried again, with which card, and when the plan ends.

It is tried at the period's end, 3 and 7 days later, each time under a key of its own at the
gateway, and at once when the customer chooses another card or presses "Pay now". A card that must
not be charged again is not tried again, and none while the credits are on hold. After the third
moment the plan ends. Meanwhile the plan goes on, and a period that is paid late keeps its dates.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Customer
from billing import ledger
from billing.models import Payment, PaymentMethod, Subscription
from billing.payments import cards, declines
from billing.payments import requests as payments
from jobs.errors import Snooze
from notifications import emit

from . import choose
from .choose import PlanRefused

State = Subscription.State
TRY_AFTER = (timedelta(0), timedelta(days=3), timedelta(days=7))
# The moments count from the end of the period, unless nobody was there to try for this long.
LATE_AFTER = timedelta(days=1)
# With the scheduled ones at most eight charges are tried for one payment, as providers advise.
ASKED_TRIES_MAX = 6
# The payment makes the subscription due when it ends. These intervals are for the case that this
# failed.
PAYMENT_CHECK_SECONDS = 30
REPLACED_CHECK_SECONDS = 3_600  # while another plan is about to take its place
FAILED = "The payment for the next month failed: {}"


class NothingDue(PlanRefused):
    """No declined renewal waits for the customer."""


class CardRefused(PlanRefused):
    """This card must not be tried again for this payment."""


class TriedTooOften(PlanRefused):
    """The payment was tried as often as is good for the card."""


def follow(subscription: Subscription, payment: Payment, now: datetime) -> datetime | None:
    """Decide what a declined renewal leads to. Safe to repeat.

    Returns when to look again, None if the plan has ended. Raises Snooze while the payment is
    tried.
    """
    card = cards.card_of(subscription.customer_id)
    with transaction.atomic():
        subscription, payment = _locked(subscription, payment)
        if not payment.decline:  # not confirmed in time, or called off
            return _end(subscription, payment, now, "unpaid")
        began_at = subscription.past_due_at or _count_from(subscription, payment, now)
        passed = max(1, sum(began_at + after <= now for after in TRY_AFTER))
        next_at = began_at + TRY_AFTER[passed] if passed < len(TRY_AFTER) else None
        if choose.requested_plan(subscription.customer):  # it will take this one's place, or fail
            return now + timedelta(seconds=REPLACED_CHECK_SECONDS)
        is_due = passed > max(1, subscription.tries) and declines.may_retry(payment, card)
        is_other = declines.is_other(payment, card) and payment.attempt_number <= ASKED_TRIES_MAX
        _tell(subscription, payment, began_at, now if is_other else next_at, now)
        Subscription.objects.filter(pk=subscription.pk).update(past_due_at=began_at, tries=passed)
        is_allowed = not ledger.is_on_hold(subscription.customer_id)
        is_tried = is_allowed and (is_due or is_other) and payments.try_again(payment, now=now)
        if not is_tried and next_at is None:
            return _end(subscription, payment, now, "declined")
    if is_tried:
        raise Snooze("waiting for the payment", seconds=PAYMENT_CHECK_SECONDS)
    return next_at


def pay_now(*, customer: Customer, tried: int, now: datetime) -> Payment:
    """Try a declined renewal with the customer's card now.

    `tried` is the charge that the customer saw as declined: a double click is one try. Raises
    PlanRefused.
    """
    card = cards.card_of(customer.pk)
    with transaction.atomic():
        mine = Subscription.objects.select_for_update().filter(customer=customer)
        subscription = mine.filter(state=State.ACTIVE, past_due_at__isnull=False).first()
        payment = due_payment(subscription) if subscription else None
        if subscription is None or payment is None:
            raise NothingDue("Nothing is due any more.")
        if payment.state != Payment.State.FAILED or payment.attempt_number != tried:
            return payment
        _check_payable(subscription, payment, card)
        payments.try_again(payment, now=now)
        Subscription.objects.filter(pk=subscription.pk).run_now(now)
    payment.refresh_from_db()
    return payment


def due_payment(subscription: Subscription) -> Payment | None:
    """The payment of the period after the current one, None if it was not asked for."""
    later = subscription.payments.filter(period__gt=subscription.period)
    return later.order_by("period").first()


def next_try_at(subscription: Subscription) -> datetime | None:
    """When a past due plan is tried next by itself, or ends; None if nothing is past due."""
    if subscription.past_due_at is None:
        return None
    return subscription.past_due_at + TRY_AFTER[min(subscription.tries, len(TRY_AFTER) - 1)]


def ends_at(subscription: Subscription) -> datetime | None:
    """When a past due plan ends unless it is paid."""
    return subscription.past_due_at + TRY_AFTER[-1] if subscription.past_due_at else None


def _locked(subscription: Subscription, payment: Payment) -> tuple[Subscription, Payment]:
    row = Subscription.objects.select_for_update().get(pk=subscription.pk)
    payment = Payment.objects.get(pk=payment.pk)
    if row.state != State.ACTIVE or payment.state != Payment.State.FAILED:
        raise Snooze("the subscription or its payment has just changed")
    return row, payment


def _count_from(subscription: Subscription, payment: Payment, now: datetime) -> datetime:
    tried_at = payment.settled_at or now
    ended_at = subscription.period_end_at or tried_at
    return ended_at if tried_at - ended_at <= LATE_AFTER else tried_at


def _check_payable(
    subscription: Subscription, payment: Payment, card: PaymentMethod | None
) -> None:
    choose.check_not_held(subscription.customer)
    if choose.requested_plan(subscription.customer):
        raise choose.ChangeUnderWay("Another plan is being set up. Try again in a minute.")
    if not payment.decline:
        raise NothingDue("Nothing is due any more.")
    if not declines.may_try(payment, card):
        raise CardRefused("This card cannot be charged. Choose another one.")
    if payment.attempt_number > ASKED_TRIES_MAX:
        raise TriedTooOften("This payment was tried too often. Please write to us.")


def _end(
    subscription: Subscription, payment: Payment, now: datetime, reason: str
) -> datetime | None:
    choose.end(subscription, now, reason=reason, failure=FAILED.format(payment.failure))
    choose.wake_streams(subscription.customer)
    return None


def _tell(
    subscription: Subscription,
    payment: Payment,
    began_at: datetime,
    next_at: datetime | None,
    now: datetime,
) -> None:
    """Tell the customer of this decline; the key makes it once for each charge."""
    data = {
        "plan": subscription.plan,
        "amount_cents": payment.amount_cents,
        "failure": payment.failure,
        "attempt": payment.attempt_number,
        "next_attempt_at": next_at.isoformat() if next_at else None,
        "ends_at": (began_at + TRY_AFTER[-1]).isoformat(),
    }
    if payment.tax_cents:
        data["tax_cents"] = payment.tax_cents
    key = payments.charge_name(payment)
    emit(subscription.customer_id, "renewal.declined", key, data, now)

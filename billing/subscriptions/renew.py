"""The job of a subscription: its first period, its renewals, what follows it, and its end.

Everything may be done twice: there is one payment per period, and grants have a uniqueness key.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Customer
from billing import ledger, plans
from billing.models import CreditGrant, Dispute, Payment, Subscription
from billing.payments import requests as payments
from billing.payments import tax
from billing.sync import contracts
from jobs.errors import Snooze
from jobs.models import due
from jobs.worker import RowJob
from notifications import emit

from . import dunning, take_back
from .change import grant_key
from .choose import end, requested_plan, wake_streams
from .dunning import PAYMENT_CHECK_SECONDS
from .periods import period_of

logger = logging.getLogger(__name__)

State = Subscription.State
CONFIRMATION_CHECK_SECONDS = 3_600  # while the payment waits for the customer's confirmation
HOLD_CHECK_SECONDS = 3_600  # while staff has frozen the wallet
THROUGH = (Payment.State.CHARGED, Payment.State.FAILED, Payment.State.REQUIRES_ACTION)


def advance(subscription: Subscription, now: datetime) -> datetime | None:
    """Activate a requested subscription, or renew or end an active one whose period has ended.

    Returns when to run again, None if nothing is left to do. Raises Snooze while it has to wait for
    something else.
    """
    if subscription.state == State.REQUESTED:
        return _activate(subscription, now)
    if subscription.state != State.ACTIVE:
        return None
    if subscription.period_end_at and subscription.period_end_at > now:
        return subscription.period_end_at
    if plans.PLANS[subscription.plan].once:
        _finish(subscription, now, reason="trial")
        return None
    if subscription.next_plan:
        return _follow(subscription, now)
    return _renew(subscription, now)


def _activate(subscription: Subscription, now: datetime) -> datetime | None:
    if subscription.failure:
        _give_up(subscription, now)
        return None
    take_back.at_metronome(subscription, now)  # before anything is charged
    payment = _payment(subscription, subscription.first_period, now)
    if payment and payment.state == Payment.State.FAILED:
        _fail(subscription, now, failure=f"The payment failed: {payment.failure}")
        return None
    if payment and payment.state == Payment.State.REQUIRES_ACTION:
        return now + timedelta(seconds=CONFIRMATION_CHECK_SECONDS)
    # Stored before the grant, because a repeated attempt must grant the same period.
    Subscription.objects.filter(pk=subscription.pk, anchor_at=None).update(anchor_at=now)
    subscription.refresh_from_db(fields=["anchor_at"])
    return _grant_period(subscription, subscription.first_period, payment, now)


def _renew(subscription: Subscription, now: datetime) -> datetime | None:
    period = _next_period(subscription, now)
    is_asked = Payment.objects.filter(subscription=subscription, period=period).exists()
    if not is_asked and ledger.is_on_hold(subscription.customer_id):
        return _wait_for_staff(subscription, now)
    payment = _payment(subscription, period, now)
    if payment and payment.state == Payment.State.FAILED:
        return dunning.follow(subscription, payment, now)
    if payment and payment.state == Payment.State.REQUIRES_ACTION:
        return now + timedelta(seconds=CONFIRMATION_CHECK_SECONDS)
    return _grant_period(subscription, period, payment, now)


def _wait_for_staff(subscription: Subscription, now: datetime) -> datetime | None:
    """Charge nothing for credits that nobody could spend: the plan ends if that lasts too long.

    Unfreezing the wallet makes the plan due. A dispute has stopped the renewal already.
    """
    ends_at = (subscription.period_end_at or now) + dunning.TRY_AFTER[-1]
    if now < ends_at:
        return min(ends_at, now + timedelta(seconds=HOLD_CHECK_SECONDS))
    _finish(subscription, now, reason="on_hold")
    return None


def _follow(subscription: Subscription, now: datetime) -> datetime | None:
    """At the end of its period, end the plan or have a lower one take its place.

    The lower plan gets the anchor and the periods of the former one. Its first payment is a
    renewal: it is tried again if it is declined.
    """
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=subscription.customer_id)
        row = Subscription.objects.select_for_update().get(pk=subscription.pk)
        if row.state != State.ACTIVE or row.next_plan != subscription.next_plan:
            raise Snooze("the subscription has just changed")
        if requested_plan(subscription.customer):
            raise Snooze("another plan is about to follow this one", seconds=PAYMENT_CHECK_SECONDS)
        if row.next_plan == Subscription.NO_PLAN:
            end(row, now, reason="disputed" if _was_disputed(row) else "cancelled")
        else:
            rows = Subscription.objects.filter(pk=row.pk)
            rows.cancel(state=State.ENDED, ended_at=now)
            follower = Subscription.objects.create(
                customer_id=row.customer_id,
                plan=row.next_plan,
                state=State.ACTIVE,
                key=f"after-{row.pk}",
                former=row,
                anchor_at=row.anchor_at,
                period=row.period,
                first_period=row.period + 1,
                period_start_at=row.period_start_at,
                period_end_at=row.period_end_at,
                created_at=now,
                **due(now),
            )
            _tell_of_change(follower, row.period_end_at or now, now)
    wake_streams(subscription.customer)
    return None


def _was_disputed(subscription: Subscription) -> bool:
    """Whether a dispute has stopped its renewal."""
    since = subscription.period_start_at or subscription.created_at
    asked = Dispute.State.NEW, Dispute.State.INQUIRY, Dispute.State.CLOSED
    disputes = Dispute.objects.filter(customer=subscription.customer_id, created_at__gte=since)
    return disputes.exclude(state__in=asked).exists()


def _tell_of_change(subscription: Subscription, at: datetime, now: datetime) -> None:
    """Tell the customer that this plan took the place of another, in the caller's transaction."""
    if former := subscription.former:
        data = {
            "from": former.plan,
            "to": subscription.plan,
            "at": at.isoformat(),
            "amount_cents": (subscription.due_cents or 0) + subscription.due_tax_cents,
        }
        emit(subscription.customer_id, "plan.changed", str(subscription.pk), data, now)


def _next_period(subscription: Subscription, now: datetime) -> int:
    """Number of the period to renew for.

    A period whose payment was requested already is finished first. Otherwise it is the current one:
    periods that passed while no worker ran are not charged.
    """
    asked = Payment.objects.filter(subscription=subscription, period__gt=subscription.period)
    if period := asked.values_list("period", flat=True).order_by("period").first():
        return period
    period = subscription.period + 1
    while period_of(subscription, period)[1] <= now:
        period += 1
    return period


def _payment(subscription: Subscription, period: int, now: datetime) -> Payment | None:
    """The payment of the period, requested if necessary. None if nothing is charged for it.

    Returns once it is charged, has failed, or waits for the customer's confirmation; until then
    raises Snooze.
    """
    asked = Payment.objects.filter(subscription=subscription, period=period)
    is_being_asked = tax.is_being_asked(subscription.customer_id)
    if is_being_asked and subscription.state == State.ACTIVE and not asked.exists():
        # It would be reckoned without tax, and fail because that has changed.
        raise Snooze("waiting for the tax at the address", seconds=PAYMENT_CHECK_SECONDS)
    price_cents, tax_cents = _price(subscription, period)
    if not price_cents:
        return None
    with transaction.atomic():
        row = Subscription.objects.select_for_update().get(pk=subscription.pk)
        as_read = subscription.state, subscription.next_plan, subscription.failure
        if (row.state, row.next_plan, row.failure) != as_read:  # ended, or called off
            raise Snooze("the subscription has just changed")
        if row.state == State.ACTIVE and not asked.exists():
            if requested_plan(subscription.customer):
                words = "another plan is about to follow this one"
                raise Snooze(words, seconds=PAYMENT_CHECK_SECONDS)
            if ledger.is_on_hold(subscription.customer_id):  # frozen since it was looked at
                raise Snooze("the wallet has just been frozen")
        payment = payments.request_plan_payment(
            subscription=subscription,
            period=period,
            amount_cents=price_cents + tax_cents,
            tax_cents=tax_cents,
            credits=plans.PLANS[subscription.plan].credits,
            now=now,
        )
    if payment.state not in THROUGH:
        raise Snooze("waiting for the payment", seconds=PAYMENT_CHECK_SECONDS)
    return payment


def _price(subscription: Subscription, period: int) -> tuple[int, int]:
    """What the period costs, and the tax on it.

    The first one costs what was shown when the plan was chosen.
    """
    if period == subscription.first_period and subscription.due_cents is not None:
        return subscription.due_cents, subscription.due_tax_cents
    price_cents = plans.PLANS[subscription.plan].price_cents or 0
    return price_cents, tax.on(subscription.customer_id, price_cents)


def _grant_period(
    subscription: Subscription, period: int, payment: Payment | None, now: datetime
) -> datetime:
    plan, customer = plans.PLANS[subscription.plan], subscription.customer
    starts_at, ends_at = period_of(subscription, period)
    # If no worker ran during the whole period, the customer still gets a full one, from now.
    if ends_at <= now:
        starts_at, ends_at = now, now + (ends_at - starts_at)
    grant_id = contracts.grant(
        customer,
        key=grant_key(subscription, period),
        name=f"{plan.name} plan",
        credits=plan.credits,
        starts_at=starts_at,
        ends_at=ends_at,
        priority=plans.PRIORITY_PLAN,
        paid_cents=payment.net_cents if payment else None,
        now=now,
    )
    grant = CreditGrant.objects.get(pk=grant_id)
    # An earlier attempt, whose response got lost, created the grant. The period follows the grant.
    if grant.ends_at < ends_at:
        starts_at, ends_at = grant.starts_at, grant.ends_at
        if ends_at <= now:
            logger.error(
                "customer %s: the %s plan's credits had ended before we learned of their grant",
                customer.pk,
                plan.name,
            )
    if payment:
        payments.mark_granted(payment, grant_id=grant_id, now=now)
    _begin_period(subscription, period, starts_at, ends_at, now)
    wake_streams(customer)
    return ends_at


def _begin_period(
    subscription: Subscription, period: int, starts_at: datetime, ends_at: datetime, now: datetime
) -> None:
    """Make it the current plan. The former one ends; what is left of its credits stays."""
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=subscription.customer_id)
        former = Subscription.objects.filter(customer=subscription.customer_id, state=State.ACTIVE)
        for row in former.exclude(pk=subscription.pk):
            Subscription.objects.filter(pk=row.pk).cancel(state=State.ENDED, ended_at=now)
        begun = Subscription.objects.filter(pk=subscription.pk, state=subscription.state).update(
            state=State.ACTIVE,
            period=period,
            period_start_at=starts_at,
            period_end_at=ends_at,
            past_due_at=None,
            tries=0,
            failure="",
        )
        if begun and subscription.state == State.REQUESTED:
            _tell_of_change(subscription, starts_at, now)


def _finish(subscription: Subscription, now: datetime, *, reason: str) -> None:
    with transaction.atomic():
        end(subscription, now, reason=reason)
    wake_streams(subscription.customer)


def _fail(subscription: Subscription, now: datetime, *, failure: str) -> None:
    """Give back what the choice took. The former plan goes on."""
    take_back.undo_at_metronome(subscription, now)
    with transaction.atomic():
        failed = Subscription.objects.filter(pk=subscription.pk, state=State.REQUESTED)
        if failed.update(state=State.FAILED, ended_at=now, failure=failure):
            # Its renewal may have waited. Before the wallet's row, which is locked last.
            former = Subscription.objects.filter(pk=subscription.former_id or 0)
            former.filter(state=State.ACTIVE).run_now(now)
            take_back.undo(subscription, now)
    wake_streams(subscription.customer)


def _give_up(subscription: Subscription, now: datetime) -> None:
    """An operator has called the choice off; `failure` says why. A charge is left to a refund."""
    for payment in subscription.payments.all():
        payments.call_off(payment, failure=subscription.failure, now=now)
        payment.refresh_from_db()
        if payment.state not in THROUGH or payment.state == Payment.State.REQUIRES_ACTION:
            raise Snooze("waiting for the payment", seconds=PAYMENT_CHECK_SECONDS)
    _fail(subscription, now, failure=subscription.failure)


ADVANCE = RowJob("subscriptions.advance", Subscription, advance)

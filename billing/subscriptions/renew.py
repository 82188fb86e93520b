"""The job of a subscription: its first period, its renewals, and its end.

Everything may be done twice: there is one payment per period, and grants have a uniqueness key.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Customer
from billing import emails, plans
from billing.models import CreditGrant, Payment, Subscription
from billing.payments import requests as payments
from billing.sync import contracts
from jobs.errors import Snooze
from jobs.worker import RowJob

from .choose import end, requested_plan, wake_streams
from .periods import period_of

logger = logging.getLogger(__name__)

State = Subscription.State
# The payment makes the subscription due when it ends. These intervals are for the case that this
# failed.
PAYMENT_CHECK_SECONDS = 30
CONFIRMATION_CHECK_SECONDS = 3_600  # while the payment waits for the customer's confirmation


def advance(subscription: Subscription, now: datetime) -> datetime | None:
    """Activate a requested subscription, or renew or end an active one whose period has ended.

    Returns when to run again, None if nothing is left to do. Raises Snooze while it has to wait for
    something else.
    """
    if subscription.state == State.REQUESTED:
        return _activate(subscription, now)
    if subscription.state == State.ENDED:
        _tell_failure(subscription, now)
    if subscription.state != State.ACTIVE:
        return None
    if subscription.period_end_at and subscription.period_end_at > now:
        return subscription.period_end_at
    if plans.PLANS[subscription.plan].once:
        _finish(subscription, State.ENDED, now)
        return None
    return _renew(subscription, now)


def _activate(subscription: Subscription, now: datetime) -> datetime | None:
    payment = _payment(subscription, 0, now)
    if payment and payment.state == Payment.State.FAILED:
        _finish(subscription, State.FAILED, now, failure=f"The payment failed: {payment.failure}")
        return None
    if payment and payment.state == Payment.State.REQUIRES_ACTION:
        # No e-mail: the customer has just chosen the plan and sees the request on the page.
        return now + timedelta(seconds=CONFIRMATION_CHECK_SECONDS)
    former = Subscription.objects.filter(customer=subscription.customer_id, state=State.ACTIVE)
    renewals = Payment.objects.open().filter(subscription__in=former)
    for renewal in renewals.filter(state=Payment.State.REQUIRES_ACTION):
        payments.call_off(
            renewal, failure="you chose another plan instead of confirming it.", now=now
        )
    if renewals.exists():
        raise Snooze("the former plan is just being renewed", seconds=PAYMENT_CHECK_SECONDS)
    # Stored before the grant, because a repeated attempt must grant the same period.
    Subscription.objects.filter(pk=subscription.pk, anchor_at=None).update(anchor_at=now)
    subscription.refresh_from_db(fields=["anchor_at"])
    return _grant_period(subscription, 0, payment, now)


def _renew(subscription: Subscription, now: datetime) -> datetime | None:
    period = _next_period(subscription, now)
    payment = _payment(subscription, period, now)
    if payment and payment.state == Payment.State.FAILED:
        _finish(
            subscription,
            State.ENDED,
            now,
            failure=f"The payment for the next month failed: {payment.failure}",
        )
        _tell_failure(subscription, now)
        return None
    if payment and payment.state == Payment.State.REQUIRES_ACTION:
        _tell_to_confirm(subscription, payment, now)
        return now + timedelta(seconds=CONFIRMATION_CHECK_SECONDS)
    return _grant_period(subscription, period, payment, now)


def _tell_to_confirm(subscription: Subscription, payment: Payment, now: datetime) -> None:
    if payments.is_unconfirmed(payment) and payment.told_at is None:
        context = {
            "payment": payment,
            "what": f"the next month of your {plans.PLANS[subscription.plan].name} plan",
        }
        emails.send(customer=subscription.customer, template="confirm_payment", context=context)
        payments.mark_told(payment, now=now)


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
    """The payment of the period, requested if necessary. None for a free plan.

    Returns once it is charged, has failed, or waits for the customer's confirmation; until then
    raises Snooze.
    """
    price_cents = plans.PLANS[subscription.plan].price_cents
    if not price_cents:
        return None
    with transaction.atomic():
        state = (
            Subscription.objects.select_for_update()
            .values_list("state", flat=True)
            .get(pk=subscription.pk)
        )
        if state != subscription.state:
            raise Snooze("the subscription has just changed")
        asked = Payment.objects.filter(subscription=subscription, period=period).exists()
        # A period whose payment was requested is finished before the next plan begins.
        if period and not asked and requested_plan(subscription.customer):
            raise Snooze("another plan is about to follow this one", seconds=PAYMENT_CHECK_SECONDS)
        payment = payments.request_plan_payment(
            subscription=subscription, period=period, amount_cents=price_cents, now=now
        )
    through = (Payment.State.CHARGED, Payment.State.FAILED, Payment.State.REQUIRES_ACTION)
    if payment.state not in through:
        raise Snooze("waiting for the payment", seconds=PAYMENT_CHECK_SECONDS)
    return payment


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
        key=f"vocalis-trial-{customer.pk}"
        if plan.once
        else f"vocalis-sub-{customer.pk}-{subscription.pk}-{period}",
        name=f"{plan.name} plan",
        credits=plan.credits,
        starts_at=starts_at,
        ends_at=ends_at,
        priority=plans.PRIORITY_PLAN,
        paid_cents=plan.price_cents,
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
    """Make it the current plan. The former one ends; its credits stay until they expire."""
    with transaction.atomic():
        Customer.objects.select_for_update().get(pk=subscription.customer_id)
        former = Subscription.objects.filter(customer=subscription.customer_id, state=State.ACTIVE)
        for row in former.exclude(pk=subscription.pk):
            end(row, now)
        Subscription.objects.filter(pk=subscription.pk, state=subscription.state).update(
            state=State.ACTIVE, period=period, period_start_at=starts_at, period_end_at=ends_at
        )


def _finish(subscription: Subscription, state: str, now: datetime, failure: str = "") -> None:
    Subscription.objects.filter(pk=subscription.pk, state=subscription.state).update(
        state=state, ended_at=now, failure=failure
    )
    wake_streams(subscription.customer)


def _tell_failure(subscription: Subscription, now: datetime) -> None:
    """Tell the customer by e-mail why the plan was not renewed, at least once.

    `told_at` records it."""
    subscription.refresh_from_db(fields=["state", "failure", "told_at"])
    if subscription.state == State.ENDED and subscription.failure and subscription.told_at is None:
        context = {"plan": plans.PLANS[subscription.plan], "failure": subscription.failure}
        emails.send(customer=subscription.customer, template="renewal_failed", context=context)
        Subscription.objects.filter(pk=subscription.pk).update(told_at=now)


ADVANCE = RowJob("subscriptions.advance", Subscription, advance)

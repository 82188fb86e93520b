"""Plans: choosing one, and giving its credits period by period.

A subscription is requested → active → ended, or failed when its first payment is declined. Choosing writes one row;
the worker does the rest, and each of its steps may be done twice: the payment is one a period, the grant has its key.
"""

from __future__ import annotations

import logging
from calendar import monthrange
from datetime import datetime, timedelta

from django.db import transaction

from accounts.models import Customer
from billing import emails, ledger, plans
from billing.live.wake import wake
from billing.models import CreditGrant, Payment, Subscription
from billing.payments import requests as payments
from billing.sync import contracts
from jobs.errors import Snooze
from jobs.worker import RowJob

logger = logging.getLogger(__name__)

State = Subscription.State
PAYMENT_LOOK_SECONDS = 30  # the payment calls the subscription when it is through; this is for the call that got lost


class PlanRefused(Exception):
    """The plan cannot be chosen. The text is for the customer."""


class NotSelectable(PlanRefused):
    """No such plan, one that is made by agreement, or one that makes no sense now."""


class TrialUsed(PlanRefused):
    """The trial is for once in a customer's life."""


class ChangeUnderWay(PlanRefused):
    """Another choice, or a payment, is still being worked on."""


# --- What a customer does -------------------------------------------------------------------------------------------


def select_plan(*, customer: Customer, plan: str, key: str, now: datetime) -> Subscription:
    """Choose a plan. A worker charges it (if it costs anything), grants the credits and makes it the current one.

    The same form again (`key`), or the plan that is live already, gives the subscription that is there: a double click
    and a second tab change nothing. Raises PlanRefused.
    """
    chosen = plans.PLANS.get(plan)
    if chosen is None:
        raise NotSelectable("There is no such plan.")
    if chosen.price_cents is None:
        raise NotSelectable(f"{chosen.name} is made by agreement: write to us.")
    with transaction.atomic():
        Customer.objects.select_for_update().get(pk=customer.pk)  # one choice at a time
        mine, own_key = Subscription.objects.filter(customer=customer), f"{plan}:{key}"[:128]
        same = mine.filter(key=own_key).first() or mine.live().filter(plan=plan).first()
        if same:
            return same
        _check_choice(chosen, customer)
        subscription = Subscription.objects.create(
            customer=customer, plan=plan, key=own_key, created_at=now, due_at=now
        )
        if chosen.price_cents:
            payments.request_plan_payment(subscription=subscription, period=0, amount_cents=chosen.price_cents, now=now)
    return subscription


def cancel(*, customer: Customer, now: datetime) -> Subscription | None:
    """End the current plan: nothing is charged any more, and credits stay until they expire. None if there is none.

    Raises ChangeUnderWay while the next period is being paid.
    """
    with transaction.atomic():
        subscription = Subscription.objects.select_for_update().filter(customer=customer, state=State.ACTIVE).first()
        if subscription is None:
            return None
        if Payment.objects.open().filter(subscription=subscription).exists():
            raise ChangeUnderWay("The next month is just being paid. Try again in a minute.")
        _end(subscription, now)
    _wake(customer)
    return subscription


def current_plan(customer: Customer) -> Subscription | None:
    """The active subscription."""
    return Subscription.objects.filter(customer=customer, state=State.ACTIVE).first()


def requested_plan(customer: Customer) -> Subscription | None:
    """The subscription a worker is setting up."""
    return Subscription.objects.filter(customer=customer, state=State.REQUESTED).first()


def _check_choice(chosen: plans.Plan, customer: Customer) -> None:
    mine = Subscription.objects.filter(customer=customer)
    if under_way := mine.filter(state=State.REQUESTED).first():
        name = plans.PLANS[under_way.plan].name
        raise ChangeUnderWay(f"Your {name} plan is still being set up. Try again in a minute.")
    if chosen.once:
        if mine.filter(plan=chosen.key).exists():
            raise TrialUsed("You have used your trial. Choose a plan to go on.")
        if mine.filter(state=State.ACTIVE).exists():
            raise NotSelectable("The trial is for trying Vocalis before you have a plan.")


# --- What the worker does -------------------------------------------------------------------------------------------


def advance(subscription: Subscription, now: datetime) -> datetime | None:
    """Bring a requested subscription to life, or an active one over the end of its period."""
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


ADVANCE = RowJob("subscriptions.advance", Subscription, advance)


def _activate(subscription: Subscription, now: datetime) -> datetime | None:
    payment = _payment(subscription, 0, now)
    if payment and payment.state == Payment.State.FAILED:
        _finish(subscription, State.FAILED, now, failure=f"The payment failed: {payment.failure}")
        return None
    former = Subscription.objects.filter(customer=subscription.customer_id, state=State.ACTIVE)
    if Payment.objects.open().filter(subscription__in=former).exists():
        raise Snooze("the former plan is just being renewed", seconds=PAYMENT_LOOK_SECONDS)
    # Stored before the grant: a second try must give the same period.
    Subscription.objects.filter(pk=subscription.pk, anchor_at=None).update(anchor_at=now)
    subscription.refresh_from_db(fields=["anchor_at"])
    return _grant_period(subscription, 0, payment, now)


def _renew(subscription: Subscription, now: datetime) -> datetime | None:
    period = _next_period(subscription, now)
    payment = _payment(subscription, period, now)
    if payment and payment.state == Payment.State.FAILED:
        _finish(subscription, State.ENDED, now, failure=f"The payment for the next month failed: {payment.failure}")
        _tell_failure(subscription, now)
        return None
    return _grant_period(subscription, period, payment, now)


def _next_period(subscription: Subscription, now: datetime) -> int:
    """The period we are in; months that passed while no worker ran are not charged. One already asked for is finished."""
    asked = Payment.objects.filter(subscription=subscription, period__gt=subscription.period)
    if period := asked.values_list("period", flat=True).order_by("period").first():
        return period
    period = subscription.period + 1
    while period_of(subscription, period)[1] <= now:
        period += 1
    return period


def _payment(subscription: Subscription, period: int, now: datetime) -> Payment | None:
    """The period's payment once it is through, paid or failed; None for a plan that costs nothing. Else Snooze."""
    price_cents = plans.PLANS[subscription.plan].price_cents
    if not price_cents:
        return None
    with transaction.atomic():
        state = Subscription.objects.select_for_update().values_list("state", flat=True).get(pk=subscription.pk)
        if state != subscription.state:
            raise Snooze("the subscription has just changed")
        asked = Payment.objects.filter(subscription=subscription, period=period).exists()
        if period and not asked and requested_plan(subscription.customer):  # what is paid is granted first
            raise Snooze("another plan is about to follow this one", seconds=PAYMENT_LOOK_SECONDS)
        payment = payments.request_plan_payment(
            subscription=subscription, period=period, amount_cents=price_cents, now=now
        )
    if payment.state not in (Payment.State.CHARGED, Payment.State.FAILED):
        raise Snooze("waiting for the payment", seconds=PAYMENT_LOOK_SECONDS)
    return payment


def _grant_period(subscription: Subscription, period: int, payment: Payment | None, now: datetime) -> datetime:
    plan, customer = plans.PLANS[subscription.plan], subscription.customer
    starts_at, ends_at = period_of(subscription, period)
    if ends_at <= now:  # no worker for all of the period: what was promised or paid still buys a whole one
        starts_at, ends_at = now, now + (ends_at - starts_at)
    grant_id = contracts.grant(
        customer,
        key=f"vocalis-trial-{customer.pk}" if plan.once else f"vocalis-sub-{customer.pk}-{subscription.pk}-{period}",
        name=f"{plan.name} plan",
        credits=plan.credits,
        starts_at=starts_at,
        ends_at=ends_at,
        priority=plans.PRIORITY_PLAN,
        paid_cents=plan.price_cents,
        now=now,
    )
    grant = CreditGrant.objects.get(pk=grant_id)
    # Of a first try whose answer got lost: the plan goes with its credits.
    if grant.ends_at < ends_at:
        starts_at, ends_at = grant.starts_at, grant.ends_at
        if ends_at <= now:
            logger.error(
                "customer %s: the %s plan's credits were over before their grant was heard of", customer.pk, plan.name
            )
    if payment:
        payments.mark_granted(payment, grant_id=grant_id, now=now)
    _begin_period(subscription, period, starts_at, ends_at, now)
    _wake(customer)
    return ends_at


def _begin_period(
    subscription: Subscription, period: int, starts_at: datetime, ends_at: datetime, now: datetime
) -> None:
    """Make it the current plan. The former one ends; its credits stay until they expire."""
    with transaction.atomic():
        Customer.objects.select_for_update().get(pk=subscription.customer_id)
        former = Subscription.objects.filter(customer=subscription.customer_id, state=State.ACTIVE)
        for row in former.exclude(pk=subscription.pk):
            _end(row, now)
        Subscription.objects.filter(pk=subscription.pk, state=subscription.state).update(
            state=State.ACTIVE, period=period, period_start_at=starts_at, period_end_at=ends_at
        )


def _finish(subscription: Subscription, state: str, now: datetime, failure: str = "") -> None:
    Subscription.objects.filter(pk=subscription.pk, state=subscription.state).update(
        state=state, ended_at=now, failure=failure
    )
    _wake(subscription.customer)


def _tell_failure(subscription: Subscription, now: datetime) -> None:
    """Tell by mail, at least once, why the plan was not renewed: `told_at` says it was done."""
    subscription.refresh_from_db(fields=["state", "failure", "told_at"])
    if subscription.state == State.ENDED and subscription.failure and subscription.told_at is None:
        context = {"plan": plans.PLANS[subscription.plan], "failure": subscription.failure}
        emails.send(customer=subscription.customer, template="renewal_failed", context=context)
        Subscription.objects.filter(pk=subscription.pk).update(told_at=now)


def _end(subscription: Subscription, now: datetime) -> None:
    Subscription.objects.filter(pk=subscription.pk).update(state=State.ENDED, ended_at=now, due_at=None, dead_at=None)


def _wake(customer: Customer) -> None:
    wake(ledger.wallet_of(customer.pk).pk)


# --- Periods --------------------------------------------------------------------------------------------------------


def period_of(subscription: Subscription, period: int) -> tuple[datetime, datetime]:
    """Start and end of a period, counted from the anchor so that a short month shortens only itself."""
    anchor_at = subscription.anchor_at
    if anchor_at is None:
        raise ValueError("the subscription has not begun")
    days = plans.PLANS[subscription.plan].days
    if days:
        return anchor_at + timedelta(days=days * period), anchor_at + timedelta(days=days * (period + 1))
    return months_after(anchor_at, period), months_after(anchor_at, period + 1)


def months_after(anchor_at: datetime, months: int) -> datetime:
    """The same day and time `months` later, or the last day of a month that is too short for it."""
    year, month = divmod(anchor_at.year * 12 + anchor_at.month - 1 + months, 12)
    return anchor_at.replace(year=year, month=month + 1, day=min(anchor_at.day, monthrange(year, month + 1)[1]))

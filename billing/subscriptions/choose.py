"""Choosing a plan, and ending it.

A subscription is requested → active → ended, or failed if its first payment is declined. Choosing a
plan writes one row, whose job does the rest (`billing.subscriptions.renew`).
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import Customer
from billing import ledger, plans
from billing.live.wake import wake
from billing.models import Payment, Subscription
from billing.payments import requests as payments
from jobs.models import due

State = Subscription.State


class PlanRefused(Exception):
    """The plan cannot be chosen. The message is shown to the customer."""


class NotSelectable(PlanRefused):
    """The plan does not exist, is by agreement only, or the trial of a customer who has a plan."""


class TrialUsed(PlanRefused):
    """A customer can have the trial only once."""


class ChangeUnderWay(PlanRefused):
    """Another choice or a payment is still in progress."""


def select_plan(*, customer: Customer, plan: str, key: str, now: datetime) -> Subscription:
    """Choose a plan. A worker charges it if it has a price, grants the credits and activates it.

    If the form with this `key` was sent before, or the plan is live already, the existing
    subscription is returned, so that a double click or a second tab changes nothing. Raises
    PlanRefused.
    """
    chosen = plans.PLANS.get(plan)
    if chosen is None:
        raise NotSelectable("There is no such plan.")
    if chosen.price_cents is None:
        raise NotSelectable(f"{chosen.name} is made by agreement: write to us.")
    with transaction.atomic():
        Customer.objects.select_for_update().get(pk=customer.pk)  # serialises choices
        mine, own_key = Subscription.objects.filter(customer=customer), f"{plan}:{key}"[:128]
        same = mine.filter(key=own_key).first() or mine.live().filter(plan=plan).first()
        if same:
            return same
        _check_choice(chosen, customer)
        subscription = Subscription.objects.create(
            customer=customer, plan=plan, key=own_key, created_at=now, **due(now)
        )
        if chosen.price_cents:
            payments.request_plan_payment(
                subscription=subscription, period=0, amount_cents=chosen.price_cents, now=now
            )
    return subscription


def cancel(*, customer: Customer, now: datetime) -> Subscription | None:
    """End the current plan. Nothing is charged any more, and credits stay until they expire.

    Returns the subscription, None if there is none. Raises ChangeUnderWay while the next period is
    being paid.
    """
    with transaction.atomic():
        subscription = (
            Subscription.objects.select_for_update()
            .filter(customer=customer, state=State.ACTIVE)
            .first()
        )
        if subscription is None:
            return None
        renewals = Payment.objects.open().filter(subscription=subscription)
        if renewals.filter(state=Payment.State.REQUIRES_ACTION).exists():
            raise ChangeUnderWay(
                "The next payment waits for your confirmation: call it off under Billing."
            )
        if renewals.exists():
            raise ChangeUnderWay("The next month is just being paid. Try again in a minute.")
        end(subscription, now)
    wake_streams(customer)
    return subscription


def current_plan(customer: Customer) -> Subscription | None:
    """The active subscription, None if there is none."""
    return Subscription.objects.filter(customer=customer, state=State.ACTIVE).first()


def requested_plan(customer: Customer) -> Subscription | None:
    """The subscription that is being set up, None if there is none."""
    return Subscription.objects.filter(customer=customer, state=State.REQUESTED).first()


def _check_choice(chosen: plans.Plan, customer: Customer) -> None:
    mine = Subscription.objects.filter(customer=customer)
    if under_way := mine.filter(state=State.REQUESTED).first():
        name = plans.PLANS[under_way.plan].name
        if under_way.payments.filter(state=Payment.State.REQUIRES_ACTION).exists():
            raise ChangeUnderWay(
                f"The payment for your {name} plan waits for your confirmation: confirm it or call "
                "it off under Billing."
            )
        raise ChangeUnderWay(f"Your {name} plan is still being set up. Try again in a minute.")
    if chosen.once:
        if mine.filter(plan=chosen.key).exists():
            raise TrialUsed("You have used your trial. Choose a plan to go on.")
        if mine.filter(state=State.ACTIVE).exists():
            raise NotSelectable("The trial is for trying Vocalis before you have a plan.")


def end(subscription: Subscription, now: datetime) -> None:
    Subscription.objects.filter(pk=subscription.pk).cancel(state=State.ENDED, ended_at=now)


def wake_streams(customer: Customer) -> None:
    wake(ledger.wallet_of(customer.pk).pk)

"""Choosing a plan, changing it, and what is to follow it at the end of its period.

A subscription is requested → active → ended, or failed if its first payment is declined. Choosing a
plan or a higher one writes one row, whose job does the rest (`billing.subscriptions.renew`). A
lower plan, or none, is only noted on the current row (`next_plan`) until its period ends.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Customer
from billing import ledger, plans
from billing.live.wake import wake
from billing.models import Payment, Subscription
from billing.payments import cards, tax
from billing.payments import requests as payments
from jobs.models import due
from notifications import emit

from . import change, trial
from .change import Kind, Preview, Shown

State = Subscription.State
# For how long an amount that was shown holds, although the time left of the period goes on.
SHOWN_FOR = timedelta(minutes=15)


class PlanRefused(Exception):
    """The plan cannot be chosen. The message is shown to the customer."""


class NotSelectable(PlanRefused):
    """The plan does not exist, is by agreement only, or the trial of a customer who has a plan."""


class TrialUsed(PlanRefused):
    """A customer can have the trial only once."""


class ChangeUnderWay(PlanRefused):
    """Another choice or a payment is still in progress."""


class OnHold(PlanRefused):
    """Staff or a bank's dispute holds the credits: nothing new is charged until that is settled."""


class NeedsCard(PlanRefused):
    """There is no card that could be charged."""


class TotalUnknown(PlanRefused):
    """The total cannot be told yet. `needs_address`: not before the billing profile is written."""

    def __init__(self, message: str, *, needs_address: bool) -> None:
        super().__init__(message)
        self.needs_address = needs_address


class NotAgreed(PlanRefused):
    """The amounts were not shown yet, or have changed since. `preview` has those of now."""

    def __init__(self, preview: Preview) -> None:
        super().__init__("The amounts have changed. Nothing was charged: these are the new ones.")
        self.preview = preview


def preview_plan(*, customer: Customer, plan: str, now: datetime) -> Preview:
    """What `select_plan` would do now. Raises PlanRefused."""
    chosen = _selectable(plan)
    _check_choice(chosen, customer)
    found = change.preview(customer=customer, plan=chosen, at=now, now=now)
    _check_renewal(found.former)
    _check_tax(found, customer)
    return found


def select_plan(
    *, customer: Customer, plan: str, key: str, now: datetime, shown: Shown | None = None
) -> Subscription:
    """Choose a plan, for the amounts that were `shown`.

    A first or higher plan is charged by a worker, which grants its credits and activates it. A
    lower one is noted for the end of the period. The current plan goes on, if it was to end or to
    be followed by another. Returns the subscription: for a lower plan, the one that is current.

    If the form with this `key` was sent before, or the plan is live already, the existing
    subscription is returned, so that a double click or a second tab changes nothing. Raises
    PlanRefused; of what costs anything NotAgreed, unless exactly that was shown.
    """
    chosen = _selectable(plan)
    with transaction.atomic():
        # Serialises choices. Not FOR UPDATE: a payment that is inserted meanwhile holds the
        # subscription and asks whether its customer exists, and both would wait for each other.
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        mine, own_key = Subscription.objects.filter(customer=customer), f"{plan}:{key}"[:128]
        if same := mine.filter(key=own_key).first() or _chosen_already(mine, plan):
            return same
        _check_choice(chosen, customer)
        # Before the amounts, because its job must not begin a renewal after they were worked out.
        former = mine.select_for_update().filter(state=State.ACTIVE).first()
        is_fresh = shown is not None and now - SHOWN_FOR <= shown.at <= now
        at = shown.at if shown and is_fresh else now
        found = change.preview(customer=customer, plan=chosen, at=at, now=now)
        if former and found.kind == Kind.SAME:
            return _go_on(former, now)
        _check_renewal(former)
        _check_tax(found, customer)
        if found.costs and not (shown and found.agrees(shown)):
            raise NotAgreed(change.preview(customer=customer, plan=chosen, at=now, now=now))
        if found.due_cents and cards.card_of(customer.pk) is None:
            raise NeedsCard("Save a card first. Nothing was charged.")
        if former and found.kind == Kind.DOWNGRADE:
            return _follow_with(former, chosen.key, now)
        return _request(customer, found, own_key, now)


def cancel(*, customer: Customer, now: datetime) -> Subscription | None:
    """End the current plan with its period; one whose period is over ends at once.

    Nothing is charged any more, and credits stay until they expire. `select_plan` of the same plan
    undoes it until then. Returns the subscription, None if there is none. Raises ChangeUnderWay
    while the next period is being paid.
    """
    with transaction.atomic():
        subscription = (
            Subscription.objects.select_for_update()
            .filter(customer=customer, state=State.ACTIVE)
            .first()
        )
        if subscription is None:
            return None
        _check_renewal(subscription)
        if plans.PLANS[subscription.plan].once:
            return subscription  # ends with its period anyway
        if subscription.period_end_at and subscription.period_end_at > now:
            Subscription.objects.filter(pk=subscription.pk).update(next_plan=Subscription.NO_PLAN)
            subscription.next_plan = Subscription.NO_PLAN
            return subscription
        end(subscription, now, reason="cancelled")
    wake_streams(customer)
    return subscription


def end_now(*, customer: Customer, now: datetime) -> None:
    """End the current plan at once, as for an account that is closed. Raises ChangeUnderWay."""
    with transaction.atomic():
        mine = Subscription.objects.select_for_update().filter(customer=customer)
        if subscription := mine.filter(state=State.ACTIVE).first():
            _check_renewal(subscription)
            end(subscription, now, reason="cancelled")
    wake_streams(customer)


def give_up(*, subscription: Subscription, reason: str, now: datetime) -> bool:
    """Call off a plan that is being set up; a worker gives back what was taken for it.

    A payment that is charged already is left to a refund. Returns whether it was being set up.
    """
    requested = Subscription.objects.filter(pk=subscription.pk, state=State.REQUESTED)
    return bool(requested.run_now(now, failure=reason))


def current_plan(customer: Customer) -> Subscription | None:
    """The active subscription, None if there is none."""
    return Subscription.objects.filter(customer=customer, state=State.ACTIVE).first()


def requested_plan(customer: Customer) -> Subscription | None:
    """The subscription that is being set up, None if there is none."""
    return Subscription.objects.filter(customer=customer, state=State.REQUESTED).first()


def end(subscription: Subscription, now: datetime, *, reason: str, failure: str = "") -> None:
    """End an active plan, in the caller's transaction. The customer is told why."""
    active = Subscription.objects.filter(pk=subscription.pk, state=State.ACTIVE)
    if active.cancel(state=State.ENDED, ended_at=now, failure=failure):
        data = {"plan": subscription.plan, "reason": reason}
        emit(subscription.customer_id, "plan.ended", str(subscription.pk), data, now)


def wake_streams(customer: Customer) -> None:
    wake(ledger.wallet_of(customer.pk).pk)


def _selectable(plan: str) -> plans.Plan:
    chosen = plans.PLANS.get(plan)
    if chosen is None:
        raise NotSelectable("There is no such plan.")
    if chosen.price_cents is None:
        raise NotSelectable(f"{chosen.name} is made by agreement: write to us.")
    return chosen


def _chosen_already(mine: QuerySet[Subscription], plan: str) -> Subscription | None:
    """The plan if it is being set up or goes on, or the one that it is to follow already."""
    wanted = Q(state=State.REQUESTED, plan=plan)
    wanted |= Q(state=State.ACTIVE, plan=plan, next_plan="")
    return mine.filter(wanted | Q(state=State.ACTIVE, next_plan=plan)).first()


def check_not_held(customer: Customer) -> None:
    """Raise OnHold while the customer's credits are on hold: nobody could spend new ones."""
    if ledger.is_on_hold(customer.pk):
        raise OnHold("Your credits are on hold. Until that is settled, no plan can be chosen.")


def _check_choice(chosen: plans.Plan, customer: Customer) -> None:
    check_not_held(customer)
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
            raise NotSelectable(trial.HAD_A_PLAN)
        if because := trial.refusal(customer):
            raise NotSelectable(because)


def _check_tax(found: Preview, customer: Customer) -> None:
    if found.costs and (because := tax.why_not(customer.pk)):
        raise TotalUnknown(because, needs_address=tax.needs_address(customer.pk))


def _check_renewal(former: Subscription | None) -> None:
    """Raise ChangeUnderWay while the next period of this plan is being paid."""
    if former is None:
        return
    renewals = Payment.objects.open().filter(subscription=former)
    if renewals.filter(state=Payment.State.REQUIRES_ACTION).exists():
        raise ChangeUnderWay(
            "The next payment waits for your confirmation: confirm it or call it off under Billing."
        )
    if renewals.exists():
        raise ChangeUnderWay("The next month is just being paid. Try again in a minute.")


def _go_on(former: Subscription, now: datetime) -> Subscription:
    """Call off what was to follow the current plan, until its period ends."""
    if former.period_end_at and former.period_end_at <= now:
        raise ChangeUnderWay("The period of your plan has just ended. Try again in a minute.")
    if former.next_plan:
        Subscription.objects.filter(pk=former.pk, next_plan=former.next_plan).update(next_plan="")
        former.next_plan = ""
    return former


def _follow_with(former: Subscription, plan: str, now: datetime) -> Subscription:
    """Note that a lower plan follows at the end of the period."""
    Subscription.objects.filter(pk=former.pk).update(next_plan=plan)
    former.next_plan = plan
    at = former.period_end_at.isoformat() if former.period_end_at else None
    data = {"from": former.plan, "to": plan, "at": at, "amount_cents": 0}
    emit(former.customer_id, "plan.changed", f"{former.pk}-{former.period}-{plan}", data, now)
    return former


def _request(customer: Customer, found: Preview, key: str, now: datetime) -> Subscription:
    """Write the row of a plan that begins at once.

    Credits that are taken back leave the balance now. Their plan is paid only once Metronome has
    taken them back as well, so its payment is left to the job.
    """
    requested = Subscription.objects.create(
        customer=customer,
        plan=found.plan.key,
        key=key,
        former=found.former,
        due_cents=found.due_cents,
        due_tax_cents=found.due_tax_cents,
        paid_back_cents=found.paid_back_cents,
        off_cents=found.off_cents,
        taken_from=found.grant if found.taken_back_credits else None,
        taken_back_credits=found.taken_back_credits,
        created_at=now,
        **due(now),
    )
    if found.plan.once and not trial.claim(customer, now):
        raise NotSelectable(trial.MAILBOX_USED)
    if found.grant and found.taken_back_credits:
        try:
            ledger.reduce(grant_id=found.grant.pk, credits=found.taken_back_credits, now=now)
        except ledger.NotLeft:  # spent or reserved in this moment
            raise NotAgreed(
                change.preview(customer=customer, plan=found.plan, at=now, now=now)
            ) from None
        wake(found.grant.wallet_id)
    elif found.due_cents:
        payments.request_plan_payment(
            subscription=requested,
            period=0,
            amount_cents=found.due_total_cents,
            tax_cents=found.due_tax_cents,
            credits=found.plan.credits,
            now=now,
        )
    return requested

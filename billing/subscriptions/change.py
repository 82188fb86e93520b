"""What a choice of plan charges, pays back and takes back.

It is worked out here, for the page that shows it and for the code that does it.

Upgrade: at once. Paid back is the share of the former plan's price that is left, in time and in
credits, whichever is less. Downgrade: at the end of the period. After a trial, what is offered for
the first month (`offers`) is off the price; that month counts for so much less in an upgrade.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor

from accounts.models import Customer
from billing import ledger, plans
from billing.models import CreditGrant, Subscription
from billing.payments import credit_keys, tax

from . import offers
from .periods import months_after

# Below this nothing is charged: it is the least that payment providers take.
CHARGE_CENTS_MIN = 50
NO_SHARE = Fraction(0)
MICROSECOND = timedelta(microseconds=1)


class Kind(StrEnum):
    START = "start"  # there is no plan, or its period is over
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    SAME = "same"  # the plan goes on; what was to follow it is called off


@dataclass(frozen=True, slots=True)
class Shown:
    """The amounts a customer has agreed to, and the moment they are of."""

    at: datetime
    due_cents: int
    paid_back_cents: int
    taken_back_credits: int
    next_cents: int
    due_tax_cents: int = 0
    next_tax_cents: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """What choosing `plan` at `at` does.

    `time_share` and `credit_share` are what is left of the former period; the smaller one counts.
    `off_cents` are off the first month's price by an offer, `former_cents` are of what a share is
    paid back. `grant` is what credits are taken back
    from. `next_at` is when `next_cents` are charged, None if nothing will be. The tax on what is
    due and on what is next is charged on top of them.
    """

    kind: Kind
    plan: plans.Plan
    former: Subscription | None
    at: datetime
    due_cents: int
    paid_back_cents: int
    taken_back_credits: int
    next_cents: int
    next_at: datetime | None
    off_cents: int = 0
    former_cents: int = 0
    time_share: Fraction = NO_SHARE
    credit_share: Fraction = NO_SHARE
    grant: CreditGrant | None = None
    due_tax_cents: int = 0
    next_tax_cents: int = 0

    @property
    def due_total_cents(self) -> int:
        return self.due_cents + self.due_tax_cents

    @property
    def next_total_cents(self) -> int:
        return self.next_cents + self.next_tax_cents

    @property
    def shown(self) -> Shown:
        return Shown(
            at=self.at,
            due_cents=self.due_cents,
            paid_back_cents=self.paid_back_cents,
            taken_back_credits=self.taken_back_credits,
            next_cents=self.next_cents,
            due_tax_cents=self.due_tax_cents,
            next_tax_cents=self.next_tax_cents,
        )

    def agrees(self, shown: Shown) -> bool:
        """Whether the customer has seen exactly these amounts."""
        return self.shown == replace(shown, at=self.at)

    @property
    def costs(self) -> bool:
        """Whether it charges anything, now or later, that it would not charge otherwise."""
        return self.kind != Kind.SAME and bool(self.due_cents or self.next_cents)


def preview(*, customer: Customer, plan: plans.Plan, at: datetime, now: datetime) -> Preview:
    """What choosing this plan does. Reads only.

    `at` is the moment whose time left counts, `now` the one whose credits left do: a customer who
    was shown an amount some minutes ago is charged that one, unless credits were spent since.
    """
    found = _without_tax(customer, plan, at, now)
    return replace(
        found,
        due_tax_cents=tax.on(customer.pk, found.due_cents),
        next_tax_cents=tax.on(customer.pk, found.next_cents),
    )


def _without_tax(customer: Customer, plan: plans.Plan, at: datetime, now: datetime) -> Preview:
    former = Subscription.objects.filter(customer=customer, state=Subscription.State.ACTIVE).first()
    price_cents = plan.price_cents or 0
    kind = kind_of(former, plan, now)
    if kind in (Kind.SAME, Kind.DOWNGRADE):
        ends_at = former.period_end_at if former else None
        return Preview(kind, plan, former, at, 0, 0, 0, price_cents, ends_at)
    next_at = None if plan.once else months_after(at, 1)
    next_cents = 0 if plan.once else price_cents
    if former is None or kind == Kind.START:
        due_cents = price_cents if price_cents >= CHARGE_CENTS_MIN else 0
        return Preview(kind, plan, former, at, due_cents, 0, 0, next_cents, next_at)
    return _upgrade(former, plan, at, now, next_at)


def kind_of(former: Subscription | None, plan: plans.Plan, now: datetime) -> Kind:
    """What choosing `plan` is, for a customer whose active plan is `former`."""
    if former and former.plan == plan.key:
        return Kind.SAME
    if former is None or former.period_end_at is None or former.period_end_at <= now:
        return Kind.START
    former_cents = plans.PLANS[former.plan].price_cents or 0
    return Kind.UPGRADE if (plan.price_cents or 0) > former_cents else Kind.DOWNGRADE


def _upgrade(
    former: Subscription, plan: plans.Plan, at: datetime, now: datetime, next_at: datetime | None
) -> Preview:
    """The credit for the former plan is a share of its price, not of what was charged for it."""
    price_cents, former_cents = plan.price_cents or 0, _price_cents(former)
    off_cents = price_cents * offers.percent_off(former.customer, at) // 100
    grant = grant_of(former) if former_cents else None
    time_share = time_left(former, at)
    credit_share = credits_left(grant, now)
    share = min(time_share, credit_share)
    paid_back_cents = floor(former_cents * share)
    taken_back_credits = ceil(grant.granted * share) if grant else 0
    due_cents = price_cents - off_cents - paid_back_cents
    return Preview(
        kind=Kind.UPGRADE,
        plan=plan,
        former=former,
        at=at,
        due_cents=due_cents if due_cents >= CHARGE_CENTS_MIN else 0,
        paid_back_cents=paid_back_cents,
        taken_back_credits=taken_back_credits,
        next_cents=price_cents,
        next_at=next_at,
        off_cents=off_cents,
        former_cents=former_cents,
        time_share=time_share,
        credit_share=credit_share,
        grant=grant,
    )


def _price_cents(subscription: Subscription) -> int:
    """What its current period costs, with what was off the first one."""
    price_cents = plans.PLANS[subscription.plan].price_cents or 0
    is_first = subscription.period == subscription.first_period
    return price_cents - subscription.off_cents if is_first else price_cents


def time_left(subscription: Subscription, at: datetime) -> Fraction:
    """The share of its current period that is left, from 0 to 1."""
    starts_at, ends_at = subscription.period_start_at, subscription.period_end_at
    if starts_at is None or ends_at is None or ends_at <= at:
        return NO_SHARE
    left, whole = ends_at - max(at, starts_at), ends_at - starts_at
    return Fraction(left // MICROSECOND, whole // MICROSECOND)


def credits_left(grant: CreditGrant | None, now: datetime) -> Fraction:
    """The share of the granted credits that is neither spent nor reserved."""
    if grant is None or not grant.granted or grant.ends_at <= now:
        return NO_SHARE
    return Fraction(ledger.unreserved(grant, now), grant.granted)


def grant_of(subscription: Subscription) -> CreditGrant | None:
    """The credits of its current period, None if they are not mirrored."""
    return CreditGrant.objects.filter(
        wallet__customer_id=subscription.customer_id,
        key=grant_key(subscription, subscription.period),
    ).first()


def grant_key(subscription: Subscription, period: int) -> str:
    """The uniqueness key of a period's credits at Metronome."""
    if plans.PLANS[subscription.plan].once:
        return f"vocalis-trial-{subscription.customer_id}"
    return credit_keys.of_plan(subscription.customer_id, subscription.pk, period)

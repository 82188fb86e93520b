"""Customers who change plans: up, down, back again, out; and renewals that are declined.

The promises are checked with the rows as they are written, and at rest: nothing above what was
shown is charged, periods follow one another, and what was taken back is gone on both sides.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from fractions import Fraction
from math import ceil, floor
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import F

from accounts.models import Customer
from billing import plans
from billing.models import CreditGrant, Payment, Subscription, Wallet
from billing.subscriptions import choose, dunning
from billing.subscriptions.change import Shown, grant_of
from billing.tests.stripe_stage import CONFIRMED, DECLINED

from .payers import BAD_CARDS, GOOD_CARDS, Payers

if TYPE_CHECKING:
    from .world import World

State = Subscription.State
WEEK_AND_A_DAY = timedelta(days=8)
MICROSECOND = timedelta(microseconds=1)


class ChangingPlans(Payers):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.agreed: dict[tuple[UUID, str], Shown] = {}  # by customer and key of the row

    def choose_plan(self) -> None:
        if customer := self.anyone():
            self._choose(customer, self.dice.choice(["trial", "trial", "creator", "pro"]))

    def change_plan(self) -> None:
        """Somebody with a plan goes up, down, back, or out."""
        with self.chaos.elsewhere():
            active = list(Subscription.objects.filter(state=State.ACTIVE).order_by("pk"))
        if active:
            row = self.dice.choice(active)
            plan = self.dice.choice(["creator", "pro", "pro", "studio", row.plan])
            if self.dice.random() < 0.15:
                with suppress(choose.PlanRefused):
                    choose.cancel(customer=row.customer, now=self.now())
            else:
                self._choose(row.customer, plan)
                if self.dice.random() < 0.4:
                    self.work()

    def _choose(self, customer: Customer, plan: str) -> None:
        """Look at what it does, perhaps for long, and agree, perhaps twice."""
        with suppress(choose.PlanRefused):
            shown = choose.preview_plan(customer=customer, plan=plan, now=self.now()).shown
            self.keeps_the_rule(customer, plan)
            if self.dice.random() < 0.3:
                self.advance(minutes=self.dice.choice([1, 10, 40]))
            key = f"{plan}-{self.dice.randint(0, 9)}"
            self.note_wish(customer)
            for _ in range(self.dice.choice([1, 1, 2])):
                own_key = f"{plan}:{key}"
                if not Subscription.objects.filter(customer=customer, key=own_key).exists():
                    self.agreed[customer.pk, own_key] = shown
                choose.select_plan(
                    customer=customer, plan=plan, key=key, now=self.now(), shown=shown
                )

    def keeps_the_rule(self, customer: Customer, plan: str) -> None:
        """What a change of plan shows is what the rule says, worked out anew from the rows."""
        with self.chaos.elsewhere(), suppress(choose.PlanRefused):
            found = choose.preview_plan(customer=customer, plan=plan, now=self.now())
            former, wallet = found.former, Wallet.objects.filter(customer=customer).first()
            if former is None or wallet is None or former.period_end_at is None:
                return
            whole, wanted = plans.PLANS[former.plan], plans.PLANS[plan]
            amounts = found.due_cents, found.paid_back_cents, found.taken_back_credits
            if former.period_end_at <= self.now() or wallet.reserved:
                return
            if (wanted.price_cents or 0) <= (whole.price_cents or 0):
                assert amounts == (0, 0, 0), f"{former} to {plan}: {amounts}"
                return
            assert former.period_start_at
            is_first = former.period == former.first_period
            price_cents = (whole.price_cents or 0) - (former.off_cents if is_first else 0)
            grant = grant_of(former) if price_cents else None
            left = min(grant.remaining, wallet.available) if grant else 0
            share = min(
                Fraction(
                    (former.period_end_at - self.now()) // MICROSECOND,
                    (former.period_end_at - former.period_start_at) // MICROSECOND,
                ),
                Fraction(left, grant.granted) if grant and grant.granted else Fraction(0),
            )
            paid_back, taken = (
                floor(price_cents * share),
                ceil(grant.granted * share if grant else 0),
            )
            due = (wanted.price_cents or 0) - found.off_cents - paid_back
            rule = due if due >= 50 else 0, paid_back, taken
            assert amounts == rule, f"{former} to {plan}: {amounts}, by the rule {rule}"

    def decline_a_renewal(self) -> None:
        """A card that is declined when the period ends, and what its customer does in the week
        after."""
        active = Subscription.objects.filter(state=State.ACTIVE, period_end_at__gt=self.now())
        row = active.exclude(plan="trial").order_by("period_end_at", "pk").first()
        if row is None or row.period_end_at is None:
            return
        self.save_card(row.customer, self.dice.choice([DECLINED, DECLINED, CONFIRMED]))
        self.perform(self.work)
        while (left := row.period_end_at - self.now()) > timedelta(0):
            hours = min(self.dice.choice([72, 168]), max(1, left // timedelta(hours=1)))
            self.pass_hours(hours)
        until = self.now() + WEEK_AND_A_DAY
        while self.now() < until:
            self.perform(self.work)
            self.perform(self.dice.choice([self.pay_now, self.change_card_of_due, self.work]))
            self.pass_hours(self.dice.choice([1, 24, 48]))

    def pay_now(self) -> None:
        for row in Subscription.objects.filter(past_due_at__isnull=False).order_by("pk"):
            payment = dunning.due_payment(row)
            tried = payment.attempt_number if payment else 0
            self.note_wish(row.customer)
            for _ in range(self.dice.choice([1, 1, 2])):
                with suppress(choose.PlanRefused):
                    dunning.pay_now(customer=row.customer, tried=tried, now=self.now())

    def change_card_of_due(self) -> None:
        number = self.dice.choice([*GOOD_CARDS, *BAD_CARDS])
        for row in Subscription.objects.filter(past_due_at__isnull=False).order_by("pk"):
            self.save_card(row.customer, number)


def nothing_above_what_was_shown(world: World) -> None:
    """Every choice that is charged has exactly the amounts that its customer agreed to, every
    other charge is the price of a month (`invariants.charges_agree` has what was charged)."""
    for row in Subscription.objects.exclude(plan="trial").filter(first_period=0):
        shown = world.agreed[row.customer_id, row.key]
        found = (row.due_cents, row.due_tax_cents, row.paid_back_cents, row.taken_back_credits)
        due = (shown.due_cents, shown.due_tax_cents)
        wanted = (*due, shown.paid_back_cents, shown.taken_back_credits)
        assert found == wanted, f"{row}: shown {wanted}, done {found}"
    for payment in Payment.objects.exclude(subscription=None).select_related("subscription"):
        assert payment.net_cents == price(payment), payment
        row = payment.subscription
        if payment.period == row.first_period and row.due_cents is not None:
            assert payment.tax_cents == row.due_tax_cents, payment


def taken_of(grant: CreditGrant) -> int:
    """Credits that upgrades took back of it, and did not give back."""
    rows = Subscription.objects.filter(taken_from=grant).exclude(state=State.FAILED)
    return sum(rows.values_list("taken_back_credits", flat=True))


def price(payment: Payment) -> int | None:
    """What the period of a plan costs."""
    row = payment.subscription
    assert row is not None
    is_first = payment.period == row.first_period and row.due_cents is not None
    return row.due_cents if is_first else plans.PLANS[row.plan].price_cents


def the_rule_holds() -> None:
    """What an upgrade paid back and took back are the same share, and no more than the former plan
    was worth. What an offer took off was offered after a trial only."""
    for row in Subscription.objects.filter(taken_back_credits__gt=0).select_related("former"):
        assert row.former and row.taken_from
        whole = plans.PLANS[row.former.plan]
        # The first month after a trial may have cost less: a share of that is paid back.
        is_first = row.former.period == row.former.first_period
        cents = (whole.price_cents or 0) - (row.former.off_cents if is_first else 0)
        share = Fraction(row.taken_back_credits, whole.credits)
        assert share <= 1
        assert row.paid_back_cents <= floor(share * cents), row
        least = Fraction(row.taken_back_credits - 1, whole.credits)
        assert row.paid_back_cents >= floor(least * cents), row
        assert row.due_cents == (plans.PLANS[row.plan].price_cents or 0) - row.paid_back_cents
    for row in Subscription.objects.filter(off_cents__gt=0).select_related("former"):
        price_cents = plans.PLANS[row.plan].price_cents or 0
        assert row.former and row.former.plan == "trial", row
        assert row.off_cents == price_cents * plans.TRIAL_OFFER_PERCENT // 100
        assert (row.due_cents, row.paid_back_cents) == (price_cents - row.off_cents, 0), row


def taken_back_on_both_sides(world: World) -> None:
    """A grant counts here for what its segment holds at Metronome, which was told while it ran."""
    for grant in CreditGrant.objects.exclude(reduced_to=None).select_related("wallet__customer"):
        told = Subscription.objects.filter(taken_from=grant, taken_back_at__lt=grant.ends_at)
        amount = segment_at_metronome(world, grant)
        if told.exists() and amount is not None:
            assert amount == grant.reduced_to, f"{grant}: {amount} at Metronome"


def segment_at_metronome(world: World, grant: CreditGrant) -> Any:
    customer = grant.wallet.customer
    for commit in world.sandbox.world.store.commits.of_customer(customer.metronome_id or ""):
        for segment in commit.segments:
            if segment.id == grant.segment_id and commit.archived_at is None:
                return segment.amount
    return None


def periods_follow_one_another() -> None:
    """At most one plan is live, and no period begins before the one before it has ended or was
    replaced. A period's dates are those of its anchor, however late it was paid."""
    assert not Subscription.objects.filter(
        state=State.ACTIVE, period_end_at__lte=F("period_start_at")
    ).exists()
    begun = Subscription.objects.exclude(period_start_at=None).exclude(former=None)
    for row in begun.select_related("former"):
        former = row.former
        assert former and former.state != State.REQUESTED
        assert former.ended_at is not None, f"{row} lives beside {former}"
        if row.first_period:
            assert row.anchor_at == former.anchor_at and row.first_period == former.period + 1
            assert former.period_end_at is not None and row.period_start_at is not None
            has_begun = row.period >= row.first_period
            assert not has_begun or row.period_start_at >= former.period_end_at, f"{row} overlaps"
    overdue = Subscription.objects.filter(state=State.ACTIVE, past_due_at__isnull=False)
    for row in overdue:
        payment = dunning.due_payment(row)
        assert payment and payment.state == Payment.State.FAILED and payment.decline, row
        assert 1 <= row.tries < len(dunning.TRY_AFTER), row


def at_rest(world: World) -> None:
    nothing_above_what_was_shown(world)
    the_rule_holds()
    taken_back_on_both_sides(world)
    periods_follow_one_another()

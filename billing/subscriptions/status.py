"""How a plan stands, for the pages that say it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Customer
from billing import plans
from billing.models import Payment, PaymentMethod, Subscription
from billing.payments import declines, tax

from . import dunning

State = Subscription.State


@dataclass(frozen=True, slots=True)
class Status:
    """A plan of now.

    `state` is one of requested, active, ending (with its period), changing (to `next_plan`),
    past_due, ended and failed. `until` is the end of its period, or when it ended. `payment` is
    what is past due, `next_try_at` when it is tried by itself. `needs_card`: the chosen card must
    not be charged for it again.
    """

    row: Subscription
    plan: plans.Plan
    state: str
    until: datetime | None
    next_plan: plans.Plan | None = None
    next_cents: int | None = None
    payment: Payment | None = None
    next_try_at: datetime | None = None
    ends_at: datetime | None = None
    needs_card: bool = False

    @property
    def is_live(self) -> bool:
        return self.row.state == State.ACTIVE

    @property
    def has_begun(self) -> bool:
        """Whether it ever gave credits: one whose first payment failed did not."""
        return self.row.period_start_at is not None

    @property
    def is_payable(self) -> bool:
        """Whether "Pay now" would try the payment."""
        return bool(self.payment and self.payment.state == Payment.State.FAILED)

    @property
    def can_end(self) -> bool:
        return self.is_live and not self.plan.once and self.state != "ending"


def shown(customer: Customer, now: datetime) -> Status | None:
    """The customer's plan, else the one being set up, else the latest; None if there is none."""
    mine = Subscription.objects.filter(customer=customer)
    row = (
        mine.filter(state=State.ACTIVE).first()
        or mine.filter(state=State.REQUESTED).first()
        or mine.order_by("-created_at", "-pk").first()
    )
    return status_of(row, now) if row else None


def status_of(row: Subscription, now: datetime) -> Status:
    plan = plans.PLANS[row.plan]
    if row.state != State.ACTIVE:
        return Status(row, plan, row.state, row.ended_at)
    payment = _unpaid(row, now)
    if payment:
        return Status(
            row,
            plan,
            "past_due",
            row.period_end_at,
            next_cents=payment.amount_cents,
            payment=payment,
            next_try_at=dunning.next_try_at(row),
            ends_at=dunning.ends_at(row),
            needs_card=_needs_card(payment),
        )
    if row.next_plan == Subscription.NO_PLAN or plan.once:
        return Status(row, plan, "active" if plan.once else "ending", row.period_end_at)
    following = plans.PLANS[row.next_plan] if row.next_plan else None
    return Status(
        row,
        plan,
        "changing" if following else "active",
        row.period_end_at,
        next_plan=following,
        next_cents=tax.with_tax(row.customer_id, (following or plan).price_cents or 0),
    )


def _needs_card(payment: Payment) -> bool:
    card = PaymentMethod.objects.filter(customer=payment.customer_id).first()
    return bool(payment.decline) and not declines.may_try(payment, card)


def _unpaid(row: Subscription, now: datetime) -> Payment | None:
    """The payment of a renewal that was declined or waits for the customer."""
    if row.period_end_at is None or row.period_end_at > now:
        return None
    payment = dunning.due_payment(row)
    if payment and (row.past_due_at or payment.state == Payment.State.REQUIRES_ACTION):
        return payment
    return None

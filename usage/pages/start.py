"""A customer's first minutes in the studio: a text that waits, the trial, the first sound."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from accounts.models import Customer
from billing import ledger, plans
from billing.subscriptions import choose, trial
from usage.models import Draft

FIRST_TEXT = (
    "Good evening. This text is yours to change. Press Speak, and you hear it a moment later."
)


class Step(StrEnum):
    """What stands between the customer and the first sound."""

    CONFIRM = "confirm"  # the trial, and the address before it
    TRIAL = "trial"
    WAIT = "wait"  # the credits of a plan are on their way
    NONE = "none"  # no credits, and no trial to be had
    SPEAK = "speak"


@dataclass(frozen=True, slots=True)
class Start:
    step: Step
    plan: plans.Plan = plans.PLANS["trial"]
    key: uuid.UUID = field(default_factory=uuid.uuid4)  # of the form: a double click is one choice


def of(customer: Customer, available: int) -> Start | None:
    """How the customer gets to the first sound; None for who has had it and has credits."""
    if available:
        return None if _has_spoken(customer) else Start(Step.SPEAK)
    if requested := choose.requested_plan(customer):
        return Start(Step.WAIT, plans.PLANS[requested.plan])
    if trial.is_open(customer):
        return Start(Step.TRIAL if trial.is_confirmed(customer) else Step.CONFIRM)
    return None if choose.current_plan(customer) else Start(Step.NONE)


def text(draft: Draft) -> str:
    """What waits in the form of a new customer, who has written and spoken nothing yet, else ""."""
    customer = draft.customer
    if draft.version or _has_spoken(customer):
        return ""
    has_plan = choose.requested_plan(customer) or choose.current_plan(customer)
    has_credits = ledger.wallet_of(customer.pk).available
    return FIRST_TEXT if has_plan or (not has_credits and trial.is_open(customer)) else ""


def _has_spoken(customer: Customer) -> bool:
    return customer.generations.exists()

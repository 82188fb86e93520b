"""What is taken off the price of a first month."""

from __future__ import annotations

from datetime import datetime, timedelta

from accounts.models import Customer
from billing import plans
from billing.models import Subscription

from .trial import had_paid_plan


def percent_off(customer: Customer, now: datetime) -> int:
    """How many percent the first month of a paid plan costs less for the customer now.

    From three days before the end of a trial until its end, as the mail about it says, and only
    for those who never had a paid plan. 0 for everybody else.
    """
    trial = Subscription.objects.filter(
        customer=customer, plan="trial", state=Subscription.State.ACTIVE, period_end_at__gt=now
    ).first()
    if trial is None or trial.period_end_at is None:
        return 0
    begins_at = trial.period_end_at - timedelta(days=plans.REMIND_DAYS)
    return plans.TRIAL_OFFER_PERCENT if now >= begins_at and not had_paid_plan(customer) else 0

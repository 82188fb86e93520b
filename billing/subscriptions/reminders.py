"""Telling customers three days before a plan is renewed or a trial ends.

By our own clock: a subscription is looked at once for each end of a period, as soon as that is
three days ahead. Metronome's notice of the same end, if it comes, tells nobody twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet

from billing import plans
from billing.models import Subscription
from billing.payments import tax
from jobs.worker import BatchJob
from notifications import emit

from . import offers

AT_ONCE = 100


def waiting(now: datetime) -> QuerySet[Subscription]:
    """Active subscriptions whose period ends soon, and that were not looked at for this end.

    Not those that end with it: their customers have ended them. One who has it go on is told then.
    """
    return Subscription.objects.filter(
        state=Subscription.State.ACTIVE,
        reminded_end_at__lt=F("period_end_at"),
        period_end_at__lte=now + timedelta(days=plans.REMIND_DAYS),
    ).exclude(next_plan=Subscription.NO_PLAN)


def remind(now: datetime) -> int:
    """Tell the customers of up to a hundred of them. Returns how many were looked at."""
    rows = list(waiting(now).order_by("period_end_at")[:AT_ONCE])
    for row in rows:
        remind_of(row, now)
    return len(rows)


def remind_of(subscription: Subscription, now: datetime) -> bool:
    """Tell the customer of the end of this period, once. Returns whether it was to be told."""
    with transaction.atomic():
        # Locked, because what follows the period may be chosen in this moment.
        row = waiting(now).select_for_update().filter(pk=subscription.pk).first()
        if row is None or row.period_end_at is None:
            return False
        Subscription.objects.filter(pk=row.pk).update(reminded_end_at=row.period_end_at)
        return _tell(row, row.period_end_at, now)


def _tell(row: Subscription, end_at: datetime, now: datetime) -> bool:
    follows = plans.PLANS[row.next_plan or row.plan]
    if end_at <= now:
        return False
    key, at = f"{row.pk}-{end_at.isoformat()}", end_at.isoformat()
    if plans.PLANS[row.plan].once:
        data = {"ends_at": at, "offer_percent": offers.percent_off(row.customer, now)}
        emit(row.customer_id, "trial.ends_soon", key, data, now)
    elif follows.price_cents:
        tax_cents = tax.on(row.customer_id, follows.price_cents)
        renews = {"plan": follows.key, "at": at, "amount_cents": follows.price_cents + tax_cents}
        if tax_cents:
            renews["tax_cents"] = tax_cents
        if row.next_plan:
            renews["from"] = row.plan
        emit(row.customer_id, "plan.renews_soon", key, renews, now)
    else:
        return False
    return True


REMIND = BatchJob("subscriptions.remind", waiting, remind)

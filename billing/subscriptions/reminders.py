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
from jobs.worker import BatchJob
from notifications import emit

AT_ONCE = 100


def waiting(now: datetime) -> QuerySet[Subscription]:
    """Active subscriptions whose period ends soon, and that were not looked at for this end."""
    return Subscription.objects.filter(
        state=Subscription.State.ACTIVE,
        reminded_end_at__lt=F("period_end_at"),
        period_end_at__lte=now + timedelta(days=plans.REMIND_DAYS),
    )


def remind_due(now: datetime) -> int:
    """Tell the customers of up to a hundred of them. Returns how many were looked at."""
    rows = list(waiting(now).order_by("period_end_at")[:AT_ONCE])
    for row in rows:
        with transaction.atomic():
            remind(row, now)
            seen = Subscription.objects.filter(pk=row.pk, period_end_at=row.period_end_at)
            seen.update(reminded_end_at=row.period_end_at)
    return len(rows)


def remind(subscription: Subscription, now: datetime) -> bool:
    """Tell the customer of the end of this period, once. Returns whether it was to be told."""
    end_at, plan = subscription.period_end_at, plans.PLANS[subscription.plan]
    if end_at is None or end_at <= now:
        return False
    key, at = f"{subscription.pk}-{end_at.isoformat()}", end_at.isoformat()
    if plan.once:
        data = {"ends_at": at, "offer_percent": plans.TRIAL_OFFER_PERCENT}
        emit(subscription.customer_id, "trial.ends_soon", key, data, now)
    elif plan.price_cents:
        data = {"plan": plan.key, "at": at, "amount_cents": plan.price_cents}
        emit(subscription.customer_id, "plan.renews_soon", key, data, now)
    else:
        return False
    return True


REMIND = BatchJob("subscriptions.remind", waiting, remind_due)

"""How long audio is kept: what the plan promises when it is made, or a later plan before its end.

The date is written with the audio (`Generation.audio_until_at`) and is never moved back. When a
plan that keeps audio longer begins, what is still there is kept as long as that plan says, counted
from when it was made.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F, QuerySet

from accounts.models import Customer
from billing import plans
from billing.models import Subscription
from billing.subscriptions.choose import current_plan
from usage.models import Generation


def until(customer: Customer, made_at: datetime) -> datetime | None:
    """Until when the plan of this moment keeps what was made then; None: until it is deleted."""
    subscription = current_plan(customer)
    days = plans.audio_days(subscription.plan if subscription else None)
    return None if days is None else made_at + timedelta(days=days)


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two ends, of which None is none."""
    return None if one is None or other is None else max(one, other)


def unlengthened() -> QuerySet[Subscription]:
    """Plans that have begun since their customers' audio was last looked at."""
    return Subscription.objects.filter(state=Subscription.State.ACTIVE, is_audio_lengthened=False)


def lengthen(subscription: Subscription, now: datetime) -> None:
    """Keep what its customer has as long as this plan says.

    But for what is over already: who deletes it may have deleted the file, and decides (`expiry`).
    """
    kept = Generation.objects.filter(
        customer=subscription.customer_id, audio_until_at__gt=now, audio_deleted_at=None
    )
    days = plans.audio_days(subscription.plan)
    if days is None:
        kept.update(audio_until_at=None)
    else:
        end = F("finished_at") + timedelta(days=days)
        kept.filter(audio_until_at__lt=end).update(audio_until_at=end)
    Subscription.objects.filter(pk=subscription.pk).update(is_audio_lengthened=True)

"""Start and end of a plan's periods."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, timedelta

from billing import plans
from billing.models import Subscription


def period_of(subscription: Subscription, period: int) -> tuple[datetime, datetime]:
    """Start and end of a period.

    They are computed from the anchor, not from the previous period, so that a short month does not
    move the later ones. Raises ValueError before the first period has begun.
    """
    anchor_at = subscription.anchor_at
    if anchor_at is None:
        raise ValueError("the subscription has not begun")
    days = plans.PLANS[subscription.plan].days
    if days:
        return anchor_at + timedelta(days=days * period), anchor_at + timedelta(
            days=days * (period + 1)
        )
    return months_after(anchor_at, period), months_after(anchor_at, period + 1)


def months_after(anchor_at: datetime, months: int) -> datetime:
    """The same day and time `months` later, or the last day of the month if that is too short."""
    year, month = divmod(anchor_at.year * 12 + anchor_at.month - 1 + months, 12)
    return anchor_at.replace(
        year=year, month=month + 1, day=min(anchor_at.day, monthrange(year, month + 1)[1])
    )

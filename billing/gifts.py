"""Credits a person gives: complimentary ones, and refunds. Always new credits at Metronome, never a change of old ones."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction

from accounts.models import Customer, User
from jobs.worker import RowStep

from . import contracts, plans
from .models import Gift

GIFT_DAYS = 365
NAMES = {Gift.Kind.GIFT: "Complimentary credits", Gift.Kind.REFUND: "Refund"}


class GiftDiffers(Exception):
    """The key already names a gift of another size or to another customer."""


def give(
    *,
    customer: Customer,
    credits: int,
    reason: str,
    by: User,
    key: str,
    kind: Gift.Kind = Gift.Kind.GIFT,
    days: int = GIFT_DAYS,
    now: datetime,
) -> Gift:
    """Have a worker grant the customer credits, drawn before all others. Who and why is in the admin's log.

    The same key again gives the same gift. Raises GiftDiffers; ValueError if `credits` is not positive.
    """
    if credits <= 0:
        raise ValueError("a gift is at least one credit")
    with transaction.atomic():
        gift, is_new = Gift.objects.get_or_create(
            key=key,
            defaults={
                "customer": customer, "kind": kind, "credits": credits, "reason": reason[:200], "by": by,
                "ends_at": now + timedelta(days=days), "created_at": now, "due_at": now,
            },
        )  # fmt: skip
        if is_new:
            message = f"{kind.label} of {credits:,} credits ({key}): {reason}"
            LogEntry.objects.log_actions(by.pk, Customer.objects.filter(pk=customer.pk), CHANGE, message)
    if (gift.customer_id, gift.credits) != (customer.pk, credits):
        raise GiftDiffers(f"{key} is a {gift} already")
    return gift


def grant(gift: Gift, now: datetime) -> None:
    """Make the credits at Metronome and here."""
    grant_id = contracts.grant(
        gift.customer,
        key=gift.key,
        name=NAMES[Gift.Kind(gift.kind)],
        credits=gift.credits,
        starts_at=now,
        ends_at=gift.ends_at,
        priority=plans.PRIORITY_GIFT,
        now=now,
    )
    Gift.objects.filter(pk=gift.pk, grant=None).update(grant_id=grant_id)


GIVE = RowStep("gifts", Gift, grant)

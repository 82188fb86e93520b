"""Credits a person gives: complimentary ones, and refunds. Always new credits at Metronome, never a
change of old ones."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction

from accounts.models import Customer, User
from billing import plans
from billing.models import ComplimentaryGrant
from billing.sync import contracts
from jobs.models import due
from jobs.worker import RowJob

COMPLIMENTARY_DAYS = 365
DAYS_MAX = 3_660  # ten years
CREDITS_MAX = 40_000_000  # worth $10,000: more is a slip of the finger
NAMES = {
    ComplimentaryGrant.Kind.COMPLIMENTARY: "Complimentary credits",
    ComplimentaryGrant.Kind.CREDIT_BACK: "Credits back",
}


class GrantDiffers(Exception):
    """The key already names a gift of another size or to another customer."""


def give(
    *,
    customer: Customer,
    credits: int,
    reason: str,
    by: User,
    key: str,
    kind: ComplimentaryGrant.Kind = ComplimentaryGrant.Kind.COMPLIMENTARY,
    days: int = COMPLIMENTARY_DAYS,
    now: datetime,
) -> ComplimentaryGrant:
    """Have a worker grant the customer credits, drawn before all others. Who and why is in the
    admin's log.

    The same key again gives the same gift. Raises GrantDiffers; ValueError if `credits` is not
    within 1 and CREDITS_MAX, or `days` not within 1 and DAYS_MAX.
    """
    if not 0 < credits <= CREDITS_MAX:
        raise ValueError(f"a gift is 1 to {CREDITS_MAX:,} credits")
    if not 0 < days <= DAYS_MAX:
        raise ValueError(f"a gift lasts 1 to {DAYS_MAX:,} days")
    with transaction.atomic():
        gift, is_new = ComplimentaryGrant.objects.get_or_create(
            key=key,
            defaults={
                "customer": customer,
                "kind": kind,
                "credits": credits,
                "reason": reason[:200],
                "by": by,
                "ends_at": now + timedelta(days=days),
                "created_at": now,
                **due(now),
            },
        )
        if is_new:
            message = f"{kind.label} of {credits:,} credits ({key}): {reason}"
            LogEntry.objects.log_actions(
                by.pk, Customer.objects.filter(pk=customer.pk), CHANGE, message
            )
    if (gift.customer_id, gift.credits) != (customer.pk, credits):
        raise GrantDiffers(f"{key} is a {gift} already")
    return gift


def grant(gift: ComplimentaryGrant, now: datetime) -> None:
    """Make the credits at Metronome and here.

    Made late, they last as long as they were to last.
    """
    ends_at = gift.ends_at if gift.ends_at > now else now + (gift.ends_at - gift.created_at)
    grant_id = contracts.grant(
        gift.customer,
        key=gift.key,
        name=NAMES[ComplimentaryGrant.Kind(gift.kind)],
        credits=gift.credits,
        starts_at=now,
        ends_at=ends_at,
        priority=plans.PRIORITY_COMPLIMENTARY,
        now=now,
    )
    ComplimentaryGrant.objects.filter(pk=gift.pk, grant=None).update(grant_id=grant_id)


GRANT = RowJob("complimentary.grant", ComplimentaryGrant, grant)

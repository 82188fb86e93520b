"""Credits that staff grants: complimentary credits, and credits back for something that went wrong.

They are always new credits at Metronome; existing ones are not changed.
"""

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
CREDITS_MAX = 40_000_000  # worth $10,000: more is probably a typing error
NAMES = {
    ComplimentaryGrant.Kind.COMPLIMENTARY: "Complimentary credits",
    ComplimentaryGrant.Kind.CREDIT_BACK: "Credits back",
}


class GrantDiffers(Exception):
    """The key belongs to a grant of another size or to another customer."""


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
    """Grant the customer credits that are drawn before all others; a worker creates them.

    `by` and `reason` are written to the admin's log. Another call with the same key returns the
    same row. Raises GrantDiffers if that row has another size or customer, ValueError if `credits`
    is not within 1 and CREDITS_MAX or `days` not within 1 and DAYS_MAX.
    """
    if not 0 < credits <= CREDITS_MAX:
        raise ValueError(f"a complimentary grant is 1 to {CREDITS_MAX:,} credits")
    if not 0 < days <= DAYS_MAX:
        raise ValueError(f"a complimentary grant lasts 1 to {DAYS_MAX:,} days")
    with transaction.atomic():
        row, is_new = ComplimentaryGrant.objects.get_or_create(
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
    if (row.customer_id, row.credits) != (customer.pk, credits):
        raise GrantDiffers(f"{key} is a {row} already")
    return row


def grant(row: ComplimentaryGrant, now: datetime) -> None:
    """Create the credits at Metronome and mirror them here.

    If they are created only after their planned end, they last as long as planned from now.
    """
    ends_at = row.ends_at if row.ends_at > now else now + (row.ends_at - row.created_at)
    grant_id = contracts.grant(
        row.customer,
        key=row.key,
        name=NAMES[ComplimentaryGrant.Kind(row.kind)],
        credits=row.credits,
        starts_at=now,
        ends_at=ends_at,
        priority=plans.PRIORITY_COMPLIMENTARY,
        now=now,
    )
    ComplimentaryGrant.objects.filter(pk=row.pk, grant=None).update(grant_id=grant_id)


GRANT = RowJob("complimentary.grant", ComplimentaryGrant, grant)

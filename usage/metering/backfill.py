"""Send again the usage events that Metronome does not have.

Safe at any time: an event keeps its transaction id, and Metronome ignores one it has seen.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from accounts.models import Customer
from usage.models import UsageDiscrepancy, UsageEvent

from . import comparison
from .comparison import Bucket, Discrepancy

COUNTED_AFTER = timedelta(minutes=3)  # by then what was made due is sent and counted


def differences(
    customer: Customer, *, since: datetime, until: datetime
) -> list[tuple[Bucket, int, Decimal]]:
    """The buckets of a customer at Metronome whose sums differ: (bucket, local, remote)."""
    found = comparison.differing([customer], since=since, until=until)
    return [(bucket, local, remote) for _, bucket, local, remote in found]


def repair(
    customer: Customer, bucket: Bucket, local: int, remote: Decimal, *, dry_run: bool, now: datetime
) -> Discrepancy:
    """Find the events that make a difference, and have a worker send again what is missing."""
    discrepancy = comparison.explained(customer, bucket, local, remote)
    if not dry_run:
        send_again(discrepancy, now=now)
        noted = UsageDiscrepancy.objects.open().filter(customer=customer, **bucket._asdict())
        noted.run_now(now + COUNTED_AFTER)
    return discrepancy


def send_again(discrepancy: Discrepancy, *, now: datetime) -> int:
    """Make due for the worker what is missing at Metronome. Returns how many events."""
    return UsageEvent.objects.filter(pk__in=[event.pk for event in discrepancy.missing]).run_now(
        now
    )


def has_usage(customer: Customer, *, since: datetime, until: datetime) -> bool:
    return UsageEvent.objects.filter(
        customer=customer, happened_at__gte=since, happened_at__lt=until
    ).exists()

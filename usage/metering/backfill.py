"""Send again what Metronome does not have of our usage. Safe at any time: the transaction ids stay the same, and Metronome
ignores one it has seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.db.models import QuerySet

from accounts.models import Customer
from operations.command import Outcome, attempt, walk
from usage.models import UsageDiscrepancy, UsageEvent

from . import comparison
from .comparison import Bucket, Discrepancy

COUNTED_AFTER = timedelta(minutes=3)  # what is sent again is sent and counted by then


def repair(
    customers: QuerySet[Customer], *, since: datetime, until: datetime, dry_run: bool, now: datetime
) -> Iterator[Outcome]:
    """Compare the closed hours of these customers, and make due for the worker what is missing at Metronome."""
    first, last = comparison.closed_hours(since, until, now=now)
    for customer in walk(customers.select_related("user")):
        found: list[tuple[Bucket, int, Decimal]] = []
        yield attempt(customer, partial(_compare, customer, first, last, found))
        for bucket, local, remote in found:  # one by one: the events of all of them may be a million
            yield attempt(f"{customer} {bucket}", partial(_repair, customer, bucket, local, remote, dry_run, now))


def send_again(discrepancy: Discrepancy, *, now: datetime) -> int:
    """Make due for the worker what is missing at Metronome. Returns how many events."""
    return UsageEvent.objects.filter(pk__in=[event.pk for event in discrepancy.missing]).run_now(now)


def _compare(customer: Customer, since: datetime, until: datetime, found: list[tuple[Bucket, int, Decimal]]) -> Outcome:
    if not customer.metronome_id:
        waits = UsageEvent.objects.filter(customer=customer, happened_at__gte=since, happened_at__lt=until).exists()
        note = "not at Metronome yet: backfill_customers" if waits else ""
        return Outcome(customer, "without a Metronome customer", note, is_open=waits)
    found[:] = [
        (bucket, local, remote)
        for _, bucket, local, remote in comparison.differing([customer], since=since, until=until)
    ]
    return Outcome(customer, "with differences" if found else "agree")


def _repair(customer: Customer, bucket: Bucket, local: int, remote: Decimal, dry_run: bool, now: datetime) -> Outcome:
    discrepancy = comparison.explained(customer, bucket, local, remote)
    if not dry_run:
        send_again(discrepancy, now=now)
        noted = UsageDiscrepancy.objects.open().filter(customer=customer, **bucket._asdict())
        noted.run_now(now + COUNTED_AFTER)
    word = "open" if not discrepancy.missing else "would be sent again" if dry_run else "sent again"
    rest = bool(discrepancy.uncounted or discrepancy.waiting or discrepancy.unexplained)
    return Outcome(f"{customer} {bucket}", word, discrepancy.described(), is_open=rest or dry_run, is_part=True)

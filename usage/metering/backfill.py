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
from usage.models import UsageDifference, UsageEvent

from . import comparison
from .comparison import Cell, Difference

COUNTED_AFTER = timedelta(minutes=3)  # what is sent again is sent and counted by then


def repair(
    customers: QuerySet[Customer], *, since: datetime, until: datetime, dry_run: bool, now: datetime
) -> Iterator[Outcome]:
    """Compare the closed hours of these customers, and make due for the worker what is missing at Metronome."""
    first, last = comparison.closed_hours(since, until, now=now)
    for customer in walk(customers.select_related("user")):
        found: list[tuple[Cell, int, Decimal]] = []
        yield attempt(customer, partial(_compare, customer, first, last, found))
        for cell, here, there in found:  # one by one: the events of all of them may be a million
            yield attempt(f"{customer} {cell}", partial(_repair, customer, cell, here, there, dry_run, now))


def send_again(difference: Difference, *, now: datetime) -> int:
    """Make due for the worker what is missing at Metronome. Returns how many events."""
    return UsageEvent.objects.filter(pk__in=[event.pk for event in difference.missing]).nudge(now)


def _compare(customer: Customer, since: datetime, until: datetime, found: list[tuple[Cell, int, Decimal]]) -> Outcome:
    if not customer.metronome_id:
        waits = UsageEvent.objects.filter(customer=customer, happened_at__gte=since, happened_at__lt=until).exists()
        note = "not at Metronome yet: backfill_customers" if waits else ""
        return Outcome(customer, "without a Metronome customer", note, is_open=waits)
    found[:] = [
        (cell, here, there) for _, cell, here, there in comparison.differing([customer], since=since, until=until)
    ]
    return Outcome(customer, "with differences" if found else "agree")


def _repair(customer: Customer, cell: Cell, here: int, there: Decimal, dry_run: bool, now: datetime) -> Outcome:
    difference = comparison.explained(customer, cell, here, there)
    if not dry_run:
        send_again(difference, now=now)
        noted = UsageDifference.objects.open().filter(customer=customer, **cell._asdict())
        noted.nudge(now + COUNTED_AFTER)
    word = "open" if not difference.missing else "would be sent again" if dry_run else "sent again"
    rest = bool(difference.uncounted or difference.waiting or difference.unexplained)
    return Outcome(f"{customer} {cell}", word, difference.described(), is_open=rest or dry_run, is_part=True)

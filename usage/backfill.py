"""Send again what Metronome does not have of our usage. Safe at any time: the transaction ids stay the same, and Metronome
ignores one it has seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db.models import QuerySet

from accounts.models import Customer
from jobs.operation import Outcome, attempt, walk

from . import comparison
from .comparison import Difference
from .models import UsageEvent

NAMED_MAX = 20  # events named in one line


def repair(
    customers: QuerySet[Customer], *, since: datetime, until: datetime, dry_run: bool, now: datetime
) -> Iterator[Outcome]:
    """Compare the closed hours of these customers, and make due for the worker what is missing at Metronome."""
    first, last = comparison.closed_hours(since, until, now=now)
    metric_ids = comparison.metric_ids()
    for customer in walk(customers.select_related("user")):
        found: list[Difference] = []
        yield attempt(customer, partial(_compare, customer, first, last, metric_ids, found))
        for difference in found:
            yield _repair(customer, difference, dry_run, now)


def _compare(
    customer: Customer, since: datetime, until: datetime, metric_ids: dict[str, str], found: list[Difference]
) -> Outcome:
    if not customer.metronome_id:
        waits = UsageEvent.objects.filter(customer=customer, happened_at__gte=since, happened_at__lt=until).exists()
        note = "not at Metronome yet: backfill_customers" if waits else ""
        return Outcome(customer, "without a Metronome customer", note, is_open=waits)
    found[:] = comparison.differences(customer, since=since, until=until, metric_ids=metric_ids)
    return Outcome(customer, "with differences" if found else "agree")


def _repair(customer: Customer, difference: Difference, dry_run: bool, now: datetime) -> Outcome:
    if difference.missing and not dry_run:
        UsageEvent.objects.filter(pk__in=[event.pk for event in difference.missing]).nudge(now)
    word = "open" if not difference.missing else "would be sent again" if dry_run else "sent again"
    rest = bool(difference.uncounted or difference.waiting or difference.unexplained)
    parts = [f"here {difference.here:,}, at Metronome {_number(difference.there)}"]
    for events, what in (
        (difference.missing, "missing there"),
        (difference.uncounted, "there, but counted for nobody (backfill_customers, bootstrap_metronome)"),
        (difference.waiting, "still on their way"),
    ):
        if events:
            names = ", ".join(event.transaction_id for event in events[:NAMED_MAX])
            more = f" and {len(events) - NAMED_MAX:,} more" if len(events) > NAMED_MAX else ""
            parts.append(f"{what}: {names}{more}")
    if difference.unexplained > 0:
        parts.append(f"{_number(difference.unexplained)} there that no event here explains")
    elif difference.unexplained < 0:
        parts.append(f"{_number(-difference.unexplained)} less there than its events say")
    return Outcome(f"{customer} {difference.cell}", word, "; ".join(parts), is_open=rest or dry_run)


def _number(amount: Decimal) -> str:
    return f"{amount.normalize():,f}"

"""The schedule: what a worker does hourly and daily.

Each line has one row, on which `usage.reconcile` runs again and again. Beside it, only the reading
of contracts goes by the clock (`billing/sync/schedule.py`): hourly, or each minute while business
is under way.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from jobs.models import due
from usage.models import ReconciliationRun

SCHEDULE = {
    ReconciliationRun.Kind.HOURS: timedelta(hours=1),  # hourly: the usage of customers who had any
    ReconciliationRun.Kind.DAYS: timedelta(days=1),  # daily, by UTC: the usage of everybody
}


def make_rows(now: datetime) -> None:
    """Make the missing rows of the schedule, due now. Several workers may do so at once."""
    there = set(ReconciliationRun.objects.values_list("kind", flat=True))
    if missing := [
        ReconciliationRun(kind=kind, **due(now)) for kind in SCHEDULE if kind not in there
    ]:
        ReconciliationRun.objects.bulk_create(missing, ignore_conflicts=True)

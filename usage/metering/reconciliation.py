"""Hourly and daily reconciliation of usage with Metronome.

A run walks all customers in batches; its row holds the cursor. The hourly run compares closed hours
of customers who had usage in them or have an open discrepancy. The daily run compares everybody by
the sums of the day, which finds usage that only Metronome has. A run that takes longer than its
hour makes the next one cover several, for as many requests.

A difference becomes a UsageDiscrepancy. Every later run that comes to its customer looks at it
again, and it closes when the totals agree. Repair needs an operator.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F

from accounts.models import Customer
from billing.metronome import MetronomeRejected
from jobs.errors import Rejected, Snooze
from jobs.worker import RowJob
from usage.models import ReconciliationRun, UsageDiscrepancy, UsageDiscrepancyQuerySet, UsageEvent

from . import backfill, comparison
from .comparison import CLOSED_AFTER, Bucket
from .reporter import WINDOW
from .schedule import SCHEDULE, make_rows

logger = logging.getLogger(__name__)

HOUR = timedelta(hours=1)
# In one listing: some 500 windows, and 100.
CUSTOMERS = {ReconciliationRun.Kind.HOURS: 10, ReconciliationRun.Kind.DAYS: 50}
PAUSE_SECONDS = 2  # between two listings
PAGE = 500  # customers asked at once whether they had usage
PAGES_MAX = 40  # in one job: less than a second, then others run
# Events looked up one by one to name those that differ; backfill_usage names any number.
SEARCHED_MAX = 1_000
# Runs look back no further; by then the numbers of an hour are final.
LAST_LOOK_AFTER = WINDOW + HOUR
LEASE_SECONDS = 600  # ten customers with ten searches each, slowly answered
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STORED = Decimal("0.000001")  # what the column keeps


# --- Runs -----------------------------------------------------------------------------------------


def reconcile(run: ReconciliationRun, now: datetime) -> datetime:
    """Begin a run when its hour or day is closed, or compare its next batch.

    Returns when the job is due again.
    """
    length = SCHEDULE[ReconciliationRun.Kind(run.kind)]
    # Nobody is compared yet: begin anew, to cover what closed since, in an outage say.
    if run.after is None:
        _begin(run, length, now)
    since, until = run.since_at, run.until_at
    if since is None or until is None:
        raise AssertionError("a run that has begun has both ends")
    if since < until:
        customers, after = _next_customers(run, since, until)
        _compare(run, customers, since, until, now)
        if after:
            _keep(run, after=after)
            return now + timedelta(seconds=PAUSE_SECONDS)
    _keep(run, since_at=until, until_at=None, after=None)
    return until + length + CLOSED_AFTER


RECONCILE = RowJob(
    "usage.reconcile",
    ReconciliationRun,
    reconcile,
    lease_seconds=LEASE_SECONDS,
    make_rows=make_rows,
)


def _begin(run: ReconciliationRun, length: timedelta, now: datetime) -> None:
    until = _floor(now - CLOSED_AFTER, length)
    oldest = _floor(now - WINDOW, length) + length  # Metronome looks back no further
    _keep(run, since_at=min(until, max(oldest, run.since_at or until - length)), until_at=until)


def _floor(moment: datetime, length: timedelta) -> datetime:
    return moment - (moment - EPOCH) % length


def _next_customers(
    run: ReconciliationRun, since: datetime, until: datetime
) -> tuple[list[Customer], UUID | None]:
    """The next customers to compare, and the new cursor: None if the run ends with them."""
    limit = CUSTOMERS[ReconciliationRun.Kind(run.kind)]
    after = run.after or UUID(int=0)
    for _ in range(PAGES_MAX):
        page = list(
            Customer.objects.filter(pk__gt=after)
            .exclude(metronome_id=None)
            .order_by("pk")
            .values_list("pk", flat=True)[:PAGE]
        )
        is_last = len(page) < PAGE
        wanted = (
            page if run.kind == ReconciliationRun.Kind.DAYS else _with_usage(page, since, until)
        )
        if len(wanted) > limit:
            return _customers(wanted[:limit]), wanted[limit - 1]
        if wanted or is_last:
            return _customers(wanted), None if is_last else page[-1]
        after = page[-1]
    return [], after


def _customers(keys: list[UUID]) -> list[Customer]:
    return list(Customer.objects.filter(pk__in=keys)) if keys else []


def _with_usage(page: list[UUID], since: datetime, until: datetime) -> list[UUID]:
    """Those with usage in that time or an open discrepancy.

    Asked by customer, for which there is an index. One by time alone would have to be written with
    every event.
    """
    if not page:
        return []
    events = UsageEvent.objects.filter(
        customer__in=page, happened_at__gte=since, happened_at__lt=until
    )
    discrepancies = UsageDiscrepancy.objects.open().filter(customer__in=page)
    return sorted(
        {
            pk
            for rows in (events, discrepancies)
            for pk in rows.values_list("customer_id", flat=True).distinct()
        }
    )


def _keep(run: ReconciliationRun, **fields: object) -> None:
    """Write the run's row, if we still have its lease. Raises Snooze if another worker has it."""
    if not ReconciliationRun.objects.filter(pk=run.pk, lease=run.lease).update(**fields):
        raise Snooze("another worker advances this run")
    for name, value in fields.items():
        setattr(run, name, value)


# --- Discrepancies --------------------------------------------------------------------------------


def _compare(
    run: ReconciliationRun,
    customers: list[Customer],
    since: datetime,
    until: datetime,
    now: datetime,
) -> None:
    try:
        if customers and run.kind == ReconciliationRun.Kind.DAYS:
            by_day = comparison.differing(customers, since=since, until=until, window="DAY")
            customers = list({customer.pk: customer for customer, *_ in by_day}.values())
        if customers:
            compare(customers, since=since, until=until, now=now)
    except MetronomeRejected as error:
        if error.status != 404:
            raise
        if len(customers) == 1:  # gone at Metronome, which its dead sync says too
            logger.error("usage of customer %s cannot be compared: %s", customers[0].pk, error)
            return
        for customer in customers:
            _compare(run, [customer], since, until, now)


def compare(customers: list[Customer], *, since: datetime, until: datetime, now: datetime) -> None:
    """Compare these hours and those of open discrepancies.

    Record what differs, and resolve what agrees again.
    """
    oldest = min(since, now - WINDOW)
    rows = UsageDiscrepancy.objects.open().filter(customer__in=customers, hour_at__gte=oldest)
    # Before listing: one that opens meanwhile may lie outside of it.
    old = dict(rows.values_list("pk", "hour_at"))
    since = min([since, *old.values()])
    # An old run may end before they began.
    until = max([until, *(hour_at + HOUR for hour_at in old.values())])
    found = {
        _note(customer, bucket, local, remote, now)
        for customer, bucket, local, remote in comparison.differing(
            customers, since=since, until=until
        )
    }
    agreeing = UsageDiscrepancy.objects.open().filter(pk__among=list(old.keys() - found))
    # Not what another worker has seen differ since.
    _resolve(agreeing.filter(last_seen_at__lte=now), now)


def _note(customer: Customer, bucket: Bucket, local: int, remote: Decimal, now: datetime) -> int:
    """Record a difference and return its row's key.

    One whose numbers have not changed is not looked into again.
    """
    remote = remote.quantize(STORED)
    same = UsageDiscrepancy.objects.filter(
        customer=customer,
        **bucket._asdict(),
        local_units=local,
        remote_units=remote,
        is_in_transit=False,
    )
    if pk := same.values_list("pk", flat=True).first():
        same.open().update(last_seen_at=now)
        return pk
    discrepancy = comparison.explained(customer, bucket, local, remote, searched_max=SEARCHED_MAX)
    seen = {
        "local_units": local,
        "remote_units": remote,
        "is_in_transit": discrepancy.is_in_transit,
        "detail": str(discrepancy),
        "last_seen_at": now,
        "resolved_at": None,
    }
    # Or a row might never get its last look: its numbers may not change again.
    with transaction.atomic():
        row, _ = UsageDiscrepancy.objects.update_or_create(
            customer=customer,
            **bucket._asdict(),
            defaults=seen,
            create_defaults=seen | {"first_seen_at": now},
        )
        # No run may come by once the totals agree.
        last_look_at = row.hour_at + LAST_LOOK_AFTER
        UsageDiscrepancy.objects.filter(pk=row.pk, due_at=None, dead_at=None).schedule(last_look_at)
    if not row.is_in_transit:
        logger.warning("usage of customer %s differs: %s: %s", customer.pk, bucket, discrepancy)
    return row.pk


def _resolve(rows: UsageDiscrepancyQuerySet, now: datetime) -> None:
    # The numbers are set equal: left as they were, the same difference later would pass for one
    # that was closed by hand. A repair that was given up is over, too.
    units = F("local_units")
    rows.cancel(
        resolved_at=now,
        last_seen_at=now,
        remote_units=units,
        is_in_transit=False,
        repair_asked=False,
    )


# --- What an operator does ------------------------------------------------------------------------


def ask_repair(rows: UsageDiscrepancyQuerySet, *, now: datetime) -> int:
    """Have a worker send again what is missing at Metronome. Returns how many of them are open."""
    return rows.filter(resolved_at=None).run_now(now, repair_asked=True)


def close(rows: UsageDiscrepancyQuerySet, *, now: datetime) -> int:
    """Accept these discrepancies.

    They open again only if their numbers change. Returns how many were open.
    """
    return rows.filter(resolved_at=None).cancel(resolved_at=now, repair_asked=False)


def recheck(row: UsageDiscrepancy, now: datetime) -> datetime | None:
    """Send again what is missing, if an operator asked for it, and compare again once counted.

    Otherwise compare for the last time.
    """
    bucket, next_hour_at = Bucket(row.hour_at, row.event_type, row.voice_type), row.hour_at + HOUR
    if row.repair_asked:
        if row.hour_at < now - WINDOW:
            raise Rejected(
                f"older than the {WINDOW.days} days in which Metronome takes events; "
                "settle it by hand"
            )
        for discrepancy in comparison.discrepancies(
            row.customer, since=row.hour_at, until=next_hour_at
        ):
            if discrepancy.bucket == bucket:
                backfill.send_again(discrepancy, now=now)
        # If it was asked for again while we held the row, it stays asked for.
        UsageDiscrepancy.objects.filter(pk=row.pk, due_at=row.due_at).update(repair_asked=False)
        return now + backfill.COUNTED_AFTER
    compare([row.customer], since=row.hour_at, until=next_hour_at, now=now)
    last_look_at = row.hour_at + LAST_LOOK_AFTER
    still_open = UsageDiscrepancy.objects.open().filter(pk=row.pk).exists()
    return last_look_at if still_open and last_look_at > now else None


RECHECK = RowJob("discrepancies.recheck", UsageDiscrepancy, recheck)

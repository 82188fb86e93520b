"""Compare our usage with Metronome's and send missing events again, or import usage of another
system.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from accounts.management.lookup import customer_named
from accounts.models import Customer
from jobs.walk import walk
from operations.command import Operation, Outcome, Refused, attempt, moment
from usage.metering import backfill, comparison, csv_import
from usage.metering.comparison import Bucket


class Command(Operation):
    help = (
        "Compares usage by closed hour and voice type with Metronome, names the "
        "events that differ, and has a worker send the missing ones again under "
        "the same transaction ids. Reaches back 34 days, as far as Metronome "
        "accepts events. Or imports the usage of another system: --from-csv."
    )
    leaves_work = frozenset({"sent again", "imported"})

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--since",
            type=moment,
            metavar="TIME",
            help="2026-01-31T10:00 (UTC), or an age: 30m, 36h, 34d",
        )
        parser.add_argument(
            "--until", type=moment, metavar="TIME", help="likewise; by default the last closed hour"
        )
        parser.add_argument("--customer", metavar="EMAIL_OR_ID", help="only this one")
        parser.add_argument(
            "--from-csv",
            type=Path,
            metavar="FILE",
            help=(
                "columns transaction_id, customer (ingest alias), "
                "event_type, timestamp; the others are properties"
            ),
        )

    def total(self, *, customer: str | None, from_csv: Path | None, **options: Any) -> int | None:
        return None if from_csv else 1 if customer is not None else Customer.objects.count()

    def outcomes(
        self,
        *,
        dry_run: bool,
        now: datetime,
        since: datetime | None,
        until: datetime | None,
        customer: str | None,
        from_csv: Path | None,
        **options: Any,
    ) -> Iterator[Outcome]:
        if from_csv:
            if since or until or customer:
                raise Refused("A file is imported whole: --from-csv goes with --dry-run only.")
            return self._import(from_csv, dry_run=dry_run, now=now)
        if since is None:
            raise Refused("Say since when: --since 2026-01-31T10:00, or --since 34d.")
        customers = Customer.objects.all()
        if customer is not None:
            customers = customers.filter(pk=customer_named(customer).pk)
        try:
            first, last = comparison.closed_hours(since, until or now, now=now)
        except comparison.NotComparable as error:
            raise Refused(str(error)) from error
        return repair(customers, since=first, until=last, dry_run=dry_run, now=now)

    def _import(self, path: Path, *, dry_run: bool, now: datetime) -> Iterator[Outcome]:
        try:
            count = csv_import.check(path, now=now)
            if dry_run:
                yield Outcome(path, "would be imported", f"{count:,} new events", is_open=count > 0)
                return
            self.progress.total = count
            for line, state, failure in csv_import.load(path, now=now):
                yield Outcome(f"line {line}", state, failure, is_open=state == "failed")
        except csv_import.FileInvalid as error:
            raise Refused(str(error)) from error


def repair(
    customers: QuerySet[Customer], *, since: datetime, until: datetime, dry_run: bool, now: datetime
) -> Iterator[Outcome]:
    """Compare the hours between two closed ones, customer by customer, and send again what is
    missing at Metronome.
    """
    for customer in walk(customers.select_related("user")):
        found: list[tuple[Bucket, int, Decimal]] = []
        yield attempt(customer, partial(_compare, customer, since, until, found))
        # One by one: the events of all of them may be a million.
        for bucket, local, remote in found:
            yield attempt(
                f"{customer} {bucket}",
                partial(_repair, customer, bucket, local, remote, dry_run, now),
            )


def _compare(
    customer: Customer, since: datetime, until: datetime, found: list[tuple[Bucket, int, Decimal]]
) -> Outcome:
    if not customer.metronome_id:
        waits = backfill.has_usage(customer, since=since, until=until)
        note = "not at Metronome yet: backfill_customers" if waits else ""
        return Outcome(customer, "without a Metronome customer", note, is_open=waits)
    found[:] = backfill.differences(customer, since=since, until=until)
    return Outcome(customer, "with differences" if found else "agree")


def _repair(
    customer: Customer, bucket: Bucket, local: int, remote: Decimal, dry_run: bool, now: datetime
) -> Outcome:
    discrepancy = backfill.repair(customer, bucket, local, remote, dry_run=dry_run, now=now)
    word = "open" if not discrepancy.missing else "would be sent again" if dry_run else "sent again"
    rest = bool(discrepancy.uncounted or discrepancy.waiting or discrepancy.unexplained)
    return Outcome(
        f"{customer} {bucket}", word, discrepancy.described(), is_open=rest or dry_run, is_part=True
    )

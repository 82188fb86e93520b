"""Compare our usage with Metronome's and send what is missing there, or import usage of another system."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from accounts.lookup import customer_named
from accounts.models import Customer
from operations.command import Operation, Outcome, Refused, moment
from usage.metering import backfill, csv_import


class Command(Operation):
    help = (
        "Compares usage by closed hour and voice type with Metronome, names the events that differ, and has a worker send "
        "the missing ones again under the same transaction ids. Reaches back 34 days, as far as Metronome takes events. "
        "Or imports the usage of another system: --from-csv."
    )
    leaves_work = frozenset({"sent again", "imported"})

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--since", type=moment, metavar="TIME", help="2026-01-31T10:00 (UTC), or an age: 30m, 36h, 34d"
        )
        parser.add_argument("--until", type=moment, metavar="TIME", help="likewise; by default the last closed hour")
        parser.add_argument("--customer", metavar="EMAIL_OR_ID", help="only this one")
        parser.add_argument(
            "--from-csv",
            type=Path,
            metavar="FILE",
            help="columns transaction_id, customer (ingest alias), event_type, timestamp; the others are properties",
        )

    def total(self, *, customer: str | None, from_csv: Path | None, **options: Any) -> int | None:
        return None if from_csv else 1 if customer is not None else Customer.objects.count()

    def outcomes(
        self, *, dry_run: bool, now: datetime, since: datetime | None, until: datetime | None, customer: str | None,
        from_csv: Path | None, **options: Any,
    ) -> Iterator[Outcome]:  # fmt: skip
        if from_csv:
            if since or until or customer:
                raise Refused("A file is imported whole: --from-csv goes with --dry-run only.")
            count = csv_import.check(from_csv, now=now)
            if dry_run:
                return iter([Outcome(from_csv, "would be imported", f"{count:,} new events", is_open=count > 0)])
            self.progress.total = count
            return csv_import.load(from_csv, now=now)
        if since is None:
            raise Refused("Say since when: --since 2026-01-31T10:00, or --since 34d.")
        customers = Customer.objects.all()
        if customer is not None:
            customers = customers.filter(pk=customer_named(customer).pk)
        return backfill.repair(customers, since=since, until=until or now, dry_run=dry_run, now=now)

"""Delete rows that are finished and older than some days."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.utils import timezone

from operations.command import Operation, Outcome, Refused
from vocalis.operations import prune


class Command(Operation):
    help = (
        "Deletes processed webhooks, password resets, deliveries of webhooks (at least 30 days "
        "old), acknowledged usage events and resolved usage discrepancies (both at least 35) older "
        "than --days, and ended sessions. "
        "Never ledger entries, rows they refer to, or rows whose job is not done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--days", type=int, required=True)

    def total(self, *, days: int, **options: Any) -> int:
        try:
            return sum(
                rows.count() for rows in prune.prunable(days=days, now=timezone.now()).values()
            )
        except prune.DaysOutOfRange as error:
            raise Refused(str(error)) from error

    def outcomes(
        self, *, dry_run: bool, now: datetime, days: int, **options: Any
    ) -> Iterator[Outcome]:
        for what, key in prune.prune(days=days, dry_run=dry_run, now=now):
            yield Outcome(
                key, f"{what} {'would be deleted' if dry_run else 'deleted'}", is_open=dry_run
            )

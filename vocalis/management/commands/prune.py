"""Delete settled rows that are older than some days."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.utils import timezone

from operations.command import Operation, Outcome
from vocalis.operations import prune


class Command(Operation):
    help = (
        "Deletes processed webhooks, password resets, acknowledged usage events and resolved usage differences older than "
        "--days (the latter two at least 35), and ended sessions. Never ledger entries, nor what they refer to, nor anything "
        "that still owes work."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--days", type=int, required=True)

    def total(self, *, days: int, **options: Any) -> int:
        return sum(rows.count() for rows in prune.prunable(days=days, now=timezone.now()).values())

    def outcomes(self, *, dry_run: bool, now: datetime, days: int, **options: Any) -> Iterator[Outcome]:
        return prune.prune(days=days, dry_run=dry_run, now=now)

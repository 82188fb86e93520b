"""Create or link the Metronome customers, and push the ingest aliases, that are missing there."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from billing.sync import backfill
from operations.command import Operation, Outcome


class Command(Operation):
    help = "Creates or links missing Metronome customers and pushes missing ingest aliases. Safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="those too that seem complete: push their aliases again")

    def total(self, *, all: bool, **options: Any) -> int:
        return backfill.incomplete_customers(everyone=all).count()

    def outcomes(self, *, dry_run: bool, now: datetime, all: bool, **options: Any) -> Iterator[Outcome]:
        return backfill.customers(everyone=all, dry_run=dry_run, now=now)

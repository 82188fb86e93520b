"""Make or find the contracts of customers who have a plan and, as far as we know, no contract at Metronome."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from billing.sync import backfill
from operations.command import Operation, Outcome


class Command(Operation):
    help = "Makes or finds missing contracts at Metronome. Run backfill_customers first. Safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="customers without a plan, too")

    def total(self, *, all: bool, **options: Any) -> int:
        return backfill.customers_without_contract(everyone=all).count()

    def outcomes(self, *, dry_run: bool, now: datetime, all: bool, **options: Any) -> Iterator[Outcome]:
        return backfill.customer_contracts(everyone=all, dry_run=dry_run, now=now)

"""Create or link missing Metronome customers, and push missing ingest aliases."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from accounts.models import Customer
from billing.sync import backfill
from jobs.walk import walk
from operations.command import Operation, Outcome, attempt


class Command(Operation):
    help = (
        "Creates or links missing Metronome customers and pushes missing ingest aliases. "
        "Safe to run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--all",
            action="store_true",
            help="also customers that seem complete: push their aliases again",
        )

    def total(self, *, all: bool, **options: Any) -> int:
        return backfill.incomplete_customers(everyone=all).count()

    def outcomes(
        self, *, dry_run: bool, now: datetime, all: bool, **options: Any
    ) -> Iterator[Outcome]:
        for customer in walk(backfill.incomplete_customers(everyone=all)):
            yield attempt(customer, partial(_complete, customer, dry_run, now))


def _complete(customer: Customer, dry_run: bool, now: datetime) -> Outcome:
    word, found = backfill.look_up(customer)
    if dry_run:
        return Outcome(customer, f"would be {word}", found or customer.stable_alias, is_open=True)
    taken = backfill.complete(customer, now=now)
    note = f", but the alias {taken.name} {taken.conflict}" if taken else ""
    return Outcome(
        customer, word, f"{customer.metronome_id}{note}" if note or word != "checked" else ""
    )

"""Create or find the Metronome contracts of customers who have a plan but no known contract."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from accounts.models import Customer
from billing.sync import backfill, contracts
from jobs.walk import walk
from operations.command import Operation, Outcome, attempt


class Command(Operation):
    help = (
        "Creates or finds missing contracts at Metronome. "
        "Run backfill_customers first. Safe to run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="also customers without a plan")

    def total(self, *, all: bool, **options: Any) -> int:
        return backfill.customers_without_contract(everyone=all).count()

    def outcomes(
        self, *, dry_run: bool, now: datetime, all: bool, **options: Any
    ) -> Iterator[Outcome]:
        for customer in walk(backfill.customers_without_contract(everyone=all)):
            yield attempt(customer, partial(_contract, customer, dry_run, now))


def _contract(customer: Customer, dry_run: bool, now: datetime) -> Outcome:
    if not dry_run:
        contract = contracts.ensure(customer, now=now)
        return Outcome(customer, "created or found", contract.metronome_id or "")
    found = backfill.find_contract(customer)
    word = "would be linked" if found else "would be made"
    return Outcome(customer, word, found or backfill.contract_name(customer), is_open=True)

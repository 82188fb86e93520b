"""Create or find the Metronome contracts of customers who have a plan but no known contract, and
have contracts that were made before bill nothing beyond the credits."""

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
        "Creates or finds missing contracts at Metronome, and has those without zero overage "
        "bill nothing beyond the credits. "
        "Run backfill_customers first. Safe to run again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--all", action="store_true", help="also customers without a plan")

    def total(self, *, all: bool, **options: Any) -> int:
        missing = backfill.customers_without_contract(everyone=all).count()
        return missing + backfill.contracts_with_overage().count()

    def outcomes(
        self, *, dry_run: bool, now: datetime, all: bool, **options: Any
    ) -> Iterator[Outcome]:
        for customer in walk(backfill.customers_without_contract(everyone=all)):
            yield attempt(customer, partial(_contract, customer, dry_run, now))
        for customer in walk(backfill.contracts_with_overage()):
            yield attempt(customer, partial(_guarantee, customer, dry_run))


def _contract(customer: Customer, dry_run: bool, now: datetime) -> Outcome:
    if not dry_run:
        contract = contracts.ensure(customer, now=now)
        return Outcome(customer, "created or found", contract.metronome_id or "")
    found = backfill.find_contract(customer)
    word = "would be linked" if found else "would be made"
    return Outcome(customer, word, found or backfill.contract_name(customer), is_open=True)


def _guarantee(customer: Customer, dry_run: bool) -> Outcome:
    contract_id = customer.contract.metronome_id or ""
    if dry_run:
        return Outcome(customer, "would get zero overage", contract_id, is_open=True)
    if backfill.guarantee(customer):
        return Outcome(customer, "has zero overage", contract_id)
    why = f"an overwrite of prices on the contract {contract_id} goes before it: remove that"
    return Outcome(customer, "cannot get zero overage", why, is_open=True)

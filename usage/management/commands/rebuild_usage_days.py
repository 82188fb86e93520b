"""Put right the usage by day that pages, API and exports show."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from accounts.management.lookup import customer_named
from accounts.models import Customer
from jobs.walk import walk
from operations.command import Operation, Outcome
from usage import rollup


class Command(Operation):
    help = (
        "Counts usage by day anew from what was spoken, own voices and imported usage, and puts "
        "right what differs. Stops nobody, and may be run at any time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--customer", metavar="EMAIL_OR_ID", help="only this one")

    def total(self, *, customer: str | None, **options: Any) -> int:
        return 1 if customer is not None else Customer.objects.count()

    def outcomes(
        self, *, dry_run: bool, now: datetime, customer: str | None, **options: Any
    ) -> Iterator[Outcome]:
        customers = Customer.objects.all()
        if customer is not None:
            customers = customers.filter(pk=customer_named(customer).pk)
        for one in walk(customers.select_related("user")):
            yield _rebuild(one, dry_run, now)


def _rebuild(customer: Customer, dry_run: bool, now: datetime) -> Outcome:
    count = rollup.repair(customer, dry_run=dry_run, now=now)
    if not count:
        return Outcome(customer, "agree")
    word = "would be put right" if dry_run else "put right"
    return Outcome(customer, word, f"{count:,} rows", is_open=dry_run)

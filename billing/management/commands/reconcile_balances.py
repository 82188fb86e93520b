"""Compare every wallet with Metronome and with the payments."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from accounts.management.lookup import customer_named, staff_named
from accounts.models import User
from billing import repair
from billing.models import Wallet
from billing.sync import reconcile
from jobs.walk import walk
from operations.command import Operation, Outcome, attempt


class Command(Operation):
    help = (
        "Lists wallets that differ from Metronome or whose payments are stuck, with age and "
        "cause. --fix synchronises them and retries stuck payments; it does not edit balances. "
        "Exits 1 while something differs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--customer", metavar="EMAIL_OR_ID", help="only this one")
        parser.add_argument("--fix", action="store_true", help="repair what can be repaired now")
        parser.add_argument(
            "--by",
            metavar="STAFF_EMAIL",
            help="with --fix: who approves the adjustment of differences of any size",
        )

    def total(self, **options: Any) -> int:
        return 1 if options["customer"] is not None else Wallet.objects.count()

    def outcomes(
        self,
        *,
        dry_run: bool,
        now: datetime,
        customer: str | None,
        fix: bool,
        by: str | None,
        **options: Any,
    ) -> Iterator[Outcome]:
        person = staff_named(by) if by is not None else None
        wallets = Wallet.objects.select_related("customer__user")
        if customer is not None:
            wallets = wallets.filter(customer=customer_named(customer))
        for wallet in walk(wallets):
            yield attempt(
                wallet.customer, partial(_reconcile, wallet, fix and not dry_run, person, now)
            )


def _reconcile(wallet: Wallet, fix: bool, by: User | None, now: datetime) -> Outcome:
    before = account = reconcile.read_account(wallet, now=now)
    if fix and not account.agrees:
        repair.repair(wallet, by=by, now=now)
        account = reconcile.read_account(wallet, now=now)
    if before.agrees:
        return Outcome(wallet.customer, "agree")
    if account.agrees:
        return Outcome(wallet.customer, "repaired", str(account))
    return Outcome(
        wallet.customer, "moving" if account.is_moving else "differ", str(account), is_open=True
    )

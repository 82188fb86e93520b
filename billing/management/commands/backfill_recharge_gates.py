"""Have contracts that were made under another gate use the one of METRONOME_PAYMENT_GATE."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from accounts.models import Customer
from billing.models import AutoRecharge
from billing.recharge.mirroring import MIRROR
from jobs.inline import do_now
from jobs.walk import walk
from operations.command import Operation, Outcome, attempt


class Command(Operation):
    help = (
        "Tells Metronome for each contract with auto-recharge who charges it, after "
        "METRONOME_PAYMENT_GATE was changed. Safe to run again."
    )

    def total(self, **options: Any) -> int:
        return _other_gate().count()

    def outcomes(self, *, dry_run: bool, now: datetime, **options: Any) -> Iterator[Outcome]:
        for customer in walk(_other_gate()):
            yield attempt(customer, partial(_change, customer, dry_run, now))


def _other_gate() -> QuerySet[Customer]:
    """Customers whose contract has recharges configured through another gate, as last read."""
    configured = Customer.objects.filter(
        contract__recharge_enabled__isnull=False, auto_recharge__isnull=False
    )
    return configured.exclude(contract__recharge_gate=settings.METRONOME_PAYMENT_GATE)


def _change(customer: Customer, dry_run: bool, now: datetime) -> Outcome:
    was = customer.contract.recharge_gate or "unknown"
    change = f"{was} to {settings.METRONOME_PAYMENT_GATE}"
    if dry_run:
        return Outcome(customer, "would be changed", change, is_open=True)
    do_now(MIRROR, AutoRecharge.objects.filter(customer=customer), now=now)
    return Outcome(customer, "changed", change)

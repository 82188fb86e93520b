"""Repair of a difference with Metronome: having the work done that mends it (sync, payments), never
a change of a balance by hand. It stands above the rooms because it runs their jobs."""

from __future__ import annotations

from datetime import datetime

from accounts.models import User
from billing.models import Contract, Drift, Payment, Recharge, Wallet
from billing.sync.drift import approve_drift
from jobs.errors import Snooze
from jobs.inline import do_now

from .jobs import SYNCHRONISE


def repair(
    wallet: Wallet, *, by: User | None = None, difference: int | None = None, now: datetime
) -> None:
    """Have done now what mends differences: dead payments and recharges again, then a sync. `by`
    agrees to the open difference (only if it is `difference`, where that is given), which without
    it is adjusted up to drift.ADJUST_CREDITS_MAX only. Raises what the sync raises."""
    for rows in (Payment.objects.dead(), Recharge.objects.dead()):
        rows.filter(customer_id=wallet.customer_id, due_at__isnull=False).run_now(now)
    _agree(wallet, by, difference, now)
    contracts = Contract.objects.filter(customer_id=wallet.customer_id).exclude(metronome_id=None)
    if contracts.exists():
        try:
            do_now(SYNCHRONISE, contracts, now=now)
        except Snooze:
            return  # a worker is just doing it
        _agree(wallet, by, difference, now)  # to what was found only now


def _agree(wallet: Wallet, by: User | None, difference: int | None, now: datetime) -> None:
    drift = Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN).first()
    if by and drift and drift.approved_by_id is None and difference in (None, drift.difference):
        approve_drift(drift, user=by, now=now)

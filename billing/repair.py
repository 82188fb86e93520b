"""Repairs a difference between a wallet and Metronome.

It runs the jobs that remove the difference (payments, recharges, synchronisation) and never changes
a balance itself. It is a module of its own because it uses the jobs of several packages.
"""

from __future__ import annotations

from datetime import datetime

from accounts.models import User
from billing.models import Contract, Drift, Payment, Recharge, Refund, Wallet
from billing.sync.drift import approve_drift
from jobs.errors import Snooze
from jobs.inline import do_now

from .jobs import SYNCHRONISE


def repair(
    wallet: Wallet, *, by: User | None = None, difference: int | None = None, now: datetime
) -> None:
    """Retry dead payments, recharges and refunds, then synchronise the contract now.

    Differences up to drift.ADJUST_CREDITS_MAX credits are adjusted automatically. A larger one
    needs the approval of a member of staff, `by`. If `difference` (credits) is given, only a
    difference of that size is approved. Raises what the synchronisation raises.
    """
    for rows in (Payment.objects.dead(), Recharge.objects.dead(), Refund.objects.dead()):
        rows.filter(customer_id=wallet.customer_id, due_at__isnull=False).run_now(now)
    _approve(wallet, by, difference, now)
    contracts = Contract.objects.filter(customer_id=wallet.customer_id).exclude(metronome_id=None)
    if contracts.exists():
        try:
            do_now(SYNCHRONISE, contracts, now=now)
        except Snooze:
            return  # a worker is synchronising it at this moment
        _approve(wallet, by, difference, now)  # the difference may have been found only now


def _approve(wallet: Wallet, by: User | None, difference: int | None, now: datetime) -> None:
    drift = Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN).first()
    if by and drift and drift.approved_by_id is None and difference in (None, drift.difference):
        approve_drift(drift, user=by, now=now)

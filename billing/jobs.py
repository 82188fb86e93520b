"""The jobs of billing in the order of a worker pass, and the job that synchronises a contract.

Synchronisation reads grants, balance and recharge configuration from Metronome, so it uses several
packages of billing. It runs last, to see what the other jobs did in the same pass.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F

from billing.disputes import flow as disputes
from billing.inbox import handlers, sweep
from billing.models import AutoRecharge, Contract, Drift, Payment, Purchase, Recharge, Subscription
from billing.packs import flow as packs
from billing.payments import expiring, processing, profiles, setups
from billing.recharge import flow
from billing.recharge.mirroring import MIRROR
from billing.refunds import flow as refunds
from billing.subscriptions import complimentary, reminders, renew
from billing.sync import customers, drift, expiry, grants, invoices, schedule
from jobs.job import Job
from jobs.worker import RowJob

from . import ledger, metronome, recharge


def synchronise(contract: Contract, now: datetime) -> datetime | None:
    """Read the contract's state at Metronome and bring ours in line. Returns when to do so again.

    Raises Unavailable or Rejected.
    """
    if not contract.metronome_id:
        return None
    commits = grants.read_grants(contract, now=now)
    drift.check_drift(contract, now=now, commits=commits)
    _read_terms(contract, now)
    recharge.track_low_balance(contract, now)
    Contract.objects.filter(pk=contract.pk).update(synced_at=now)
    return now + timedelta(
        seconds=schedule.BUSY_SECONDS if _is_busy(contract, now) else schedule.IDLE_SECONDS
    )


def _is_busy(contract: Contract, now: datetime) -> bool:
    """Whether something is in progress that should not wait for the hourly synchronisation."""
    customer_id, wallet = contract.customer_id, ledger.wallet_of(contract.customer_id)
    unacknowledged, recent = ledger.in_flight(wallet_id=wallet.id, now=now)
    if recent or unacknowledged > (drift.overdue(wallet.id, now=now) if unacknowledged else 0):
        return True
    low = AutoRecharge.objects.filter(
        customer_id=customer_id,
        enabled=True,
        paused_until_at=None,
        threshold_credits__gte=F("customer__wallet__balance"),
    )
    in_progress = (
        Payment.objects.open().exclude(state=Payment.State.AT_PAGE).filter(customer_id=customer_id),
        Recharge.objects.open().filter(customer_id=customer_id),
        Purchase.objects.open()
        .exclude(payment__state=Payment.State.AT_PAGE)
        .filter(customer_id=customer_id),
        Subscription.objects.filter(customer_id=customer_id, state=Subscription.State.REQUESTED),
        Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN),
        low,
    )
    return any(rows.exists() for rows in in_progress)


def _read_terms(contract: Contract, now: datetime) -> None:
    terms = metronome.terms(
        customer_id=contract.customer.metronome_id or "", contract_id=contract.metronome_id or ""
    )
    Contract.objects.filter(pk=contract.pk).update(zero_overage=terms.zero_overage)
    recharge.remember(contract, terms.recharge)
    if terms.recharge:
        recharge.follow_metronome(contract, enabled=terms.recharge.enabled, now=now)


SYNCHRONISE = RowJob("contracts.synchronise", Contract, synchronise)

JOBS: list[Job] = [
    customers.PROVISION,
    handlers.PROCESS,
    sweep.SWEEP,
    processing.ADVANCE,
    setups.COMPLETE,
    setups.REMOVE,
    expiring.TELL_EXPIRY,
    profiles.PUSH,
    flow.ADVANCE,
    packs.ADVANCE,
    renew.ADVANCE,
    reminders.REMIND,
    refunds.ADVANCE,
    disputes.ADVANCE,
    complimentary.GRANT,
    MIRROR,
    expiry.START_OR_END,
    expiry.EXPIRE,
    invoices.READ,
    SYNCHRONISE,
]

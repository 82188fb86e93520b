"""Drift: balance here and net balance at Metronome are compared, allowing for what is under way between them.

A difference that this does not explain becomes a Drift row, and only one that stands still is adjusted.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Q, Sum

from accounts.models import User
from billing import ledger, metronome
from billing.live.wake import wake
from billing.models import Contract, Drift, LedgerEntry, Reservation, Wallet

from . import schedule
from .grants import fractions, unlisted

logger = logging.getLogger(__name__)

STANDING_SECONDS = 60  # how long a difference stands still before it is believed: four times Metronome's known delay
ADJUST_CREDITS_MAX = 1_000  # more than a page of text, less than a dollar: beyond it a person agrees


OVERDUE_SECONDS = 3_600  # unacknowledged for longer, usage is not on its way: it was given up, or Metronome is down
NEAR_END_SECONDS = 30  # around the end of a grant the two clocks need not agree


@dataclass(frozen=True, slots=True)
class Comparison:
    """`difference`: credits at Metronome minus credits here, beyond what usage explains that it may not have yet.
    `is_quiet`: nothing is under way; usage that is overdue may stay away for ever."""

    balance: int
    remote: Decimal
    difference: int
    is_quiet: bool


def compare(contract: Contract, *, now: datetime, commits: Sequence[metronome.Commit]) -> Comparison | None:
    """Compare the wallet with Metronome; changes nothing. None if just now it cannot be done.

    Three numbers are read before and after Metronome's: if they moved meanwhile, the comparison means nothing and this
    turn is given up. `commits` are Metronome's, just read: what it does not list, it may count or not.
    """
    wallet = ledger.wallet_of(contract.customer_id)
    before = ledger.version_and_in_flight(wallet_id=wallet.id, now=now)
    remote = metronome.net_balance(customer_id=contract.customer.metronome_id or "")
    wallet = ledger.wallet_of(contract.customer_id)
    if before != ledger.version_and_in_flight(wallet_id=wallet.id, now=now):
        return None
    # Also as long as holds keep something of an ended grant, which at Metronome is over.
    if wallet.expires_next_at and wallet.expires_next_at <= now + timedelta(seconds=NEAR_END_SECONDS):
        return None
    _, unsettled, settling = before
    grown, shrunk = _settling_grants(wallet.id, now)
    lowest = wallet.balance - grown - sum(grant.remaining for grant in unlisted(wallet.id, commits))
    highest = wallet.balance + unsettled + settling + shrunk
    # Towards zero, so that what is left of fractions is no difference.
    missing, extra = min(remote - lowest, Decimal(0)), max(remote - fractions(commits) - highest, Decimal(0))
    is_quiet = highest - lowest == (overdue(wallet.id, now=now) if unsettled else 0)
    return Comparison(wallet.balance, remote, int(missing or extra), is_quiet=is_quiet)


def overdue(wallet_id: int, *, now: datetime) -> int:
    """Credits of usage that Metronome has not acknowledged for OVERDUE_SECONDS. By so much it may have more than we, for good."""
    captured = Reservation.objects.filter(wallet_id=wallet_id, state=Reservation.State.CAPTURED, reported_at=None)
    late = captured.filter(resolved_at__lte=now - timedelta(seconds=OVERDUE_SECONDS))
    return late.aggregate(credits=Sum("captured", default=0))["credits"]


def check_drift(contract: Contract, *, now: datetime, commits: Sequence[metronome.Commit]) -> Drift | None:
    """Note, update, adjust or close what `compare` finds. Returns the open or adjusted row."""
    wallet = ledger.wallet_of(contract.customer_id)
    if wallet.expires_next_at and wallet.expires_next_at <= now:
        ledger.expire_ended(wallet_id=wallet.id, now=now)
    found = compare(contract, now=now, commits=commits)
    if found is None:
        return None
    if not found.difference:
        Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN).update(state=Drift.State.GONE, last_seen_at=now)
        return None
    return _note_drift(wallet, found, now)


def approve_drift(drift: Drift, *, user: User, now: datetime) -> bool:
    """A person agrees to adjust this difference, above the automatic limit too. False if it is not open any more.

    The adjustment is made at the next look at Metronome, and only if the difference is still the same.
    """
    agreed = Drift.objects.filter(pk=drift.pk, state=Drift.State.OPEN, difference=drift.difference)
    if not agreed.update(approved_by=user):
        return False
    schedule.run_now(drift.wallet.customer_id, now)
    return True


def _settling_grants(wallet_id: int, now: datetime) -> tuple[int, int]:
    """Credits granted, and expired or taken back, so lately that Metronome's balance may not show it yet."""
    lately = now - timedelta(seconds=ledger.SETTLING_SECONDS)
    kinds = [LedgerEntry.Kind.GRANT, LedgerEntry.Kind.GRANT_CHANGE, LedgerEntry.Kind.EXPIRY]
    entries = LedgerEntry.objects.filter(wallet_id=wallet_id, created_at__gt=lately, kind__in=kinds)
    sums = entries.aggregate(
        grown=Sum("amount", filter=Q(amount__gt=0), default=0), shrunk=Sum("amount", filter=Q(amount__lt=0), default=0)
    )
    return sums["grown"], -sums["shrunk"]


def _note_drift(wallet: Wallet, found: Comparison, now: datetime) -> Drift:
    """Keep the open row of this wallet up to date; adjust when the same difference has stood still, twice read."""
    difference, remote = found.difference, int(found.remote)
    drift, is_new = Drift.objects.get_or_create(
        wallet=wallet,
        state=Drift.State.OPEN,
        defaults={
            "difference": difference, "wallet_balance": found.balance, "metronome_balance": remote,
            "first_seen_at": now, "last_seen_at": now, "same_since_at": now if found.is_quiet else None,
        },
    )  # fmt: skip
    if is_new:
        logger.warning("wallet %s differs from Metronome by %+d credits", wallet.pk, difference)
        return drift
    stands = found.is_quiet and drift.same_since_at is not None and drift.difference == difference
    drift.same_since_at = drift.same_since_at if stands else (now if found.is_quiet else None)
    changed = ["difference", "wallet_balance", "metronome_balance", "last_seen_at", "same_since_at"]
    if drift.difference != difference:
        drift.approved_by = None  # nobody has agreed to this one
        changed.append("approved_by")  # else left alone: someone may be agreeing right now
    drift.difference, drift.wallet_balance, drift.metronome_balance = difference, found.balance, remote
    drift.last_seen_at = now
    drift.save(update_fields=changed)
    allowed = abs(difference) <= ADJUST_CREDITS_MAX or drift.approved_by_id is not None
    stood = now - drift.same_since_at if stands and drift.same_since_at else timedelta(0)
    if allowed and stood >= timedelta(seconds=STANDING_SECONDS):
        _adjust(drift, now)
    return drift


def _adjust(drift: Drift, now: datetime) -> None:
    with transaction.atomic():
        open_row = Drift.objects.filter(pk=drift.pk, state=Drift.State.OPEN)
        if not open_row.update(state=Drift.State.ADJUSTED):
            return
        note = f"Metronome had {drift.metronome_balance:,}, we {drift.wallet_balance:,}"
        entry = ledger.adjust(wallet_id=drift.wallet_id, amount=drift.difference, note=note, now=now)
        if entry is None:  # all of it is reserved; the next look tries again
            transaction.set_rollback(True)
            return
        Drift.objects.filter(pk=drift.pk).update(entry=entry)
        wake(drift.wallet_id)
    drift.state, drift.entry = Drift.State.ADJUSTED, entry
    logger.warning("wallet %s adjusted by %+d credits", drift.wallet_id, entry.amount)

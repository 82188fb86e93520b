"""Comparing a wallet's balance with the net balance at Metronome.

A difference that usage in flight does not explain becomes a Drift row. It is adjusted only once it
has stayed the same for a while.
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
from .grants import fractions, unlisted, withheld

logger = logging.getLogger(__name__)

# How long a difference must stay the same before it is adjusted: four times the delay that
# Metronome's balances are known to have.
STANDING_SECONDS = 60
# More than a page of text, less than a dollar. A larger difference needs an operator's approval.
ADJUST_CREDITS_MAX = 1_000
# Usage unacknowledged for longer no longer delays an adjustment: its event was given up, or
# Metronome is down.
OVERDUE_SECONDS = 3_600
# This close to the end of a grant, clocks may disagree on whether it has ended.
NEAR_END_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of `compare`, in credits.

    `difference` is Metronome's balance minus ours, beyond what usage in flight explains.
    `is_quiet`: nothing is in flight. Overdue usage does not count as in flight, as it may never
    arrive.
    """

    balance: int
    remote: Decimal
    difference: int
    is_quiet: bool


def compare(
    contract: Contract, *, now: datetime, commits: Sequence[metronome.Commit]
) -> Comparison | None:
    """Compare the wallet with Metronome, without changing anything. Calls Metronome.

    `commits` are those just read from Metronome. Grants missing among them may or may not be
    included in its balance. Returns None if the two cannot be compared now: the wallet changed
    during the call, or a grant ends about now.
    """
    wallet = ledger.wallet_of(contract.customer_id)
    before = ledger.version_and_in_flight(wallet_id=wallet.id, now=now)
    remote = metronome.net_balance(customer_id=contract.customer.metronome_id or "")
    wallet = ledger.wallet_of(contract.customer_id)
    if before != ledger.version_and_in_flight(wallet_id=wallet.id, now=now):
        return None
    # Also while reservations keep credits of an ended grant, which has ended at Metronome.
    near_end_at = now + timedelta(seconds=NEAR_END_SECONDS)
    if wallet.expires_next_at and wallet.expires_next_at <= near_end_at:
        return None
    _, unacknowledged, recently_acknowledged = before
    added, removed = _recent_grant_changes(wallet.id, now)
    not_listed = sum(grant.remaining for grant in unlisted(wallet.id, commits))
    lowest = wallet.balance - added - not_listed
    highest = wallet.balance + unacknowledged + recently_acknowledged + removed
    highest += withheld(wallet.id, commits, now)
    # int() rounds towards zero below, so a fraction of a credit is no difference.
    missing = min(remote - lowest, Decimal(0))
    extra = max(remote - fractions(commits) - highest, Decimal(0))
    late = overdue(wallet.id, now=now) if unacknowledged else 0
    is_quiet = highest - lowest == late
    return Comparison(wallet.balance, remote, int(missing or extra), is_quiet=is_quiet)


def overdue(wallet_id: int, *, now: datetime) -> int:
    """Captured credits that Metronome has not acknowledged for OVERDUE_SECONDS.

    They still explain a difference of their size, perhaps for ever.
    """
    captured = Reservation.objects.filter(
        wallet_id=wallet_id, state=Reservation.State.CAPTURED, reported_at=None
    )
    late = captured.filter(resolved_at__lte=now - timedelta(seconds=OVERDUE_SECONDS))
    credits: int = late.aggregate(credits=Sum("captured", default=0))["credits"]
    return credits


def check_drift(
    contract: Contract, *, now: datetime, commits: Sequence[metronome.Commit]
) -> Drift | None:
    """Compare, then open, update, adjust or close the wallet's Drift row.

    Returns the row if it is open or adjusted. Calls Metronome.
    """
    wallet = ledger.wallet_of(contract.customer_id)
    if wallet.expires_next_at and wallet.expires_next_at <= now:
        ledger.expire_ended(wallet_id=wallet.id, now=now)
    found = compare(contract, now=now, commits=commits)
    if found is None:
        return None
    if not found.difference:
        open_rows = Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN)
        open_rows.update(state=Drift.State.GONE, last_seen_at=now)
        return None
    return _note_drift(contract, wallet, found, now)


def approve_drift(drift: Drift, *, user: User, now: datetime) -> bool:
    """Approve adjusting this difference, also above ADJUST_CREDITS_MAX. False if it is not open.

    The next comparison makes the adjustment, and only if the difference is still the same.
    """
    approved = Drift.objects.filter(
        pk=drift.pk, state=Drift.State.OPEN, difference=drift.difference
    )
    if not approved.update(approved_by=user):
        return False
    schedule.run_now(drift.wallet.customer_id, now)
    return True


def _recent_grant_changes(wallet_id: int, now: datetime) -> tuple[int, int]:
    """Credits granted, and credits expired or taken back, that Metronome may not show yet."""
    recently = now - timedelta(seconds=ledger.BALANCE_LAG_SECONDS)
    kinds = [LedgerEntry.Kind.GRANT, LedgerEntry.Kind.GRANT_CHANGE, LedgerEntry.Kind.EXPIRY]
    sums = LedgerEntry.objects.filter(
        wallet_id=wallet_id, created_at__gt=recently, kind__in=kinds
    ).aggregate(
        added=Sum("amount", filter=Q(amount__gt=0), default=0),
        removed=Sum("amount", filter=Q(amount__lt=0), default=0),
    )
    return sums["added"], -sums["removed"]


def _note_drift(contract: Contract, wallet: Wallet, found: Comparison, now: datetime) -> Drift:
    """Create or update the wallet's open row. Adjust if the difference has stayed the same."""
    difference, remote = found.difference, int(found.remote)
    drift, is_new = Drift.objects.get_or_create(
        wallet=wallet,
        state=Drift.State.OPEN,
        defaults={
            "difference": difference,
            "wallet_balance": found.balance,
            "metronome_balance": remote,
            "first_seen_at": now,
            "last_seen_at": now,
            "same_since_at": now if found.is_quiet else None,
        },
    )
    if is_new:
        logger.warning("wallet %s differs from Metronome by %+d credits", wallet.pk, difference)
        return drift
    is_same = drift.difference == difference
    stands = found.is_quiet and drift.same_since_at is not None and is_same
    drift.same_since_at = drift.same_since_at if stands else (now if found.is_quiet else None)
    changed = [
        "difference",
        "wallet_balance",
        "metronome_balance",
        "last_seen_at",
        "same_since_at",
    ]
    if not is_same:
        drift.approved_by = None  # the approval was for another difference
        changed.append("approved_by")  # otherwise not written: an approval may come in right now
    drift.difference, drift.wallet_balance = difference, found.balance
    drift.metronome_balance, drift.last_seen_at = remote, now
    drift.save(update_fields=changed)
    allowed = abs(difference) <= ADJUST_CREDITS_MAX or drift.approved_by_id is not None
    stood = now - drift.same_since_at if stands and drift.same_since_at else timedelta(0)
    if allowed and stood >= timedelta(seconds=STANDING_SECONDS):
        _adjust(contract, drift, now)
    return drift


def _adjust(contract: Contract, drift: Drift, now: datetime) -> None:
    left = metronome.balances(customer_id=contract.customer.metronome_id or "")
    with transaction.atomic():
        open_row = Drift.objects.filter(pk=drift.pk, state=Drift.State.OPEN)
        if not open_row.update(state=Drift.State.ADJUSTED):
            return
        note = f"Metronome had {drift.metronome_balance:,}, we {drift.wallet_balance:,}"
        entry = ledger.adjust(
            wallet_id=drift.wallet_id, amount=drift.difference, left=left, note=note, now=now
        )
        if entry is None:  # all credits are reserved; the next comparison tries again
            transaction.set_rollback(True)
            return
        Drift.objects.filter(pk=drift.pk).update(entry=entry)
        wake(drift.wallet_id)
    drift.state, drift.entry = Drift.State.ADJUSTED, entry
    logger.warning("wallet %s adjusted by %+d credits", drift.wallet_id, entry.amount)

"""Metronome is the truth about money, the ledger about "now": how the two are kept together.

(a) Grants. Every segment of every commit and credit is mirrored, whoever made it: one entry when it is new, a delta when
it changed. So credits show at once, from whichever path hears of them first.

(b) Drift. Balance here and net balance there are compared, allowing for what is under way between them. A difference
that this does not explain becomes a Drift row, and only one that stands still is adjusted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, Sum

from accounts.models import User
from billing.live.wake import wake
from jobs.worker import RowStep

from . import ledger, metronome, recharge
from .models import (
    AutoRecharge,
    Contract,
    CreditGrant,
    Drift,
    LedgerEntry,
    Payment,
    Reservation,
    Subscription,
    Wallet,
)

logger = logging.getLogger(__name__)

BUSY_SECONDS = 60  # how soon a wallet with open business is read again: the most a lost webhook costs
IDLE_SECONDS = 3_600
STANDING_SECONDS = 60  # how long a difference stands still before it is believed: four times Metronome's known delay
ADJUST_CREDITS_MAX = 1_000  # more than a page of text, less than a dollar: beyond it a person agrees
VANISH_SECONDS = 600  # a grant younger than this may only not be listed yet
ENDED_FOR = timedelta(days=7)  # who recharges daily has hundreds of ended commits, which change no more
OVERDUE_SECONDS = 3_600  # unacknowledged for longer, usage is not on its way: it was given up, or Metronome is down
NEAR_END_SECONDS = 30  # around the end of a grant the two clocks need not agree


# --- When -----------------------------------------------------------------------------------------------------------


def nudge(customer_id: UUID, now: datetime) -> None:
    """Read the customer's grants and balance from Metronome as soon as a worker is free."""
    Contract.objects.filter(customer_id=customer_id).exclude(metronome_id=None).nudge(now)


def soon(customer_ids: Iterable[UUID], *, now: datetime) -> None:
    """Business has begun (usage was sent, credits began or ended): have these read within BUSY_SECONDS, not the hour."""
    at = now + timedelta(seconds=BUSY_SECONDS)
    # Of one in a worker's hands, the end of the lease is no promise to look again.
    later = Q(due_at__gt=at) | Q(due_at=F("leased_until"))
    Contract.objects.filter(later, customer_id__in=list(customer_ids)).update(due_at=at)


def synchronise(contract: Contract, now: datetime) -> datetime | None:
    """One look at Metronome. Returns when to look again."""
    if not contract.metronome_id:
        return None
    commits = read_grants(contract, now=now)
    check_drift(contract, now=now, commits=commits)
    _read_recharge(contract, now)
    recharge.watch(contract, now)
    Contract.objects.filter(pk=contract.pk).update(synced_at=now)
    return now + timedelta(seconds=BUSY_SECONDS if _is_busy(contract, now) else IDLE_SECONDS)


SYNC = RowStep("sync", Contract, synchronise)


def _is_busy(contract: Contract, now: datetime) -> bool:
    """Whether anything is under way whose end we would not like to miss for an hour."""
    customer_id, wallet = contract.customer_id, ledger.wallet_of(contract.customer_id)
    unsettled, settling = ledger.in_flight(wallet_id=wallet.id, now=now)
    if settling or unsettled > (overdue(wallet.id, now=now) if unsettled else 0):
        return True
    low = AutoRecharge.objects.filter(
        customer_id=customer_id, enabled=True, threshold_credits__gte=F("customer__wallet__balance")
    )
    business = (
        Payment.objects.open().filter(customer_id=customer_id),
        Subscription.objects.filter(customer_id=customer_id, state=Subscription.State.REQUESTED),
        Drift.objects.filter(wallet=wallet, state=Drift.State.OPEN),
        low,
    )
    return any(rows.exists() for rows in business)


def _read_recharge(contract: Contract, now: datetime) -> None:
    found = metronome.recharge_configuration(
        customer_id=contract.customer.metronome_id or "", contract_id=contract.metronome_id or ""
    )
    recharge.remember(contract, found)
    if found:
        recharge.follow_metronome(contract, enabled=found.enabled, now=now)


# --- Grants ---------------------------------------------------------------------------------------------------------


def read_grants(contract: Contract, *, now: datetime) -> list[metronome.Commit]:
    """Mirror all that Metronome has for the customer, and return it, without what ended long ago and was mirrored then.

    For workers only: it calls Metronome.
    """
    wallet = ledger.wallet_of(contract.customer_id)
    seen_at = min(now, contract.synced_at or contract.starts_at)  # later than that nobody could look
    commits = metronome.commits(customer_id=contract.customer.metronome_id or "", usable_since=seen_at - ENDED_FOR)
    for segment in news(wallet.id, commits, now=now):
        ledger.record_grant(wallet_id=wallet.id, segment=segment, now=now)
    _shrink_vanished(wallet.id, commits, now)
    wake(wallet.id)
    return commits


def news(wallet_id: int, commits: Iterable[metronome.Commit], *, now: datetime) -> list[ledger.Segment]:
    """What of Metronome's commits is not mirrored yet, or not as it is there."""
    mirrored = {grant.segment_id: grant for grant in CreditGrant.objects.filter(wallet_id=wallet_id)}
    found = []
    for segment in (segment for commit in commits for segment in _segments(commit)):
        grant = mirrored.get(segment.segment_id)
        is_new = grant is None and segment.amount > 0
        if is_new or (grant and not _is_mirrored(grant, segment, now)):
            found.append(segment)
    return found


def record(wallet_id: int, commit: metronome.Commit, *, now: datetime) -> list[int]:
    """Mirror one commit or credit. Returns the ids of its grants, one a segment."""
    return [ledger.record_grant(wallet_id=wallet_id, segment=segment, now=now)[0] for segment in _segments(commit)]


def _segments(commit: metronome.Commit) -> list[ledger.Segment]:
    """Of an archived commit nothing may be used any more. Fractions stay at Metronome."""
    return [
        ledger.Segment(
            kind=commit.kind,
            remote_id=commit.id,
            segment_id=segment.id,
            key=commit.description[:128],
            name=commit.name[:200],
            amount=0 if commit.archived else max(int(segment.amount), 0),
            priority=round(commit.priority, 3),  # as it is stored
            is_free=commit.is_free,
            starts_at=segment.starts_at,
            ends_at=segment.ends_at,
            made_at=commit.created_at,
        )
        for segment in commit.segments
    ]


def _is_mirrored(grant: CreditGrant, segment: ledger.Segment, now: datetime) -> bool:
    """Whether there is nothing to write: the same as we have it, and not just about to start."""
    same = all(getattr(grant, name) == getattr(segment, name) for name in ledger.SEGMENT_FIELDS)
    spent = grant.granted - grant.remaining
    is_dated = grant.made_at is not None or segment.made_at is None
    is_due = grant.due_at is not None and grant.due_at <= now
    return same and is_dated and not is_due and grant.granted == max(segment.amount, spent)


def _fractions(commits: Iterable[metronome.Commit]) -> Decimal:
    """What flooring every segment keeps from the customer here and Metronome does not: less than a credit each."""
    amounts = (segment.amount for commit in commits if not commit.archived for segment in commit.segments)
    return sum((amount % 1 for amount in amounts if amount > 0), Decimal(0))


def _shrink_vanished(wallet_id: int, commits: Iterable[metronome.Commit], now: datetime) -> None:
    """Take back what is left of grants that Metronome no longer lists: archived there, or a segment removed."""
    settled = now - timedelta(seconds=VANISH_SECONDS)
    for grant in _unlisted(wallet_id, commits):
        if grant.created_at < settled:
            logger.warning("grant %s (%s) is gone at Metronome", grant.pk, grant.name)
            fields = {name: getattr(grant, name) for name in ledger.SEGMENT_FIELDS}
            ledger.record_grant(wallet_id=wallet_id, segment=ledger.Segment(**fields, amount=0), now=now)


def _unlisted(wallet_id: int, commits: Iterable[metronome.Commit]) -> list[CreditGrant]:
    listed = {segment.id for commit in commits for segment in commit.segments}
    left = CreditGrant.objects.filter(wallet_id=wallet_id, remaining__gt=0)
    return [grant for grant in left if grant.segment_id not in listed]


# --- Drift ----------------------------------------------------------------------------------------------------------


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
    before = _numbers(wallet.id, now)
    remote = metronome.net_balance(customer_id=contract.customer.metronome_id or "")
    wallet.refresh_from_db()
    if before != _numbers(wallet.id, now):
        return None
    # Also as long as holds keep something of an ended grant, which at Metronome is over.
    if wallet.expires_next_at and wallet.expires_next_at <= now + timedelta(seconds=NEAR_END_SECONDS):
        return None
    _, unsettled, settling = before
    grown, shrunk = _settling_grants(wallet.id, now)
    lowest = wallet.balance - grown - sum(grant.remaining for grant in _unlisted(wallet.id, commits))
    highest = wallet.balance + unsettled + settling + shrunk
    # Towards zero, so that what is left of fractions is no difference.
    missing, extra = min(remote - lowest, Decimal(0)), max(remote - _fractions(commits) - highest, Decimal(0))
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
    nudge(drift.wallet.customer_id, now)
    return True


def _numbers(wallet_id: int, now: datetime) -> tuple[int, int, int]:
    version = Wallet.objects.values_list("version", flat=True).get(pk=wallet_id)
    return version, *ledger.in_flight(wallet_id=wallet_id, now=now)


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

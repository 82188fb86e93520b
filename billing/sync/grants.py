"""Mirroring grants: every segment of every commit and credit at Metronome has a CreditGrant here.

Segments may arrive by API answer, webhook or periodic sync. The first to deliver one records it, so
credits can be spent at once. A changed amount becomes an entry of the difference.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from billing import ledger, metronome
from billing.live.wake import wake
from billing.models import Contract, CreditGrant

logger = logging.getLogger(__name__)

# A grant younger than this may be missing from Metronome's list only because of its delay.
VANISH_SECONDS = 600
# Commits that ended longer ago are not read: a customer who recharges daily has hundreds of them,
# and they no longer change.
ENDED_FOR = timedelta(days=7)


def read_grants(contract: Contract, *, now: datetime) -> list[metronome.Commit]:
    """Mirror the customer's commits and credits at Metronome, and return them.

    Leaves out those that ended more than ENDED_FOR before the last sync, which mirrored them. For
    workers only, as it calls Metronome.
    """
    wallet = ledger.wallet_of(contract.customer_id)
    # The last time at which a sync may have read them.
    synced_at = min(now, contract.synced_at or contract.starts_at)
    commits = metronome.commits(
        customer_id=contract.customer.metronome_id or "", usable_since=synced_at - ENDED_FOR
    )
    for segment in unmirrored_segments(wallet.id, commits, now=now):
        ledger.record_grant(wallet_id=wallet.id, segment=segment, now=now)
    _take_back_unlisted(wallet.id, commits, now)
    wake(wallet.id)
    return commits


def unmirrored_segments(
    wallet_id: int, commits: Iterable[metronome.Commit], *, now: datetime
) -> list[ledger.Segment]:
    """The segments of `commits` that have no grant here, or one that differs."""
    mirrored = {
        grant.segment_id: grant for grant in CreditGrant.objects.filter(wallet_id=wallet_id)
    }
    found = []
    for segment in (segment for commit in commits for segment in _segments(commit)):
        grant = mirrored.get(segment.segment_id)
        is_new = grant is None and segment.amount > 0
        if is_new or (grant and not _is_mirrored(grant, segment, now)):
            found.append(segment)
    return found


def record(wallet_id: int, commit: metronome.Commit, *, now: datetime) -> list[int]:
    """Mirror one commit or credit. Returns the ids of its grants, one per segment."""
    return [
        ledger.record_grant(wallet_id=wallet_id, segment=segment, now=now)[0]
        for segment in _segments(commit)
    ]


def _segments(commit: metronome.Commit) -> list[ledger.Segment]:
    """The commit's segments for the ledger, in whole credits, rounded down.

    An archived commit's credits can no longer be used, so its amounts are 0.
    """
    return [
        ledger.Segment(
            kind=commit.kind,
            remote_id=commit.id,
            segment_id=segment.id,
            key=commit.description[:128],
            name=commit.name[:200],
            amount=0 if commit.archived else max(int(segment.amount), 0),
            priority=round(commit.priority, 3),  # the precision of the column
            is_free=commit.is_free,
            starts_at=segment.starts_at,
            ends_at=segment.ends_at,
            made_at=commit.created_at,
        )
        for segment in commit.segments
    ]


def _is_mirrored(grant: CreditGrant, segment: ledger.Segment, now: datetime) -> bool:
    """Whether `record_grant` would write nothing: the grant equals the segment and is not due."""
    same = all(getattr(grant, name) == getattr(segment, name) for name in ledger.SEGMENT_FIELDS)
    spent = grant.granted - grant.remaining
    is_dated = grant.made_at is not None or segment.made_at is None
    is_due = grant.due_at is not None and grant.due_at <= now
    amount = max(grant.counted(segment.amount), spent)
    return same and is_dated and not is_due and grant.granted == amount


def fractions(commits: Iterable[metronome.Commit]) -> Decimal:
    """Credits that Metronome counts and the ledger does not, because it rounds segments down.

    Less than one credit per segment.
    """
    amounts = (
        segment.amount for commit in commits if not commit.archived for segment in commit.segments
    )
    return sum((amount % 1 for amount in amounts if amount > 0), Decimal(0))


def withheld(wallet_id: int, commits: Iterable[metronome.Commit], now: datetime) -> int:
    """Credits in force at Metronome that were taken back here, of which it does not know yet."""
    reduced = CreditGrant.objects.filter(
        wallet_id=wallet_id, reduced_to__isnull=False, ends_at__gt=now
    )
    by_segment = {grant.segment_id: grant for grant in reduced}
    return sum(
        segment.amount - by_segment[segment.segment_id].counted(segment.amount)
        for commit in commits
        for segment in _segments(commit)
        if segment.segment_id in by_segment
    )


def _take_back_unlisted(wallet_id: int, commits: Iterable[metronome.Commit], now: datetime) -> None:
    """Take back the remaining credits of grants that Metronome no longer lists.

    Their commit was archived there, or their segment was removed.
    """
    listed_by = now - timedelta(seconds=VANISH_SECONDS)
    for grant in unlisted(wallet_id, commits):
        if grant.created_at < listed_by:
            logger.warning("grant %s (%s) is no longer listed by Metronome", grant.pk, grant.name)
            fields = {name: getattr(grant, name) for name in ledger.SEGMENT_FIELDS}
            segment = ledger.Segment(**fields, amount=0)
            ledger.record_grant(wallet_id=wallet_id, segment=segment, now=now)


def unlisted(wallet_id: int, commits: Iterable[metronome.Commit]) -> list[CreditGrant]:
    """The wallet's grants with remaining credits whose segment is not in `commits`."""
    listed = {segment.id for commit in commits for segment in commit.segments}
    with_credits = CreditGrant.objects.filter(wallet_id=wallet_id, remaining__gt=0)
    return [grant for grant in with_credits if grant.segment_id not in listed]

"""Grants: every segment of every commit and credit at Metronome is mirrored, whoever made it.

One entry when it is new, a delta when it changed. So credits show at once, from whichever path hears of them first.
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

VANISH_SECONDS = 600  # a grant younger than this may only not be listed yet
ENDED_FOR = timedelta(days=7)  # who recharges daily has hundreds of ended commits, which change no more


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


def fractions(commits: Iterable[metronome.Commit]) -> Decimal:
    """What flooring every segment keeps from the customer here and Metronome does not: less than a credit each."""
    amounts = (segment.amount for commit in commits if not commit.archived for segment in commit.segments)
    return sum((amount % 1 for amount in amounts if amount > 0), Decimal(0))


def _shrink_vanished(wallet_id: int, commits: Iterable[metronome.Commit], now: datetime) -> None:
    """Take back what is left of grants that Metronome no longer lists: archived there, or a segment removed."""
    settled = now - timedelta(seconds=VANISH_SECONDS)
    for grant in unlisted(wallet_id, commits):
        if grant.created_at < settled:
            logger.warning("grant %s (%s) is gone at Metronome", grant.pk, grant.name)
            fields = {name: getattr(grant, name) for name in ledger.SEGMENT_FIELDS}
            ledger.record_grant(wallet_id=wallet_id, segment=ledger.Segment(**fields, amount=0), now=now)


def unlisted(wallet_id: int, commits: Iterable[metronome.Commit]) -> list[CreditGrant]:
    listed = {segment.id for commit in commits for segment in commit.segments}
    left = CreditGrant.objects.filter(wallet_id=wallet_id, remaining__gt=0)
    return [grant for grant in left if grant.segment_id not in listed]

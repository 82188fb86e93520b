"""Grants: how they come, change, start and end, and which of them pay. All of it takes turns; see `billing.ledger`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import F

from billing.models import CreditGrant, LedgerEntry, Wallet
from jobs.models import due

from . import drawdown, sql
from .entries import RESERVATION_SECONDS, SET_NEXT_EXPIRY, set_next_expiry, write

RESERVED_REMAINDER_SECONDS = 5  # how often the rest of an ended grant is looked at while reservations hold it
SEGMENT_FIELDS = ("kind", "remote_id", "segment_id", "key", "name", "priority", "is_free", "starts_at", "ends_at")
DRAW = "UPDATE billing_creditgrant SET remaining = remaining - %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Segment:
    """One access segment of a commit or credit, as Metronome tells it. `amount` in credits, floored; `made_at`: since when
    Metronome has it, if it says."""

    kind: str
    remote_id: str
    segment_id: str
    key: str
    name: str
    amount: int
    priority: Decimal
    is_free: bool
    starts_at: datetime
    ends_at: datetime
    made_at: datetime | None = None


def record_grant(*, wallet_id: int, segment: Segment, now: datetime) -> tuple[int, bool]:
    """Mirror a segment: one entry when it is new, a delta entry when it changed. Returns (grant id, whether it is new).

    The segment's id is unique, so call answer, webhook and sweep may all bring it, in any order, any number of times.
    """
    with transaction.atomic():
        sql.lock_wallet_grants(wallet_id)
        grant = CreditGrant(
            wallet_id=wallet_id, granted=segment.amount, remaining=segment.amount, made_at=segment.made_at, created_at=now,
            **due(segment.starts_at if segment.starts_at > now else segment.ends_at),
            **{name: getattr(segment, name) for name in SEGMENT_FIELDS},
        )  # fmt: skip
        CreditGrant.objects.bulk_create([grant], ignore_conflicts=True)
        grant_id = CreditGrant.objects.values_list("id", flat=True).get(segment_id=segment.segment_id)
        is_new = _start(wallet_id, grant_id, now)
        # Heard of early, it may have changed since; or its start moved into the past.
        _change_grant(grant_id, segment, now)
        return grant_id, _start(wallet_id, grant_id, now) or is_new


def start_or_end_grant(*, grant_id: int, now: datetime) -> datetime | None:
    """Let a grant start or end if its time has come. Returns when to look again, or None once nothing is left of it."""
    with transaction.atomic():
        wallet_id = CreditGrant.objects.values_list("wallet_id", flat=True).get(id=grant_id)
        sql.lock_wallet_grants(wallet_id)
        _start(wallet_id, grant_id, now)
        grant = CreditGrant.objects.get(id=grant_id)
        if grant.ends_at <= now:
            expire_ended(wallet_id=wallet_id, now=now)
            grant.refresh_from_db(fields=["remaining"])
            # What is left is held by a reservation made before the end; it goes with the hold or is captured by it.
            return now + timedelta(seconds=RESERVED_REMAINDER_SECONDS) if grant.remaining else None
        return grant.starts_at if grant.starts_at > now else grant.ends_at


def expire_ended(*, wallet_id: int, now: datetime, at: datetime | None = None) -> int:
    """Write off what grants ended by `at` (or now) have left, except what the open holds made before the end will draw of
    it, after what comes first in Metronome's order: kept besides that, it could be spent twice. Returns credits."""
    expired, at = 0, at or now
    with transaction.atomic(), connection.cursor() as cursor:
        sql.lock_wallet_grants(wallet_id)
        drawable = [grant_id for grant_id, _ in drawdown.drawable(wallet_id, at)]
        # Locked before the holds are counted: one that is made in this very instant is seen here, or sees what is left.
        available = Wallet.objects.select_for_update().get(id=wallet_id).available
        rest = drawdown.rest_after_reservations(wallet_id, drawable, seconds=RESERVATION_SECONDS)
        for one in CreditGrant.objects.filter(id__in=drawable, ends_at__lte=at).order_by("id"):
            # What is not available is held: by holds made after an end that was moved into the past, if by no others.
            if goes := min(one.remaining, rest.get(one.id, one.remaining), available):
                cursor.execute(DRAW, [goes, one.id])
                write(wallet_id, -goes, LedgerEntry.Kind.EXPIRY, now=now, grant_id=one.id)
                available, expired = available - goes, expired + goes
                Wallet.objects.filter(id=wallet_id).exclude(expired_last_at__gte=one.ends_at).update(
                    expired_last_at=one.ends_at
                )
        cursor.execute(SET_NEXT_EXPIRY, [wallet_id, wallet_id])
    return expired


def adjust(*, wallet_id: int, amount: int, note: str, now: datetime) -> LedgerEntry | None:
    """Bring the balance nearer to Metronome's by `amount` credits, signed; never below what is reserved.

    Returns the entry, or None if nothing could be taken. The sum of grants follows, so that expiry stays right. Which of
    them is a guess, as the cause is not known; a wrong one shows as a difference again when such a grant ends.
    """
    with transaction.atomic():
        sql.lock_wallet_grants(wallet_id)
        if amount < 0:
            wallet = Wallet.objects.select_for_update().get(id=wallet_id)
            amount = -min(-amount, wallet.available)
            take(drawdown.drawable(wallet_id, now), -amount)
        else:
            _refill([(grant, amount) for grant in drawdown.drawn_grants(wallet_id, now)], amount)
        if amount == 0:
            return None
        write(wallet_id, amount, LedgerEntry.Kind.ADJUSTMENT, now=now, note=note)
        set_next_expiry(wallet_id)
        return LedgerEntry.objects.filter(wallet_id=wallet_id).latest("id")


def _start(wallet_id: int, grant_id: int, now: datetime) -> bool:
    """Write the grant's entry if it has none and its time has come."""
    grant = CreditGrant.objects.get(id=grant_id)
    if grant.starts_at > now or grant.entries.filter(kind=LedgerEntry.Kind.GRANT).exists():
        return False
    consumptions = reallocate(wallet_id, drawdown.pays_since(grant), now, beginning=grant_id)
    write(
        wallet_id,
        grant.granted,
        LedgerEntry.Kind.GRANT,
        now=now,
        grant_id=grant_id,
        consumptions=consumptions,
        note=grant.name,
    )
    set_next_expiry(wallet_id)
    return True


def _change_grant(grant_id: int, segment: Segment, now: datetime) -> None:
    grant = CreditGrant.objects.get(id=grant_id)
    started = grant.entries.exists()
    change = max(segment.amount - grant.granted, -grant.remaining)
    if change < 0 and started:
        change = -min(-change, Wallet.objects.select_for_update().get(id=grant.wallet_id).available)
    fields = {name: getattr(segment, name) for name in SEGMENT_FIELDS if getattr(segment, name) != getattr(grant, name)}
    if segment.made_at and not grant.made_at:
        fields["made_at"] = segment.made_at
    if not (change or fields):
        return
    # `granted` stays what the grant's entries add up to: above the segment's amount by what was spent of it already, which
    # must not come back with a larger amount, and by what reservations hold, which the next sync tries again to take.
    fields |= {"granted": grant.granted + change, "remaining": grant.remaining + change}
    rows = CreditGrant.objects.filter(id=grant_id)
    if fields.keys() & {"starts_at", "ends_at"}:
        rows.schedule(segment.ends_at if started else segment.starts_at, **fields)
    else:
        rows.update(**fields)
    if change and started:
        write(grant.wallet_id, change, LedgerEntry.Kind.GRANT_CHANGE, now=now, grant_id=grant_id, note=grant.name)
    set_next_expiry(grant.wallet_id)


def take(grants: list[tuple[int, int]], amount: int) -> list[tuple[int, int]]:
    """Take `amount` from the grants in turn; returns what was taken of which.

    What they do not cover (credits of an adjustment) belongs to none of them.
    """
    consumptions = []
    with connection.cursor() as cursor:
        for grant_id, remaining in grants:
            if amount <= 0:
                break
            consumptions.append((grant_id, min(amount, remaining)))
            cursor.execute(DRAW, [consumptions[-1][1], grant_id])
            amount -= consumptions[-1][1]
    return consumptions


def reallocate(
    wallet_id: int, since: datetime, now: datetime, usage: Mapping[datetime, int] | None = None, beginning: int = 0
) -> list[tuple[int, int, int]]:
    """Decide anew which grants pay for what was used since the full hour `since`, and for `usage` (by hour) beside it.

    Metronome rates usage by the usage's own time, and starts are floored to the hour: what was drawn from a pack at 10:10
    is the plan's that was chosen at 10:20, and what the pack has left by that may pay what a third one paid at 11:10. The
    balance is the same, but not which credits are left to expire. Returns what changed, as `consumptions` of an entry.
    """
    drawn = drawdown.consumed_since(wallet_id, since, seconds=RESERVATION_SECONDS)
    if not (drawn or usage):
        return []
    drawable = [grant_id for grant_id, _ in drawdown.drawable(wallet_id, now)] + [beginning]
    grants = CreditGrant.objects.filter(id__in={*drawable, *(grant_id for _, grant_id in drawn)})
    ordered = sorted(grants, key=drawdown.draw_order)
    changes, left = drawdown.allocate_anew(ordered, drawn, usage or {})
    for one, rest in zip(ordered, left, strict=True):
        if rest != one.remaining:
            rows, remaining = CreditGrant.objects.filter(id=one.id), min(rest, one.granted)
            if rest and one.ends_at <= now:
                rows.schedule(now, remaining=remaining)
            else:
                rows.update(remaining=remaining)
    set_next_expiry(wallet_id)  # one that was used up may have credits again
    return [(grant_id, credits, int(hour.timestamp())) for (hour, grant_id), credits in changes.items() if credits]


def _refill(grants: Iterable[tuple[CreditGrant, int]], amount: int) -> int:
    """Put up to `amount` back into the grants in turn, each up to its own limit. Returns how much."""
    left = amount
    for grant, limit in grants:
        back = min(left, limit, grant.granted - grant.remaining)
        if back:
            CreditGrant.objects.filter(id=grant.id).update(remaining=F("remaining") + back)
            left -= back
    return amount - left

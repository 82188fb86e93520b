"""Grants: recording, changing, starting and ending them, and consuming their credits.

Every function that changes grants holds the wallet's grant lock; see `billing.ledger`.
"""

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
from .entries import RESERVATION_SECONDS, set_moments, write

# How often an ended grant is checked again while open reservations keep some of its credits.
RESERVED_REMAINDER_SECONDS = 5
SEGMENT_FIELDS = (
    "kind",
    "remote_id",
    "segment_id",
    "key",
    "name",
    "priority",
    "is_free",
    "starts_at",
    "ends_at",
)
CONSUME = "UPDATE billing_creditgrant SET remaining = remaining - %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class Segment:
    """One access segment of a commit or credit at Metronome.

    `amount` is in whole credits, rounded down. `made_at` is when Metronome created the commit or
    credit, None if it did not say.
    """

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
    """Mirror a segment: create its grant, or change the grant to match.

    A new grant that has started gets one entry; a changed amount gets an entry of the difference.
    Returns (grant id, whether the grant was started by this call).

    Segment ids are unique, so an API answer, a webhook and the periodic sync may all deliver the
    same segment, in any order and any number of times.
    """
    with transaction.atomic():
        sql.lock_wallet_grants(wallet_id)
        grant = CreditGrant(
            wallet_id=wallet_id,
            granted=segment.amount,
            remaining=segment.amount,
            made_at=segment.made_at,
            created_at=now,
            **due(segment.starts_at if segment.starts_at > now else segment.ends_at),
            **{name: getattr(segment, name) for name in SEGMENT_FIELDS},
        )
        CreditGrant.objects.bulk_create([grant], ignore_conflicts=True)
        grant_id = CreditGrant.objects.values_list("id", flat=True).get(
            segment_id=segment.segment_id
        )
        is_new = _start(wallet_id, grant_id, now)
        # A grant recorded before its start may have changed since, or its start may have moved into
        # the past.
        _change_grant(grant_id, segment, now)
        return grant_id, _start(wallet_id, grant_id, now) or is_new


def start_or_end_grant(*, grant_id: int, now: datetime) -> datetime | None:
    """Start the grant, or expire what is left of it, if that is due.

    Returns when to call again, or None once the grant has ended and nothing is left of it.
    """
    with transaction.atomic():
        wallet_id = CreditGrant.objects.values_list("wallet_id", flat=True).get(id=grant_id)
        sql.lock_wallet_grants(wallet_id)
        _start(wallet_id, grant_id, now)
        grant = CreditGrant.objects.get(id=grant_id)
        if grant.ends_at <= now:
            expire_ended(wallet_id=wallet_id, now=now)
            grant.refresh_from_db(fields=["remaining"])
            # The remainder is reserved since before the end. It is captured or expires once that
            # reservation resolves.
            return now + timedelta(seconds=RESERVED_REMAINDER_SECONDS) if grant.remaining else None
        return grant.starts_at if grant.starts_at > now else grant.ends_at


def expire_ended(*, wallet_id: int, now: datetime, at: datetime | None = None) -> int:
    """Write off what is left of grants that ended by `at` (default: `now`).

    Credits that open reservations will draw from these grants are kept until those resolve. Returns
    the credits written off.
    """
    at, expired, ends = at or now, 0, list[datetime]()
    with transaction.atomic(), connection.cursor() as cursor:
        sql.lock_wallet_grants(wallet_id)
        drawable = [grant_id for grant_id, _ in drawdown.drawable(wallet_id, at)]
        # Lock the wallet before counting reservations. A reservation made in this instant is either
        # counted here, or sees the reduced balance.
        available = Wallet.objects.select_for_update().get(id=wallet_id).available
        # Reservations draw from grants in draw order. Keeping all reserved credits in the ended
        # grant, regardless of the grants before it, would let the difference be spent twice.
        remaining = drawdown.remaining_after_reservations(
            wallet_id, drawable, seconds=RESERVATION_SECONDS
        )
        for one in CreditGrant.objects.filter(id__in=drawable, ends_at__lte=at).order_by("id"):
            # `available` also limits this: an end moved into the past leaves reservations that
            # were made after it.
            if amount := min(one.remaining, remaining.get(one.id, one.remaining), available):
                cursor.execute(CONSUME, [amount, one.id])
                write(wallet_id, -amount, LedgerEntry.Kind.EXPIRY, now=now, grant_id=one.id)
                available, expired = available - amount, expired + amount
                ends.append(one.ends_at)
        set_moments(wallet_id, since=max(ends, default=None))
    return expired


def adjust(
    *, wallet_id: int, amount: int, left: Mapping[str, Decimal], note: str, now: datetime
) -> LedgerEntry | None:
    """Change the balance by `amount` credits (signed) to agree with Metronome.

    `left` says what Metronome has left of each of its commits, by id. A reduction is limited to the
    credits that are not reserved. Returns the entry, or None if nothing could be taken.

    Grants change with the balance, so that expiry stays right: first those that differ from `left`.
    What that does not place is a guess, and shows as a new difference when such a grant ends.
    """
    with transaction.atomic():
        sql.lock_wallet_grants(wallet_id)
        differences = drawdown.differences(wallet_id, left, now)
        if amount < 0:
            wallet = Wallet.objects.select_for_update().get(id=wallet_id)
            amount = -min(-amount, wallet.available)
            drawable = drawdown.drawable(wallet_id, now)
            consume(drawdown.surplus_first(drawable, differences), -amount)
        else:
            grants = drawdown.partly_consumed_grants(wallet_id, now)
            short = drawdown.shortfalls(grants, differences)
            _return_to_grants([*short, *((grant, amount) for grant in grants)], amount)
        if amount == 0:
            return None
        write(wallet_id, amount, LedgerEntry.Kind.ADJUSTMENT, now=now, note=note)
        set_moments(wallet_id)
        return LedgerEntry.objects.filter(wallet_id=wallet_id).latest("id")


def _start(wallet_id: int, grant_id: int, now: datetime) -> bool:
    """Write the grant's first entry if its start has come and it has none. True if written."""
    grant = CreditGrant.objects.get(id=grant_id)
    if grant.starts_at > now or grant.entries.filter(kind=LedgerEntry.Kind.GRANT).exists():
        return False
    consumptions = reallocate(wallet_id, drawdown.covers_since(grant), now, starting=grant_id)
    write(
        wallet_id,
        grant.granted,
        LedgerEntry.Kind.GRANT,
        now=now,
        grant_id=grant_id,
        consumptions=consumptions,
        note=grant.name,
    )
    set_moments(wallet_id, since=grant.starts_at)
    return True


def _change_grant(grant_id: int, segment: Segment, now: datetime) -> None:
    """Bring the grant to the segment's amount and fields, as far as possible."""
    grant = CreditGrant.objects.get(id=grant_id)
    started = grant.entries.exists()
    change = max(grant.counted(segment.amount) - grant.granted, -grant.remaining)
    if max(grant.ends_at, segment.ends_at) <= now:
        change = 0  # what is left of it expires; an amount given back too late to tell is no change
    if change < 0 and started:
        wallet = Wallet.objects.select_for_update().get(id=grant.wallet_id)
        change = -min(-change, wallet.available)
    fields = {
        name: getattr(segment, name)
        for name in SEGMENT_FIELDS
        if getattr(segment, name) != getattr(grant, name)
    }
    if segment.made_at and not grant.made_at:
        fields["made_at"] = segment.made_at
    if not (change or fields):
        return
    # `granted` always equals the sum of the grant's entries. It may exceed segment.amount: spent
    # credits cannot be taken back, reserved ones only by a later sync.
    fields |= {"granted": grant.granted + change, "remaining": grant.remaining + change}
    rows = CreditGrant.objects.filter(id=grant_id)
    if fields.keys() & {"starts_at", "ends_at"}:
        rows.schedule(segment.ends_at if started else segment.starts_at, **fields)
    else:
        rows.update(**fields)
    if change and started:
        write(
            grant.wallet_id,
            change,
            LedgerEntry.Kind.GRANT_CHANGE,
            now=now,
            grant_id=grant_id,
            consumptions=reallocate_raised(grant, now) if change > 0 else [],
            note=grant.name,
        )
    set_moments(grant.wallet_id)


def consume(grants: list[tuple[int, int]], amount: int) -> list[tuple[int, int]]:
    """Take `amount` credits from the grants, (grant id, remaining) in draw order.

    Returns the credits taken, as (grant id, credits). Credits beyond what the grants have belong to
    no grant: they came from an adjustment.
    """
    consumptions = []
    with connection.cursor() as cursor:
        for grant_id, remaining in grants:
            if amount <= 0:
                break
            consumptions.append((grant_id, min(amount, remaining)))
            cursor.execute(CONSUME, [consumptions[-1][1], grant_id])
            amount -= consumptions[-1][1]
    return consumptions


def reallocate(
    wallet_id: int,
    since: datetime,
    now: datetime,
    usage: Mapping[datetime, int] | None = None,
    starting: int = 0,
) -> list[tuple[int, int, int]]:
    """Decide again which grants cover the usage since the full hour `since`, and `usage` besides.

    `usage` is in credits by full hour. `starting` is the id of a grant to include that has no entry
    yet. Updates the grants' `remaining`; the balance does not change. Returns what changed, as
    (grant id, credits (signed), hour as Unix time).

    Metronome rates usage by its own time and floors the start of a grant to the hour. So a plan
    chosen at 10:20 covers usage that consumed a pack at 10:10. The pack's credits that this frees
    may in turn cover later usage.
    """
    consumed = drawdown.consumed_since(wallet_id, since, seconds=RESERVATION_SECONDS)
    if not (consumed or usage):
        return []
    drawable = [grant_id for grant_id, _ in drawdown.drawable(wallet_id, now)] + [starting]
    grants = CreditGrant.objects.filter(id__in={*drawable, *(grant_id for _, grant_id in consumed)})
    ordered = sorted(grants, key=drawdown.draw_order)
    changes, remaining = drawdown.plan_reallocation(ordered, consumed, usage or {})
    for one, rest in zip(ordered, remaining, strict=True):
        if rest != one.remaining:
            row, left = CreditGrant.objects.filter(id=one.id), min(rest, one.granted)
            if rest and one.ends_at <= now:
                row.schedule(now, remaining=left)
            else:
                row.update(remaining=left)
    set_moments(wallet_id)  # a used-up grant may have credits again
    return [
        (grant_id, credits, int(hour.timestamp()))
        for (hour, grant_id), credits in changes.items()
        if credits
    ]


def reallocate_raised(grant: CreditGrant, now: datetime) -> list[tuple[int, int, int]]:
    """Reallocate usage after the grant's credits were raised. Returns what changed, as above.

    Metronome counts usage of months that are not final anew, so it moves to this grant from others
    that were consumed for want of these credits. A grant that has ended is not raised there.
    """
    if grant.ends_at <= now:
        return []
    since = max(drawdown.covers_since(grant), drawdown.open_since(now))
    return reallocate(grant.wallet_id, since, now)


def _return_to_grants(grants: Iterable[tuple[CreditGrant, int]], amount: int) -> int:
    """Return up to `amount` credits to the grants in order, each up to its own limit.

    Returns the credits that found a place.
    """
    left = amount
    for grant, limit in grants:
        back = min(left, limit, grant.granted - grant.remaining)
        if back:
            CreditGrant.objects.filter(id=grant.id).update(remaining=F("remaining") + back)
            grant.remaining += back
            left -= back
    return amount - left

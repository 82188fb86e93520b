"""Holds, grants and entries; see `billing.ledger`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from billing.hours import floor_hour
from billing.models import CreditGrant, LedgerEntry, Reservation, Wallet

from . import drawdown, sql

BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
SETTLING_SECONDS = 60  # Metronome shows acknowledged usage in its balances within some 15 seconds; four times that
HELD_REMAINDER_SECONDS = 5  # how often the rest of an ended grant is looked at while reservations hold it
SEGMENT_FIELDS = ("kind", "remote_id", "segment_id", "key", "name", "priority", "is_free", "starts_at", "ends_at")
RESERVATION_SECONDS = 600  # ten times the longest synthesis we wait for; then the credits come back by themselves


class InsufficientCredits(Exception):
    """The wallet does not hold `needed` credits beside what is already reserved. Nothing was changed."""

    def __init__(self, *, needed: int, available: int) -> None:
        super().__init__(f"{needed:,} credits needed, {available:,} available")
        self.needed, self.available, self.missing = needed, available, needed - available


class KeyReused(Exception):
    """The key already belongs to a reservation of another amount."""


class WalletFrozen(Exception):
    """An operator froze the wallet; nothing can be reserved until it is unfrozen."""


class AlreadyResolved(Exception):
    """The reservation is not open any more; `state` says how it ended, or "missing"."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the reservation is {state}")
        self.state = state


@dataclass(frozen=True, slots=True)
class Hold:
    """An accepted reservation: what `capture` and `release` take."""

    id: int
    amount: int
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Spend:
    """Usage that is final: `amount` credits at a moment that may be long past. The key makes it once."""

    key: str
    amount: int
    at: datetime


def wallet_of(customer_id: UUID) -> Wallet:
    """The customer's wallet, made empty on first sight."""
    found = list(Wallet.objects.raw("SELECT * FROM billing_wallet WHERE customer_id = %s", [sql.key(customer_id)]))
    return found[0] if found else Wallet.objects.get_or_create(customer_id=customer_id)[0]


# --- Holds ----------------------------------------------------------------------------------------------------------

LOOK = """
SELECT w.balance - w.reserved, w.frozen_at, w.expired_last_at, w.expires_next_at, r.id, r.amount, r.state, r.created_at
  FROM billing_wallet w LEFT JOIN billing_reservation r ON r.wallet_id = w.id AND r.key = %s WHERE w.id = %s"""
OPEN_HOLD = """
INSERT INTO billing_reservation (wallet_id, key, amount, captured, state, created_at, expires_at)
VALUES (%s, %s, %s, 0, 'open', %s, %s) RETURNING id"""
TAKE_FROM_AVAILABLE = """
UPDATE billing_wallet SET reserved = reserved + %s, version = version + 1
 WHERE id = %s AND balance - reserved >= %s AND frozen_at IS NULL AND (expires_next_at IS NULL OR expires_next_at > %s)
   AND (expired_last_at IS NULL OR expired_last_at <= %s)"""
TAKE_AT_ONCE = """
UPDATE billing_wallet SET balance = balance - %s, version = version + %s
 WHERE id = %s AND balance - reserved >= %s AND frozen_at IS NULL AND (expires_next_at IS NULL OR expires_next_at > %s)
 RETURNING balance, version"""
RESOLVE_HOLD = """
UPDATE billing_reservation SET state = %s, captured = %s, resolved_at = %s
 WHERE id = %s AND state = 'open' AND amount >= %s RETURNING wallet_id, amount, created_at"""
CHANGE_WALLET = """
UPDATE billing_wallet SET balance = balance + %s, reserved = reserved - %s, version = version + 1
 WHERE id = %s RETURNING balance, version"""
WRITE_ENTRY = """
INSERT INTO billing_ledgerentry
       (wallet_id, kind, amount, balance_after, version, grant_id, reservation_id, draws, note, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""

IN_FLIGHT = """
SELECT (SELECT COALESCE(SUM(captured), 0) FROM billing_reservation
         WHERE wallet_id = %s AND state = 'captured' AND reported_at IS NULL),
       (SELECT COALESCE(SUM(captured), 0) FROM billing_reservation
         WHERE wallet_id = %s AND state = 'captured' AND reported_at > %s)"""


def reserve(*, wallet_id: int, key: str, amount: int, now: datetime, seconds: int = RESERVATION_SECONDS) -> Hold:
    """Hold `amount` credits under `key`; the same key and amount again give the first reservation, whatever its state.

    The hold's moment, which decides what pays, is `now`, or the end of the credits that were written off meanwhile.
    Raises InsufficientCredits, WalletFrozen, KeyReused. A key that two callers use in the same instant raises
    IntegrityError in one of them, to be caught outside its transaction; asking again then finds the winner's hold.
    """
    if amount <= 0:
        raise ValueError("a reservation holds at least one credit")
    # Looking before the transaction keeps refusals and repeats off the write lock; the UPDATE below is what decides.
    available, frozen_at, expired_last_at, expires_next_at, *first = sql.one(LOOK, [key, wallet_id])
    if first[0] is not None:
        return _same_hold(first, amount)
    if frozen_at:
        raise WalletFrozen
    if expired_last_at:
        now = max(now, sql.aware(expired_last_at))
    with transaction.atomic(), connection.cursor() as cursor:
        gate_at = now
        # The worker may not have come by yet: the gate does not wait for it.
        if expires_next_at and sql.aware(expires_next_at) <= now:
            expire_ended(wallet_id=wallet_id, now=now)  # and now holds the wallet's lock
            available, gate_at = sql.one(LOOK, [key, wallet_id])[0], BEFORE_ALL
        if available < amount:
            raise InsufficientCredits(needed=amount, available=available)
        cursor.execute(OPEN_HOLD, [wallet_id, key, amount, sql.at(now), sql.at(now + timedelta(seconds=seconds))])
        hold_id: int = cursor.fetchone()[0]
        cursor.execute(TAKE_FROM_AVAILABLE, [amount, wallet_id, amount, sql.at(gate_at), sql.at(now)])
        if cursor.rowcount == 1:
            return Hold(hold_id, amount, Reservation.State.OPEN, now)
        # The wallet has changed since the look; leaving undoes the hold.
        if not Wallet.objects.filter(id=wallet_id, expired_last_at__gt=now).exists():
            raise _refusal(wallet_id, amount)
        transaction.set_rollback(True)
    return reserve(wallet_id=wallet_id, key=key, amount=amount, now=now, seconds=seconds)


def capture(*, reservation_id: int, now: datetime, amount: int | None = None) -> int:
    """Take `amount` credits of the hold (all by default) and return the rest. Returns the new balance.

    Raises AlreadyResolved if the hold is not open, ValueError if it holds less than `amount`.
    """
    with transaction.atomic():
        if amount is None:
            amount = _open_amount(reservation_id)
        wallet_id, held, reserved_at = _resolve(reservation_id, Reservation.State.CAPTURED, amount, now)
        sql.take_turn(wallet_id)
        hour = floor_hour(reserved_at)
        if hour != floor_hour(now):  # what was used since may already be drawn
            draws: Sequence[tuple[int, ...]] = _draw_again(wallet_id, hour, now, {hour: amount})
        else:
            draws = _take(drawdown.drawable(wallet_id, reserved_at), amount)
        return _write(
            wallet_id, -amount, LedgerEntry.Kind.CAPTURE, now=now, unreserve=held,
            reservation_id=reservation_id, draws=draws,
        )  # fmt: skip


def spend_all(*, wallet_id: int, spends: Sequence[Spend], now: datetime) -> list[int]:
    """Reserve and capture many at once, all or none, deciding once who pays. Returns their reservations, in that order.

    Raises WalletFrozen, InsufficientCredits (also of several, if a grant ended among their moments that is not written
    off yet: then one by one), and IntegrityError if one of the keys is taken.
    """
    first_at, gate_at = min(one.at for one in spends), max(one.at for one in spends)
    usage = Counter[datetime]()
    for one in spends:
        usage[floor_hour(one.at)] += one.amount
    with transaction.atomic():
        sql.take_turn(wallet_id)
        holds = Reservation.objects.bulk_create(
            Reservation(
                wallet_id=wallet_id, key=one.key, amount=one.amount, captured=one.amount, created_at=one.at,
                state=Reservation.State.CAPTURED, expires_at=one.at + timedelta(seconds=RESERVATION_SECONDS), resolved_at=now,
            ) for one in spends
        )  # fmt: skip
        if Wallet.objects.filter(id=wallet_id, expires_next_at__lte=first_at).exists():
            expire_ended(wallet_id=wallet_id, now=now, at=first_at)
            gate_at = BEFORE_ALL if gate_at == first_at else gate_at
        draws = _draw_again(wallet_id, floor_hour(first_at), now, usage)
        total = usage.total()
        taken = sql.one(TAKE_AT_ONCE, [total, len(holds), wallet_id, total, sql.at(gate_at)])
        if taken is None:
            raise _refusal(wallet_id, total)
        balance, version = taken[0] + total, taken[1] - len(holds)
        entries = []
        for hold in holds:
            balance, version = balance - hold.amount, version + 1
            entry = LedgerEntry(wallet_id=wallet_id, kind=LedgerEntry.Kind.CAPTURE, amount=-hold.amount, created_at=now)
            entry.balance_after, entry.version, entry.reservation = balance, version, hold
            entries.append(entry)
        entries[-1].draws = draws
        LedgerEntry.objects.bulk_create(entries)
    return [hold.pk for hold in holds]


def release(*, reservation_id: int, now: datetime) -> None:
    """Give the held credits back untouched. Raises AlreadyResolved if the hold is not open."""
    _return_hold(reservation_id, Reservation.State.RELEASED, now)


def expire_reservations(*, now: datetime, limit: int = 100) -> list[int]:
    """Give back what holds past their time still hold. Returns the wallet of each. Safe in any number of workers."""
    expired = []
    late = Reservation.objects.open().filter(expires_at__lte=now).order_by("expires_at")
    for reservation_id, wallet_id in late.values_list("id", "wallet_id")[:limit]:
        with suppress(AlreadyResolved):  # captured, or expired by another worker, since we looked
            _return_hold(reservation_id, Reservation.State.EXPIRED, now)
            expired.append(wallet_id)
    return expired


def _refusal(wallet_id: int, amount: int) -> WalletFrozen | InsufficientCredits:
    """Why the wallet, which has changed since we looked, did not give that much."""
    wallet = Wallet.objects.get(id=wallet_id)
    if wallet.frozen_at:
        return WalletFrozen()
    return InsufficientCredits(needed=amount, available=min(wallet.available, amount - 1))


def _same_hold(row: list[Any], amount: int) -> Hold:
    hold = Hold(row[0], row[1], row[2], sql.aware(row[3]))
    if hold.amount != amount:
        raise KeyReused(f"this key already holds {hold.amount:,} credits, not {amount:,}")
    return hold


def _open_amount(reservation_id: int) -> int:
    amount = Reservation.objects.filter(id=reservation_id).values_list("amount", flat=True).first()
    if amount is None:
        raise AlreadyResolved("missing")
    return amount


def _resolve(reservation_id: int, state: str, captured: int, now: datetime) -> tuple[int, int, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(RESOLVE_HOLD, [state, captured, sql.at(now), reservation_id, captured])
        row = cursor.fetchone()
    if row is None:
        found = Reservation.objects.filter(id=reservation_id).values_list("state", "amount").first()
        if found and found[0] == Reservation.State.OPEN:
            raise ValueError(f"the reservation holds {found[1]:,} credits, not {captured:,}")
        raise AlreadyResolved(found[0] if found else "missing")
    return row[0], row[1], sql.aware(row[2])


def _return_hold(reservation_id: int, state: str, now: datetime) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        wallet_id, held, _ = _resolve(reservation_id, state, 0, now)
        cursor.execute(CHANGE_WALLET, [0, held, wallet_id])


def acknowledge(*, reservation_ids: Iterable[int], now: datetime) -> None:
    """Note that Metronome has the usage of these captures; until then their credits are missing only here."""
    Reservation.objects.filter(id__among=list(reservation_ids), reported_at=None).update(reported_at=now)


def in_flight(*, wallet_id: int, now: datetime) -> tuple[int, int]:
    """Credits captured but not acknowledged by Metronome, and those acknowledged less than a minute ago."""
    lately = now - timedelta(seconds=SETTLING_SECONDS)
    unsettled, settling = sql.one(IN_FLIGHT, [wallet_id, wallet_id, sql.at(lately)])
    return int(unsettled), int(settling)


def set_frozen(*, wallet_id: int, frozen: bool, now: datetime) -> None:
    """Stop or allow new reservations. What is already reserved may still be captured: that promise was made."""
    Wallet.objects.filter(id=wallet_id).update(frozen_at=now if frozen else None, version=F("version") + 1)


# --- Grants ---------------------------------------------------------------------------------------------------------

DRAW = "UPDATE billing_creditgrant SET remaining = remaining - %s WHERE id = %s"
SET_NEXT_EXPIRY = """
UPDATE billing_wallet SET expires_next_at = (
  SELECT MIN(ends_at) FROM billing_creditgrant WHERE wallet_id = %s AND remaining > 0) WHERE id = %s"""


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
    ends_at: datetime | None
    made_at: datetime | None = None


def record_grant(*, wallet_id: int, segment: Segment, now: datetime) -> tuple[int, bool]:
    """Mirror a segment: one entry when it is new, a delta entry when it changed. Returns (grant id, whether it is new).

    The segment's id is unique, so call answer, webhook and sweep may all bring it, in any order, any number of times.
    """
    with transaction.atomic():
        sql.take_turn(wallet_id)
        grant = CreditGrant(
            wallet_id=wallet_id, granted=segment.amount, remaining=segment.amount, made_at=segment.made_at, created_at=now,
            due_at=segment.starts_at if segment.starts_at > now else segment.ends_at,
            **{name: getattr(segment, name) for name in SEGMENT_FIELDS},
        )  # fmt: skip
        CreditGrant.objects.bulk_create([grant], ignore_conflicts=True)
        grant_id = CreditGrant.objects.values_list("id", flat=True).get(segment_id=segment.segment_id)
        is_new = _start(wallet_id, grant_id, now)
        # Heard of early, it may have changed since; or its start moved into the past.
        _change_grant(grant_id, segment, now)
        return grant_id, _start(wallet_id, grant_id, now) or is_new


def turn_grant(*, grant_id: int, now: datetime) -> datetime | None:
    """Let a grant start or end if its time has come. Returns when to look again, or None once nothing is left of it."""
    with transaction.atomic():
        wallet_id = CreditGrant.objects.values_list("wallet_id", flat=True).get(id=grant_id)
        sql.take_turn(wallet_id)
        _start(wallet_id, grant_id, now)
        grant = CreditGrant.objects.get(id=grant_id)
        if grant.ends_at and grant.ends_at <= now:
            expire_ended(wallet_id=wallet_id, now=now)
            grant.refresh_from_db(fields=["remaining"])
            # What is left is held by a reservation made before the end; it goes with the hold or is captured by it.
            return now + timedelta(seconds=HELD_REMAINDER_SECONDS) if grant.remaining else None
        return grant.starts_at if grant.starts_at > now else grant.ends_at


def expire_ended(*, wallet_id: int, now: datetime, at: datetime | None = None) -> int:
    """Write off what grants ended by `at` (or now) have left, except what the open holds made before the end will draw of
    it, after what comes first in Metronome's order: kept besides that, it could be spent twice. Returns credits."""
    expired, at = 0, at or now
    with transaction.atomic(), connection.cursor() as cursor:
        sql.take_turn(wallet_id)
        drawable = [grant_id for grant_id, _ in drawdown.drawable(wallet_id, at)]
        # Locked before the holds are counted: one that is made in this very instant is seen here, or sees what is left.
        available = Wallet.objects.select_for_update().get(id=wallet_id).available
        rest = drawdown.rest_after_holds(wallet_id, drawable, seconds=RESERVATION_SECONDS)
        for one in CreditGrant.objects.filter(id__in=drawable, ends_at__lte=at).order_by("id"):
            # What is not available is held: by holds made after an end that was moved into the past, if by no others.
            if goes := min(one.remaining, rest.get(one.id, one.remaining), available):
                cursor.execute(DRAW, [goes, one.id])
                _write(wallet_id, -goes, LedgerEntry.Kind.EXPIRY, now=now, grant_id=one.id)
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
        sql.take_turn(wallet_id)
        if amount < 0:
            wallet = Wallet.objects.select_for_update().get(id=wallet_id)
            amount = -min(-amount, wallet.available)
            _take(drawdown.drawable(wallet_id, now), -amount)
        else:
            _refill([(grant, amount) for grant in drawdown.drawn_grants(wallet_id, now)], amount)
        if amount == 0:
            return None
        _write(wallet_id, amount, LedgerEntry.Kind.ADJUSTMENT, now=now, note=note)
        _set_next_expiry(wallet_id)
        return LedgerEntry.objects.filter(wallet_id=wallet_id).latest("id")


def _start(wallet_id: int, grant_id: int, now: datetime) -> bool:
    """Write the grant's entry if it has none and its time has come."""
    grant = CreditGrant.objects.get(id=grant_id)
    if grant.starts_at > now or grant.entries.filter(kind=LedgerEntry.Kind.GRANT).exists():
        return False
    draws = _draw_again(wallet_id, drawdown.pays_since(grant), now, beginning=grant_id)
    _write(wallet_id, grant.granted, LedgerEntry.Kind.GRANT, now=now, grant_id=grant_id, draws=draws, note=grant.name)
    _set_next_expiry(wallet_id)
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
    if fields.keys() & {"starts_at", "ends_at"}:
        fields["due_at"] = segment.starts_at if not started else segment.ends_at
    # `granted` stays what the grant's entries add up to: above the segment's amount by what was spent of it already, which
    # must not come back with a larger amount, and by what reservations hold, which the next sync tries again to take.
    CreditGrant.objects.filter(id=grant_id).update(
        granted=grant.granted + change, remaining=grant.remaining + change, **fields
    )
    if change and started:
        _write(grant.wallet_id, change, LedgerEntry.Kind.GRANT_CHANGE, now=now, grant_id=grant_id, note=grant.name)
    _set_next_expiry(grant.wallet_id)


def _take(grants: list[tuple[int, int]], amount: int) -> list[tuple[int, int]]:
    """Take `amount` from the grants in turn; returns what was taken of which.

    What they do not cover (credits of an adjustment) belongs to none of them.
    """
    draws = []
    with connection.cursor() as cursor:
        for grant_id, remaining in grants:
            if amount <= 0:
                break
            draws.append((grant_id, min(amount, remaining)))
            cursor.execute(DRAW, [draws[-1][1], grant_id])
            amount -= draws[-1][1]
    return draws


def _draw_again(
    wallet_id: int, since: datetime, now: datetime, usage: Mapping[datetime, int] | None = None, beginning: int = 0
) -> list[tuple[int, int, int]]:
    """Decide anew which grants pay for what was used since the full hour `since`, and for `usage` (by hour) beside it.

    Metronome rates usage by the usage's own time, and starts are floored to the hour: what was drawn from a pack at 10:10
    is the plan's that was chosen at 10:20, and what the pack has left by that may pay what a third one paid at 11:10. The
    balance is the same, but not which credits are left to expire. Returns what changed, as `draws` of an entry.
    """
    drawn = drawdown.drawn_since(wallet_id, since, seconds=RESERVATION_SECONDS)
    if not (drawn or usage):
        return []
    drawable = [grant_id for grant_id, _ in drawdown.drawable(wallet_id, now)] + [beginning]
    grants = CreditGrant.objects.filter(id__in={*drawable, *(grant_id for _, grant_id in drawn)})
    ordered = sorted(grants, key=drawdown.draw_order)
    changes, left = drawdown.draw_anew(ordered, drawn, usage or {})
    for one, rest in zip(ordered, left, strict=True):
        if rest != one.remaining:
            over = rest and one.ends_at and one.ends_at <= now
            also = {"due_at": now} if over else {}
            CreditGrant.objects.filter(id=one.id).update(remaining=min(rest, one.granted), **also)
    _set_next_expiry(wallet_id)  # one that was used up may have credits again
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


# --- Entries --------------------------------------------------------------------------------------------------------


def _write(
    wallet_id: int, amount: int, kind: str, *, now: datetime, unreserve: int = 0,
    grant_id: int | None = None, reservation_id: int | None = None, draws: Sequence[tuple[int, ...]] = (), note: str = "",
) -> int:  # fmt: skip
    """Change the wallet and write the entry that says why. Returns the new balance."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGE_WALLET, [amount, unreserve, wallet_id])
        balance, version = cursor.fetchone()
        why = [grant_id, reservation_id, json.dumps(draws), note, sql.at(now)]
        cursor.execute(WRITE_ENTRY, [wallet_id, kind, amount, balance, version, *why])
    return balance


def _set_next_expiry(wallet_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SET_NEXT_EXPIRY, [wallet_id, wallet_id])

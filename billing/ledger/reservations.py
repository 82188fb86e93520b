"""Holds: credits reserved, and what becomes of them. Reserving and giving back need no turn; see `billing.ledger`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Max

from billing.hours import floor_hour
from billing.models import LedgerEntry, Reservation, Wallet

from . import drawdown, sql
from .entries import CHANGE_WALLET, RESERVATION_SECONDS, write
from .grants import expire_ended, reallocate, take

BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
SETTLING_SECONDS = 60  # Metronome shows acknowledged usage in its balances within some 15 seconds; four times that


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
class Reserved:
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


LOOK = """
SELECT w.balance - w.reserved, w.frozen_at, w.expired_last_at, w.expires_next_at, r.id, r.amount, r.state, r.created_at
  FROM billing_wallet w LEFT JOIN billing_reservation r ON r.wallet_id = w.id AND r.key = %s WHERE w.id = %s"""
OPEN_RESERVATION = """
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
RESOLVE = """
UPDATE billing_reservation SET state = %s, captured = %s, resolved_at = %s
 WHERE id = %s AND state = 'open' AND amount >= %s RETURNING wallet_id, amount, created_at"""

IN_FLIGHT = """
SELECT version,
  (SELECT COALESCE(SUM(captured), 0) FROM billing_reservation
    WHERE wallet_id = %s AND state = 'captured' AND reported_at IS NULL),
  (SELECT COALESCE(SUM(captured), 0) FROM billing_reservation
    WHERE wallet_id = %s AND state = 'captured' AND reported_at > %s)
  FROM billing_wallet WHERE id = %s"""


def reserve(*, wallet_id: int, key: str, amount: int, now: datetime, seconds: int = RESERVATION_SECONDS) -> Reserved:
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
        return _same_reservation(first, amount)
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
        cursor.execute(
            OPEN_RESERVATION, [wallet_id, key, amount, sql.at(now), sql.at(now + timedelta(seconds=seconds))]
        )
        hold_id: int = cursor.fetchone()[0]
        cursor.execute(TAKE_FROM_AVAILABLE, [amount, wallet_id, amount, sql.at(gate_at), sql.at(now)])
        if cursor.rowcount == 1:
            return Reserved(hold_id, amount, Reservation.State.OPEN, now)
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
        sql.lock_wallet_grants(wallet_id)
        hour = floor_hour(reserved_at)
        if hour != floor_hour(now):  # what was used since may already be drawn
            consumptions: Sequence[tuple[int, ...]] = reallocate(wallet_id, hour, now, {hour: amount})
        else:
            consumptions = take(drawdown.drawable(wallet_id, reserved_at), amount)
        return write(
            wallet_id, -amount, LedgerEntry.Kind.CAPTURE, now=now, unreserve=held,
            reservation_id=reservation_id, consumptions=consumptions,
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
        sql.lock_wallet_grants(wallet_id)
        holds = Reservation.objects.bulk_create(
            Reservation(
                wallet_id=wallet_id, key=one.key, amount=one.amount, captured=one.amount, created_at=one.at,
                state=Reservation.State.CAPTURED, expires_at=one.at + timedelta(seconds=RESERVATION_SECONDS), resolved_at=now,
            ) for one in spends
        )  # fmt: skip
        if Wallet.objects.filter(id=wallet_id, expires_next_at__lte=first_at).exists():
            expire_ended(wallet_id=wallet_id, now=now, at=first_at)
            gate_at = BEFORE_ALL if gate_at == first_at else gate_at
        consumptions = reallocate(wallet_id, floor_hour(first_at), now, usage)
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
        entries[-1].consumptions = consumptions
        LedgerEntry.objects.bulk_create(entries)
    return [hold.pk for hold in holds]


def release(*, reservation_id: int, now: datetime) -> None:
    """Give the held credits back untouched. Raises AlreadyResolved if the hold is not open."""
    _return_credits(reservation_id, Reservation.State.RELEASED, now)


def expire_reservations(*, now: datetime, limit: int = 100) -> list[int]:
    """Give back what holds past their time still hold. Returns the wallet of each. Safe in any number of workers."""
    expired = []
    late = Reservation.objects.open().filter(expires_at__lte=now).order_by("expires_at")
    for reservation_id, wallet_id in late.values_list("id", "wallet_id")[:limit]:
        with suppress(AlreadyResolved):  # captured, or expired by another worker, since we looked
            _return_credits(reservation_id, Reservation.State.EXPIRED, now)
            expired.append(wallet_id)
    return expired


def _refusal(wallet_id: int, amount: int) -> WalletFrozen | InsufficientCredits:
    """Why the wallet, which has changed since we looked, did not give that much."""
    wallet = Wallet.objects.get(id=wallet_id)
    if wallet.frozen_at:
        return WalletFrozen()
    return InsufficientCredits(needed=amount, available=min(wallet.available, amount - 1))


def _same_reservation(row: list[Any], amount: int) -> Reserved:
    hold = Reserved(row[0], row[1], row[2], sql.aware(row[3]))
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
        cursor.execute(RESOLVE, [state, captured, sql.at(now), reservation_id, captured])
        row = cursor.fetchone()
    if row is None:
        found = Reservation.objects.filter(id=reservation_id).values_list("state", "amount").first()
        if found and found[0] == Reservation.State.OPEN:
            raise ValueError(f"the reservation holds {found[1]:,} credits, not {captured:,}")
        raise AlreadyResolved(found[0] if found else "missing")
    return row[0], row[1], sql.aware(row[2])


def _return_credits(reservation_id: int, state: str, now: datetime) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        wallet_id, held, _ = _resolve(reservation_id, state, 0, now)
        cursor.execute(CHANGE_WALLET, [0, held, wallet_id])


def acknowledge(*, reservation_ids: Iterable[int], now: datetime) -> None:
    """Note that Metronome has the usage of these captures; until then their credits are missing only here."""
    Reservation.objects.filter(id__among=list(reservation_ids), reported_at=None).update(reported_at=now)


def in_flight(*, wallet_id: int, now: datetime) -> tuple[int, int]:
    """Credits captured but not acknowledged by Metronome, and those acknowledged less than a minute ago."""
    _, unsettled, settling = version_and_in_flight(wallet_id=wallet_id, now=now)
    return unsettled, settling


def version_and_in_flight(*, wallet_id: int, now: datetime) -> tuple[int, int, int]:
    """The wallet's version, and what `in_flight` gives, of one moment."""
    lately = now - timedelta(seconds=SETTLING_SECONDS)
    version, unsettled, settling = sql.one(IN_FLIGHT, [wallet_id, wallet_id, sql.at(lately), wallet_id])
    return version, int(unsettled), int(settling)


def set_frozen(*, wallet_id: int, frozen: bool, now: datetime) -> None:
    """Stop or allow new reservations. What is already reserved may still be captured: that promise was made.

    A freeze is dated no earlier than the last reservation before it: whoever freezes may have read the clock long ago.
    """
    with transaction.atomic():
        Wallet.objects.select_for_update().get(id=wallet_id)  # a reservation is committed by now, or finds it frozen
        last_at = Reservation.objects.filter(wallet_id=wallet_id).aggregate(at=Max("created_at"))["at"]
        frozen_at = max(now, last_at or now) if frozen else None
        Wallet.objects.filter(id=wallet_id).update(frozen_at=frozen_at, version=F("version") + 1)

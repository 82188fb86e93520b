"""Reservations: setting credits aside, and resolving that by capture, release or expiry.

Reserving and releasing do not take the wallet's grant lock; see `billing.ledger`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from billing.hours import floor_hour
from billing.models import LedgerEntry, Reservation, Wallet

from . import budgets, drawdown, sql
from .entries import CHANGE_WALLET, RESERVATION_SECONDS, write
from .grants import consume, expire_ended, reallocate
from .outcomes import AlreadyResolved, InsufficientCredits, KeyReused, Reserved, Spend, WalletFrozen

NO_EXPIRY_CHECK = datetime(1970, 1, 1, tzinfo=UTC)  # earlier than any end of credits


def wallet_of(customer_id: UUID) -> Wallet:
    """The customer's wallet, created empty if there is none."""
    by_customer = "SELECT * FROM billing_wallet WHERE customer_id = %s"
    found = list(Wallet.objects.raw(by_customer, [sql.key(customer_id)]))
    return found[0] if found else Wallet.objects.get_or_create(customer_id=customer_id)[0]


READ_FOR_RESERVE = """
SELECT w.balance - w.reserved, w.frozen_at, w.reserves_from_at, w.expires_next_at,
       r.id, r.amount, r.state, r.created_at
  FROM billing_wallet w
  LEFT JOIN billing_reservation r ON r.wallet_id = w.id AND r.key = %s WHERE w.id = %s"""
INSERT_RESERVATION = """
INSERT INTO billing_reservation
       (wallet_id, key, api_key_id, amount, captured, state, created_at, expires_at)
VALUES (%s, %s, %s, %s, 0, 'open', %s, %s) RETURNING id"""
RESERVE_AVAILABLE = """
UPDATE billing_wallet SET reserved = reserved + %s, version = version + 1
 WHERE id = %s AND balance - reserved >= %s AND frozen_at IS NULL
   AND (expires_next_at IS NULL OR expires_next_at > %s)
   AND (reserves_from_at IS NULL OR reserves_from_at <= %s)"""
SPEND_AVAILABLE = """
UPDATE billing_wallet SET balance = balance - %s, version = version + %s
 WHERE id = %s AND balance - reserved >= %s AND frozen_at IS NULL
   AND (expires_next_at IS NULL OR expires_next_at > %s)
 RETURNING balance, version"""
RESOLVE = """
UPDATE billing_reservation SET state = %s, captured = %s, resolved_at = %s
 WHERE id = %s AND state = 'open' AND amount >= %s
 RETURNING wallet_id, amount, created_at, api_key_id"""


def reserve(
    *,
    wallet_id: int,
    key: str,
    amount: int,
    now: datetime,
    seconds: int = RESERVATION_SECONDS,
    api_key_id: UUID | None = None,
) -> Reserved:
    """Reserve `amount` credits under `key` for `seconds`, within the budget of an API key if any.

    The same key and amount again return the first reservation, whatever its state. The reservation
    is dated `now`, or when the last grant has started or was written off, if that is later: another
    clock may be ahead of ours, or we have stood still. Metronome rates the usage at this time, so
    both sides draw from the same grants.

    Raises InsufficientCredits, WalletFrozen, budgets.BudgetExceeded, KeyReused, and ValueError if
    `amount` is below 1. If two callers use a new key at once, one of them gets IntegrityError. It
    must be caught outside the caller's transaction; another call then returns the other's
    reservation.
    """
    if amount <= 0:
        raise ValueError("a reservation needs at least one credit")
    # Read before the transaction, so that refusals and repeated keys take no lock. The conditional
    # UPDATE below decides.
    available, frozen_at, reserves_from_at, expires_next_at, *first = sql.one(
        READ_FOR_RESERVE, [key, wallet_id]
    )
    if first[0] is not None:
        return _same_reservation(first, amount)
    if frozen_at:
        raise WalletFrozen
    if reserves_from_at:
        now = max(now, sql.aware(reserves_from_at))
    is_ended = expires_next_at is not None and sql.aware(expires_next_at) <= now
    expires_at = now + timedelta(seconds=seconds)
    with transaction.atomic():
        if api_key_id:
            if is_ended:
                sql.lock_wallet_grants(wallet_id)
            budgets.hold(api_key_id, amount, now)
        expiry_checked_at = now
        # Credits have ended and no worker has written them off yet. Do it here, without waiting.
        if is_ended:
            expire_ended(wallet_id=wallet_id, now=now)  # locks the wallet's row as well
            available = sql.one(READ_FOR_RESERVE, [key, wallet_id])[0]
            expiry_checked_at = NO_EXPIRY_CHECK
        if available < amount:
            raise InsufficientCredits(needed=amount, available=available)
        found = _insert(wallet_id, key, api_key_id, amount, now, expires_at, expiry_checked_at)
        if found:
            return found
        # The wallet has changed since it was read. Leaving the block rolls the reservation back.
        if not Wallet.objects.filter(id=wallet_id, reserves_from_at__gt=now).exists():
            raise _refusal(wallet_id, amount)
        transaction.set_rollback(True)
    return reserve(
        wallet_id=wallet_id, key=key, amount=amount, now=now, seconds=seconds, api_key_id=api_key_id
    )


def _insert(
    wallet_id: int,
    key: str,
    api_key_id: UUID | None,
    amount: int,
    now: datetime,
    expires_at: datetime,
    expiry_checked_at: datetime,
) -> Reserved | None:
    """Write a reservation, and reserve its credits if the wallet has them; None if it has not."""
    of_key = api_key_id and sql.key(api_key_id)
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT_RESERVATION, [wallet_id, key, of_key, amount, sql.at(now), sql.at(expires_at)]
        )
        reservation_id: int = cursor.fetchone()[0]
        cursor.execute(
            RESERVE_AVAILABLE, [amount, wallet_id, amount, sql.at(expiry_checked_at), sql.at(now)]
        )
        if cursor.rowcount != 1:
            return None
    return Reserved(reservation_id, amount, Reservation.State.OPEN, now)


def renew(*, reservation_id: int, key: str, now: datetime) -> Reserved:
    """Replace an open reservation by one of the same amount that begins now, under a new key.

    For work that takes longer than a reservation lasts. Nobody else can take the credits meanwhile.
    It stays within the budget of the same API key. Raises AlreadyResolved, InsufficientCredits,
    WalletFrozen, budgets.BudgetExceeded; then the first one stays as it is.
    """
    names = ("wallet_id", "amount", "api_key_id")
    with transaction.atomic():
        found = Reservation.objects.filter(id=reservation_id).values_list(*names).first()
        if found is None:
            raise AlreadyResolved("missing")
        wallet_id, amount, api_key_id = found
        # Before the wallet's row, which releasing locks: reserving may write off ended credits.
        sql.lock_wallet_grants(wallet_id)
        release(reservation_id=reservation_id, now=now)
        return reserve(wallet_id=wallet_id, key=key, amount=amount, now=now, api_key_id=api_key_id)


def capture(*, reservation_id: int, now: datetime, amount: int | None = None) -> int:
    """Take `amount` of the reserved credits (default: all) and make the rest available again.

    Returns the new balance. Raises AlreadyResolved if the reservation is not open, ValueError if it
    is of less than `amount`.
    """
    with transaction.atomic():
        if amount is None:
            amount = _open_amount(reservation_id)
        state = Reservation.State.CAPTURED
        wallet_id, reserved, reserved_at, api_key_id = _resolve(reservation_id, state, amount, now)
        sql.lock_wallet_grants(wallet_id)
        if api_key_id:
            budgets.settle(api_key_id, held=reserved, captured=amount, now=now)
        hour = floor_hour(reserved_at)
        if hour != floor_hour(now):  # usage of later hours may have been captured before
            usage = {hour: amount}
            consumptions: Sequence[tuple[int, ...]] = reallocate(wallet_id, hour, now, usage)
        else:
            consumptions = consume(drawdown.drawable(wallet_id, reserved_at), amount)
        return write(
            wallet_id,
            -amount,
            LedgerEntry.Kind.CAPTURE,
            now=now,
            unreserve=reserved,
            reservation_id=reservation_id,
            consumptions=consumptions,
        )


def spend_all(*, wallet_id: int, spends: Sequence[Spend], now: datetime) -> list[int]:
    """Reserve and capture many spends in one transaction, all or none.

    Grants are allocated once for all of them. Returns the reservation ids in the order of `spends`.

    Raises WalletFrozen, InsufficientCredits, and IntegrityError if one of the keys is taken.
    InsufficientCredits may also mean that a grant ended between the first and the last spend and is
    not written off yet. Such spends succeed one by one.
    """
    first_at, expiry_checked_at = min(one.at for one in spends), max(one.at for one in spends)
    usage = Counter[datetime]()
    for one in spends:
        usage[floor_hour(one.at)] += one.amount
    with transaction.atomic():
        sql.lock_wallet_grants(wallet_id)
        reservations = Reservation.objects.bulk_create(
            Reservation(
                wallet_id=wallet_id,
                key=one.key,
                amount=one.amount,
                captured=one.amount,
                created_at=one.at,
                state=Reservation.State.CAPTURED,
                expires_at=one.at + timedelta(seconds=RESERVATION_SECONDS),
                resolved_at=now,
            )
            for one in spends
        )
        if Wallet.objects.filter(id=wallet_id, expires_next_at__lte=first_at).exists():
            expire_ended(wallet_id=wallet_id, now=now, at=first_at)
            if expiry_checked_at == first_at:
                expiry_checked_at = NO_EXPIRY_CHECK
        consumptions = reallocate(wallet_id, floor_hour(first_at), now, usage)
        total, count = usage.total(), len(reservations)
        spent = sql.one(
            SPEND_AVAILABLE, [total, count, wallet_id, total, sql.at(expiry_checked_at)]
        )
        if spent is None:
            raise _refusal(wallet_id, total)
        balance, version = spent[0] + total, spent[1] - count
        entries = []
        for reservation in reservations:
            balance, version = balance - reservation.amount, version + 1
            entries.append(
                LedgerEntry(
                    wallet_id=wallet_id,
                    kind=LedgerEntry.Kind.CAPTURE,
                    amount=-reservation.amount,
                    balance_after=balance,
                    version=version,
                    reservation=reservation,
                    created_at=now,
                )
            )
        entries[-1].consumptions = consumptions
        LedgerEntry.objects.bulk_create(entries)
    return [reservation.pk for reservation in reservations]


def release(*, reservation_id: int, now: datetime) -> None:
    """Make all reserved credits available again. AlreadyResolved if it is not open."""
    _make_available(reservation_id, Reservation.State.RELEASED, now)


def expire_reservations(*, now: datetime, limit: int = 100) -> list[int]:
    """Expire up to `limit` open reservations whose time is over.

    Returns the wallet id of each. Safe in any number of workers at once.
    """
    expired = []
    late = Reservation.objects.open().filter(expires_at__lte=now).order_by("expires_at")
    for reservation_id, wallet_id in late.values_list("id", "wallet_id")[:limit]:
        with suppress(AlreadyResolved):  # captured, or expired by another worker, meanwhile
            _make_available(reservation_id, Reservation.State.EXPIRED, now)
            expired.append(wallet_id)
    return expired


def _refusal(wallet_id: int, amount: int) -> WalletFrozen | InsufficientCredits:
    """The exception for a conditional UPDATE that matched no row."""
    wallet = Wallet.objects.get(id=wallet_id)
    if wallet.frozen_at:
        return WalletFrozen()
    # The balance may have risen since the UPDATE; the message must still say too few.
    return InsufficientCredits(needed=amount, available=min(wallet.available, amount - 1))


def _same_reservation(row: list[Any], amount: int) -> Reserved:
    found = Reserved(row[0], row[1], row[2], sql.aware(row[3]))
    if found.amount != amount:
        raise KeyReused(f"this key already reserved {found.amount:,} credits, not {amount:,}")
    return found


def _open_amount(reservation_id: int) -> int:
    rows = Reservation.objects.filter(id=reservation_id)
    amount = rows.values_list("amount", flat=True).first()
    if amount is None:
        raise AlreadyResolved("missing")
    return amount


def _resolve(
    reservation_id: int, state: str, captured: int, now: datetime
) -> tuple[int, int, datetime, UUID | None]:
    """Resolve an open reservation.

    Returns (wallet id, reserved credits, when it was made, API key's id).
    """
    with connection.cursor() as cursor:
        cursor.execute(RESOLVE, [state, captured, sql.at(now), reservation_id, captured])
        row = cursor.fetchone()
    if row is None:
        rows = Reservation.objects.filter(id=reservation_id)
        found = rows.values_list("state", "amount").first()
        if found and found[0] == Reservation.State.OPEN:
            raise ValueError(f"{found[1]:,} credits are reserved, {captured:,} cannot be captured")
        raise AlreadyResolved(found[0] if found else "missing")
    return row[0], row[1], sql.aware(row[2]), row[3] and UUID(str(row[3]))


def _make_available(reservation_id: int, state: str, now: datetime) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        wallet_id, reserved, _, api_key_id = _resolve(reservation_id, state, 0, now)
        if api_key_id:
            budgets.settle(api_key_id, held=reserved, captured=0, now=now)
        cursor.execute(CHANGE_WALLET, [0, reserved, wallet_id])

"""Ledger entries: every change of a balance and its reason. Never updated, never deleted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from . import sql

# Ten times the longest synthesis we wait for. After that the credits become available again.
RESERVATION_SECONDS = 600

CHANGE_WALLET = """
UPDATE billing_wallet SET balance = balance + %s, reserved = reserved - %s, version = version + 1
 WHERE id = %s RETURNING balance, version"""
WRITE_ENTRY = """
INSERT INTO billing_ledgerentry
       (wallet_id, kind, amount, balance_after, version, grant_id, reservation_id, consumptions,
        note, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
SET_MOMENTS = """
UPDATE billing_wallet SET
       expires_next_at = (
         SELECT MIN(ends_at) FROM billing_creditgrant WHERE wallet_id = %s AND remaining > 0),
       reserves_from_at = CASE
         WHEN reserves_from_at IS NULL OR reserves_from_at < %s THEN %s ELSE reserves_from_at END
 WHERE id = %s"""


def write(
    wallet_id: int,
    amount: int,
    kind: str,
    *,
    now: datetime,
    unreserve: int = 0,
    grant_id: int | None = None,
    reservation_id: int | None = None,
    consumptions: Sequence[tuple[int, ...]] = (),
    note: str = "",
) -> int:
    """Change the wallet's balance by `amount` credits (signed) and write the entry for it.

    `unreserve` credits are no longer reserved. `consumptions` are (grant id, credits) or
    (grant id, credits, hour as Unix time); see `LedgerEntry.consumptions`. Returns the new
    balance. Raises IntegrityError if the wallet would break 0 <= reserved <= balance.
    """
    with connection.cursor() as cursor:
        cursor.execute(CHANGE_WALLET, [amount, unreserve, wallet_id])
        balance: int
        balance, version = cursor.fetchone()
        why = [grant_id, reservation_id, json.dumps(consumptions), note, sql.at(now)]
        cursor.execute(WRITE_ENTRY, [wallet_id, kind, amount, balance, version, *why])
    return balance


def set_moments(wallet_id: int, *, since: datetime | None = None) -> None:
    """Recompute what `reserve` compares with its time: when the wallet's next credits end.

    `since`: a grant has started, or was expired, as of that moment; nothing is reserved before it.
    """
    since = since and sql.at(since)
    with connection.cursor() as cursor:
        cursor.execute(SET_MOMENTS, [wallet_id, since, since, wallet_id])

"""Raw SQL for PostgreSQL and SQLite alike: reading a row, converting values, and one lock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection


def one(statement: str, params: list[Any]) -> Any:
    """The first row the statement returns, or None."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchone()


def lock_wallet_grants(wallet_id: int) -> None:
    """Serialise changes to the wallet's grants until the current transaction ends.

    An advisory lock on PostgreSQL. SQLite needs none, as it runs one writing transaction at a time.
    Row locks would deadlock: they need one order for all transactions, and the set of grants to
    lock can change while a transaction waits.
    """
    if connection.vendor == "postgresql":
        one("SELECT pg_advisory_xact_lock(%s)", [wallet_id])


def key(customer_id: UUID) -> Any:
    """A UUID as this database's driver takes it in raw SQL."""
    return customer_id if connection.features.has_native_uuid_field else customer_id.hex


def at(moment: datetime) -> Any:
    """A datetime as this database's driver takes it in raw SQL."""
    return connection.ops.adapt_datetimefield_value(moment)


def aware(moment: datetime | str) -> datetime:
    """The UTC datetime of a value read by raw SQL.

    SQLite stores no time zones and, in RETURNING, returns the text of the column.
    """
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)

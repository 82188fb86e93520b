"""Raw SQL on PostgreSQL and SQLite alike: rows read, moments passed in and out, taking turns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection


def one(statement: str, params: list[Any]) -> Any:
    """The first row the statement gives, or None."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return cursor.fetchone()


def lock_wallet_grants(key: int) -> None:
    """Wait until no other transaction has the turn of this key, and have it until ours ends. SQLite's transactions take
    turns anyway. Locking rows instead needs one order for all, and which rows there are changes while one waits.
    """
    if connection.vendor == "postgresql":
        one("SELECT pg_advisory_xact_lock(%s)", [key])


def key(customer_id: UUID) -> Any:
    """A UUID as this database's driver wants it in raw SQL."""
    return customer_id if connection.features.has_native_uuid_field else customer_id.hex


def at(moment: datetime) -> Any:
    """A datetime as this database's driver wants it in raw SQL."""
    return connection.ops.adapt_datetimefield_value(moment)


def aware(moment: datetime | str) -> datetime:
    """A datetime as raw SQL gives it back: SQLite knows neither time zones nor, in RETURNING, the column's type."""
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)

"""A query that never changes: PostgreSQL plans it once a connection, which takes it longer than to
answer."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.db import connection
from psycopg import Cursor


def ask(sql: str, parameters: tuple[Any, ...]) -> tuple[Any, ...]:
    """Its one row."""
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        bare = connection.connection
        bare.prepare_threshold = 0  # Django forbids it, and its own cursors never prepare anything
        with Cursor(bare) as cursor:
            return cursor.execute(_whole(sql, parameters), prepare=True).fetchone()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()


@cache
def _whole(sql: str, parameters: tuple[Any, ...]) -> str:
    return connection.ops.compose_sql(sql, parameters)

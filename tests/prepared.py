"""Statements that tests ask more often than anything else, planned once a connection.

PostgreSQL takes longer to plan them than to answer. They are prepared in SQL and not by the driver:
that one forgets all that it prepared, and has the server forget whatever is prepared, as soon as a
transaction goes back to a savepoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection
from django.db.backends.postgresql.base import Cursor

WHAT_IS_DUE = "SELECT EXISTS (SELECT 1 FROM jobs_heartbeat"

_names: WeakKeyDictionary[psycopg.Connection[Any], dict[str, str]] = WeakKeyDictionary()


def ask(sql: str, parameters: tuple[Any, ...]) -> tuple[Any, ...]:
    """The one row of a query whose parameters are always the same. Listeners do not hear of it."""
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        with psycopg.Cursor(connection.connection) as cursor:
            return cursor.execute(f"EXECUTE {_name(cursor, _whole(sql, parameters))}").fetchone()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()


@contextmanager
def what_is_due() -> Iterator[None]:
    """What a worker asks before each pass: the same statement, with the same parameters."""
    execute = Cursor.execute

    def prepared(cursor: Any, query: str, parameters: Any = None, **options: Any) -> Any:
        if isinstance(query, str) and query.startswith(WHAT_IS_DUE):
            name = _name(cursor, _numbered(query))
            query = f"EXECUTE {name} ({', '.join(['%s'] * len(parameters))})"
        return execute(cursor, query, parameters, **options)

    with patch.object(Cursor, "execute", prepared):
        yield


def _name(cursor: Any, query: str) -> str:
    """Of the statement that is prepared on this cursor's connection, now if it was not before."""
    names = _names.setdefault(cursor.connection, {})
    if query not in names:
        name = f"prepared_{len(names)}"
        psycopg.Cursor(cursor.connection).execute(f"PREPARE {name} AS {query}")
        names[query] = name
    return names[query]


@cache
def _whole(sql: str, parameters: tuple[Any, ...]) -> str:
    return connection.ops.compose_sql(sql, parameters)


@cache
def _numbered(query: str) -> str:
    """With the placeholders of PREPARE in place of the driver's."""
    numbers = count(1)
    return re.sub(
        "%s|%%", lambda found: found[0][1] if found[0] == "%%" else f"${next(numbers)}", query
    )

"""How to empty the tables quickly, for what runs once a test or once a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from django.core.management.color import no_style
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

# Migrating fills these, and nobody else writes to them.
CONSTANT = {"django_migrations", "django_content_type", "auth_permission"}


def empty_tables(*, reset_sequences: bool = False) -> None:
    """Leave the database as migrating has made it."""
    connection.ops.execute_sql_flush(_statements(connection.vendor, reset_sequences))


@cache
def _statements(vendor: str, reset_sequences: bool) -> list[str]:
    found = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [table for table in found if table not in CONSTANT]
    if vendor != "postgresql":
        return connection.ops.sql_flush(no_style(), tables, reset_sequences=reset_sequences)
    return _on_postgresql(connection, tables, reset_sequences=reset_sequences)


def _on_postgresql(
    connection: BaseDatabaseWrapper, tables: Sequence[str], *, reset_sequences: bool
) -> list[str]:
    """Statements for one transaction that leave these tables without a row.

    Instead of TRUNCATE, which makes the files of every table and index anew: for so few rows that
    takes ten times as long. As TRUNCATE does, they wait for everyone who still reads or writes one
    of the tables. Foreign keys are checked at the end of the transaction.
    """
    quoted = [connection.ops.quote_name(table) for table in tables]
    locked = f"LOCK TABLE {', '.join(quoted)} IN ACCESS EXCLUSIVE MODE"
    statements = ["; ".join([locked, *(f"DELETE FROM {table}" for table in quoted)])]
    if reset_sequences:
        sequences = connection.introspection.sequence_list()
        wanted = [one for one in sequences if one["table"] in tables]
        statements += connection.ops.sequence_reset_by_name_sql(no_style(), wanted)
    return statements

"""A number that grows with every row written: SQLite has one, elsewhere it is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

READING = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK")  # what writes nothing begins with one


class RowsWritten:
    def __init__(self) -> None:
        self._counted = 0

    def __call__(self) -> int:
        if connection.vendor == "sqlite":
            return connection.connection.total_changes
        return self._counted

    @contextmanager
    def counted(self) -> Iterator[None]:
        if connection.vendor == "sqlite":
            yield
            return
        with connection.execute_wrapper(self._count):
            yield

    def _count(
        self, execute: Callable[..., Any], sql: str, parameters: Any, many: bool, context: Any
    ) -> Any:
        """A statement that does not say how many rows it has written counts as one."""
        answer = execute(sql, parameters, many, context)
        if not sql.lstrip().startswith(READING):
            self._counted += abs(context["cursor"].rowcount)
        return answer

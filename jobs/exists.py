"""Many "is there any row?" questions in one query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet


class Exist:
    """Whether there are such rows, for many kinds of row at once, in one query.

    Its SQL is composed only the first time, because that takes far longer than to execute it.
    """

    def __init__(self, *questions: tuple[str, Sequence[Any]]) -> None:
        self.sql = f"SELECT {', '.join(f'EXISTS ({sql})' for sql, _ in questions)}"
        self.parameters = [parameter for _, some in questions for parameter in some]

    def __call__(self, now: datetime) -> list[bool]:
        adapt = connection.ops.adapt_datetimefield_value
        parameters = [
            adapt(now + one) if isinstance(one, timedelta) else one for one in self.parameters
        ]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, parameters)
            return [bool(found) for found in cursor.fetchone()]


@cache
def composed(of: Callable[[datetime], QuerySet[Any]]) -> tuple[str, list[Any]]:
    """The SQL of these rows and its parameters, in which a moment is a distance from now."""
    (sql, first), (_, second) = (
        of(moment).order_by().values("pk").query.sql_with_params() for moment in MOMENTS
    )
    return sql, [
        _moment(one) - MOMENTS[0] if one != other else one
        for one, other in zip(first, second, strict=True)
    ]


MOMENTS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2000, 1, 2, tzinfo=UTC)  # any two


def _moment(parameter: datetime | str) -> datetime:
    """A moment as the driver gets it: on SQLite as text."""
    return (
        datetime.fromisoformat(parameter).replace(tzinfo=UTC)
        if isinstance(parameter, str)
        else parameter
    )

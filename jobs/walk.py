"""Many rows, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)

CHUNK = 500  # rows in memory at once
KEYS = 20_000  # and keys of rows


def walk(rows: QuerySet[M], *, chunk: int = CHUNK, keys: int = KEYS) -> Iterator[M]:
    """All rows in the order of their keys, with few in memory.

    No cursor or transaction is open between two of them.

    Keys are read many at a time, so that it stays fast where the database has to look through the
    whole table for them. A row that has left the selection meanwhile is passed over.
    """
    ordered = rows.order_by("pk")
    read = list(ordered.values_list("pk", flat=True)[:keys])
    while read:
        for at in range(0, len(read), chunk):
            yield from ordered.filter(pk__in=read[at : at + chunk])
        read = list(ordered.filter(pk__gt=read[-1]).values_list("pk", flat=True)[:keys])

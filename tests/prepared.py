"""What a worker asks before each pass, planned once a connection.

PostgreSQL takes ten times as long to plan its thirty questions as to answer them, and tests have
workers pass more often than anything else: this was an eighth of their time. The same statement is
asked, with the same parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

from django.db.backends.postgresql.base import Cursor
from psycopg import Connection

ASKED = "SELECT EXISTS (SELECT 1 FROM jobs_heartbeat"


@contextmanager
def what_is_due() -> Iterator[None]:
    names: WeakKeyDictionary[Connection[Any], dict[str, str]] = WeakKeyDictionary()
    execute = Cursor.execute

    def prepared(cursor: Any, query: str, parameters: Any = None, **options: Any) -> Any:
        if isinstance(query, str) and query.startswith(ASKED):
            known = names.setdefault(cursor.connection, {})
            if query not in known:
                name = f"what_is_due_{len(known)}"
                execute(cursor, f"PREPARE {name} AS {numbered(query)}")
                known[query] = name
            query = f"EXECUTE {known[query]} ({', '.join(['%s'] * len(parameters))})"
        return execute(cursor, query, parameters, **options)

    with patch.object(Cursor, "execute", prepared):
        yield


def numbered(query: str) -> str:
    """With the placeholders of PREPARE in place of the driver's."""
    numbers = count(1)
    return re.sub(
        "%s|%%", lambda found: found[0][1] if found[0] == "%%" else f"${next(numbers)}", query
    )

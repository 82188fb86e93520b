"""Tables in memory with write-through to one SQLite file.

Memory is what the sandbox works on; the file only serves a restart. Every changed row is written as
JSON in one transaction when the request or tick that changed it ends, so a kill at any instant
leaves whole requests behind.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from metronome_sandbox.kit.records import Record

R = TypeVar("R", bound=Record)


def _tag(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"$sandbox.at": value.isoformat()}
    if isinstance(value, Decimal):
        return {"$sandbox.number": str(value)}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"a record cannot hold {type(value).__name__}")


def _untag(value: dict[str, Any]) -> Any:
    if "$sandbox.at" in value and len(value) == 1:
        return datetime.fromisoformat(value["$sandbox.at"])
    if "$sandbox.number" in value and len(value) == 1:
        return Decimal(value["$sandbox.number"])
    return value


@cache
def _parts(kind: type[Record]) -> dict[str, type]:
    """The fields of a record that hold lists of small dataclasses."""
    parts: dict[str, type] = {}
    for name, hint in get_type_hints(kind).items():
        for candidate in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
            inner = get_args(candidate)
            if get_origin(candidate) is list and is_dataclass(inner[0]):
                parts[name] = cast(type, inner[0])
    return parts


def encode(record: Record) -> str:
    return json.dumps(_tag(record), default=_tag, separators=(",", ":"))


def decode(cls: type[R], text: str) -> R:
    row = json.loads(text, object_hook=_untag)
    for name, part in _parts(cast(Any, cls)).items():
        row[name] = [part(**item) for item in row[name]]
    return cls(**row)


class Table(Generic[R]):
    """Rows by id in order of creation. A row changed in place must be handed to `put` again."""

    def __init__(self, store: "Store", kind: type[R], name: str = "") -> None:
        """In the file rows stand under the name of their class, or the name given."""
        self.kind = kind
        self.name = name or kind.__name__
        self.rows: dict[str, R] = {}
        self._by_customer: dict[str, list[R]] = {}
        self._store = store

    def put(self, row: R) -> R:
        if not row.seq:
            self._store.seq += 1
            row.seq = self._store.seq
            self.load(row)
        else:
            self.rows[row.id] = row
        if self._store.db is not None:
            self._store.dirty[(self.name, row.id)] = row
        return row

    def load(self, row: R) -> None:
        self.rows[row.id] = row
        customer_id = getattr(row, "customer_id", None)
        if customer_id is not None:
            self._by_customer.setdefault(customer_id, []).append(row)

    def of_customer(self, customer_id: str) -> list[R]:
        """Rows of one customer in order of creation."""
        return self._by_customer.get(customer_id, [])

    def clear(self) -> None:
        self.rows.clear()
        self._by_customer.clear()

    def remove(self, row_id: str) -> None:
        row = self.rows.pop(row_id, None)
        if row is None:
            return
        customer_id = getattr(row, "customer_id", None)
        if customer_id is not None:
            kept = [one for one in self._by_customer[customer_id] if one is not row]
            self._by_customer[customer_id] = kept
        if self._store.db is not None:
            self._store.dirty[(self.name, row_id)] = None

    def get(self, row_id: str) -> R | None:
        return self.rows.get(row_id)

    def __getitem__(self, row_id: str) -> R:
        return self.rows[row_id]

    def __iter__(self) -> Iterator[R]:
        return iter(list(self.rows.values()))

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, row_id: object) -> bool:
        return row_id in self.rows


class Store:
    """All tables of a sandbox: a subclass makes them, then calls `open`."""

    def __init__(self) -> None:
        self.seq = 0
        self.dirty: dict[tuple[str, str], Record | None] = {}
        self.db: sqlite3.Connection | None = None

    def tables(self) -> dict[str, Table[Any]]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Table)}

    def open(self, path: str | Path) -> None:
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS row"
            " (kind TEXT, id TEXT, seq INTEGER, body TEXT, PRIMARY KEY (kind, id))"
        )
        by_kind = {table.name: table for table in self.tables().values()}
        for kind, body in self.db.execute("SELECT kind, body FROM row ORDER BY seq"):
            row = decode(by_kind[kind].kind, body)
            by_kind[kind].load(row)
            self.seq = max(self.seq, row.seq)

    def flush(self) -> None:
        """Write what changed since the last flush, all or nothing."""
        if self.db is None or not self.dirty:
            return
        gone = [key for key, row in self.dirty.items() if row is None]
        kept = [
            (kind, row_id, row.seq, encode(row))
            for (kind, row_id), row in self.dirty.items()
            if row is not None
        ]
        with self.db:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany("DELETE FROM row WHERE kind = ? AND id = ?", gone)
            self.db.executemany(
                "INSERT OR REPLACE INTO row (kind, id, seq, body) VALUES (?, ?, ?, ?)", kept
            )
        self.dirty.clear()

    def clear(self) -> None:
        for table in self.tables().values():
            table.clear()
        self.dirty.clear()
        if self.db is not None:
            self.db.execute("DELETE FROM row")

    def close(self) -> None:
        if self.db is not None:
            self.flush()
            self.db.close()
            self.db = None

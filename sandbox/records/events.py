"""Usage as it came in, what is due when, and what must not be done twice."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.records.base import Record


@dataclass(kw_only=True, slots=True)
class Event(Record):
    """A usage event; id is its transaction_id."""

    subject: str  # customer id or ingest alias, as sent
    event_type: str
    timestamp: datetime
    received_at: datetime
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Due(Record):
    """Something the sandbox does by itself at a moment."""

    at: datetime
    kind: str
    ref: str
    detail: str = ""


@dataclass(kw_only=True)
class Taken(Record):  # id is `<scope>:<uniqueness key>`
    owner_id: str


@dataclass(kw_only=True)
class Reply(Record):
    """A stored answer for an Idempotency-Key; id is `<path> <key>`."""

    fingerprint: str
    status: int
    body: str
    created_at: datetime

"""Usage as it came in, what is due when, and what must not be done twice."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metronome_sandbox.records.base import Record


@dataclass(kw_only=True, slots=True)
class Event(Record):
    """A usage event; id is its transaction_id."""

    subject: str  # customer id or ingest alias, as sent
    event_type: str
    timestamp: datetime
    received_at: datetime
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class Taken(Record):  # id is `<scope>:<uniqueness key>`
    owner_id: str

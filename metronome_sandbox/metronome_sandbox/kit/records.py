"""What every record has, and the one record that all sandboxes keep."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(kw_only=True)
class Record:
    id: str
    seq: int = 0  # order of creation, given by the store


@dataclass(kw_only=True)
class Delivery(Record):
    url: str
    body: str
    created_at: datetime
    about: str = ""  # the id of the event it carries, where events have one
    attempts: int = 0
    status: int | None = None
    sent_at: datetime | None = None
    next_attempt_at: datetime | None = None  # None: accepted, given up or dropped
    note: str = ""


@dataclass(kw_only=True)
class Due(Record):
    """Something a sandbox does by itself at a moment."""

    at: datetime
    kind: str
    ref: str
    detail: str = ""


@dataclass(kw_only=True)
class Reply(Record):
    """A stored answer for an idempotency key."""

    fingerprint: str
    status: int
    body: str
    created_at: datetime
    origin: str = ""  # the id of the request that was answered first, where requests have one


@dataclass(kw_only=True)
class Switch(Record):
    """id is the name of something that is set; value says what it is set to."""

    value: Any = None

"""Alerts and notifications, and the webhooks they are delivered in."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.records.base import Record


@dataclass(kw_only=True)
class Alert(Record):
    name: str
    alert_type: str
    threshold: Decimal
    credit_type_id: str
    updated_at: datetime
    customer_id: str | None = None
    billable_metric_id: str | None = None
    custom_field_filters: list[dict[str, Any]] = field(default_factory=list)
    uniqueness_key: str | None = None
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class AlertState(Record):
    """id is `<alert>:<customer>`."""

    status: str  # ok, in_alarm or evaluating
    triggered_by: str | None = None


@dataclass(kw_only=True)
class OffsetNotification(Record):
    name: str
    type: str
    offset: str
    created_at: datetime
    uniqueness_key: str | None = None
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class Switch(Record):
    """id is a system notification type, or a setting's name; value says what it is set to."""

    value: Any = None


@dataclass(kw_only=True)
class Delivery(Record):
    url: str
    body: str
    created_at: datetime
    attempts: int = 0
    status: int | None = None
    sent_at: datetime | None = None
    next_attempt_at: datetime | None = None  # None: accepted, given up or dropped
    note: str = ""

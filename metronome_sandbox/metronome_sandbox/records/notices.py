"""Alerts and notifications, and the webhooks they are delivered in."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox.records.base import Record


@dataclass(kw_only=True)
class Alert(Record):
    name: str
    alert_type: str
    threshold: Decimal
    credit_type_id: str
    updated_at: datetime
    any_unit: bool = False  # an alert by days for which no unit was named
    customer_id: str | None = None
    billable_metric_id: str | None = None
    custom_field_filters: list[dict[str, Any]] = field(default_factory=list)
    alert_specifiers: list[dict[str, Any]] = field(default_factory=list)
    group_values: list[dict[str, Any]] = field(default_factory=list)
    uniqueness_key: str | None = None
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class AlertState(Record):
    """id is `<alert>:<customer>`, and `:<value>` behind it for one value of the alert's key."""

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

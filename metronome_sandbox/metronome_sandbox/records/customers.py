"""Customers and what is kept with them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from metronome_sandbox.records.base import Record


@dataclass(kw_only=True)
class Customer(Record):
    name: str
    created_at: datetime
    updated_at: datetime
    ingest_aliases: list[str] = field(default_factory=list)
    custom_fields: dict[str, str] = field(default_factory=dict)
    salesforce_account_id: str | None = None
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class BillingConfiguration(Record):
    customer_id: str
    detail: dict[str, Any]
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class CustomFieldKey(Record):
    """id is `<entity>:<key>`."""

    entity: str
    key: str
    enforce_uniqueness: bool = False

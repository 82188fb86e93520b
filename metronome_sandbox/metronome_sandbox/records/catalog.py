"""What can be sold: units, metrics, products and their rates."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox.records.base import USD_ID, Record


@dataclass(kw_only=True)
class CreditType(Record):
    name: str
    is_currency: bool = False
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class Metric(Record):
    name: str
    created_at: datetime
    aggregation_type: str = "COUNT"
    aggregation_key: str | None = None
    event_type_filter: dict[str, Any] | None = None
    property_filters: list[dict[str, Any]] = field(default_factory=list)
    group_keys: list[list[str]] = field(default_factory=list)
    custom_fields: dict[str, str] = field(default_factory=dict)
    archived_at: datetime | None = None

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Every property usage of this metric can be split by, each once,
        in order of first mention."""
        return tuple(dict.fromkeys(key for keys in self.group_keys for key in keys))


@dataclass(kw_only=True)
class Product(Record):
    type: str
    initial: dict[str, Any]
    current: dict[str, Any]
    created_at: datetime
    updates: list[dict[str, Any]] = field(default_factory=list)
    custom_fields: dict[str, str] = field(default_factory=dict)
    archived_at: datetime | None = None

    @property
    def name(self) -> str:
        return str(self.current["name"])

    def at(self, moment: datetime) -> dict[str, Any]:
        """What it is at a moment, by the updates in effect then. Not to be changed."""
        if not self.updates:
            return self.initial
        state = dict(self.initial)
        for update in sorted(self.updates, key=lambda one: one["starting_at"]):
            if update["starting_at"] <= moment:
                state |= update
        return state

    def tags(self, moment: datetime) -> set[str]:
        return set(self.at(moment).get("tags") or ())


@dataclass(kw_only=True)
class RateCard(Record):
    name: str
    created_at: datetime
    description: str | None = None
    fiat_credit_type_id: str = USD_ID
    # Custom unit id -> fiat for one of it.
    conversions: dict[str, Decimal] = field(default_factory=dict)
    aliases: list[dict[str, Any]] = field(default_factory=list)
    custom_fields: dict[str, str] = field(default_factory=dict)
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class Package(Record):
    """Terms for contracts, in times relative to their start."""

    name: str
    created_at: datetime
    terms: dict[str, Any]  # as they were given, each commit, credit and override with an `id`
    aliases: list[dict[str, Any]] = field(default_factory=list)
    uniqueness_key: str | None = None
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class Rate(Record):
    rate_card_id: str
    product_id: str
    rate_type: str
    entitled: bool
    starting_at: datetime
    credit_type_id: str
    price: Decimal = Decimal(0)
    tiers: list[dict[str, Any]] = field(default_factory=list)
    # What commits of rate type COMMIT_RATE pay: {rate_type, price or tiers}, in the same unit.
    commit_rate: dict[str, Any] | None = None
    pricing_group_values: dict[str, str] = field(default_factory=dict)
    billing_frequency: str | None = None  # of a SUBSCRIPTION product only
    ending_before: datetime | None = None

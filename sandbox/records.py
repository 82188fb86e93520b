"""What the sandbox remembers: one dataclass per noun, plain data only. The rules live in the module
of each noun.

Amounts are exact decimals. A unit is a credit type: US dollars count in cents, a custom pricing
unit in itself.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

USD_ID = "2714e483-4ff1-48e4-9e25-ac732e8f24f2"
DEFAULT_CREDIT_TYPE_ID = "8b1f0a52-6f0f-4f7e-9d5e-3f0c1c8a7b11"
CREATED_BY = "sandbox"


@dataclass(kw_only=True)
class Record:
    id: str
    seq: int = 0  # order of creation, given by the store


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
class Rate(Record):
    rate_card_id: str
    product_id: str
    rate_type: str
    entitled: bool
    starting_at: datetime
    credit_type_id: str
    price: Decimal = Decimal(0)
    tiers: list[dict[str, Any]] = field(default_factory=list)
    pricing_group_values: dict[str, str] = field(default_factory=dict)
    ending_before: datetime | None = None


@dataclass(kw_only=True)
class Contract(Record):
    customer_id: str
    starting_at: datetime
    created_at: datetime
    name: str | None = None
    rate_card_id: str | None = None
    ending_before: datetime | None = None
    frequency: str = "MONTHLY"
    anchor_at: datetime  # billing periods are counted from here
    threshold: dict[str, Any] | None = None
    overrides: list[dict[str, Any]] = field(default_factory=list)
    transitions: list[dict[str, Any]] = field(default_factory=list)
    # Starts of the periods with a final usage invoice.
    frozen_periods: list[datetime] = field(default_factory=list)
    custom_fields: dict[str, str] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)  # fields that are only read back
    uniqueness_key: str | None = None
    archived_at: datetime | None = None


@dataclass(kw_only=True)
class Segment:
    id: str
    amount: Decimal
    starting_at: datetime
    ending_before: datetime


@dataclass(kw_only=True)
class InvoiceItem:
    id: str
    timestamp: datetime
    unit_price: Decimal
    quantity: Decimal
    amount: Decimal
    invoice_id: str | None = None


@dataclass(kw_only=True)
class Deduction:
    """What a final usage invoice took from a segment."""

    segment_id: str
    amount: Decimal
    invoice_id: str
    contract_id: str
    at: datetime


@dataclass(kw_only=True)
class Adjustment:
    """A ledger entry no usage made: by hand, or a rollover."""

    segment_id: str
    amount: Decimal
    at: datetime
    type: str  # MANUAL or ROLLOVER
    reason: str = ""
    new_contract_id: str | None = None


@dataclass(kw_only=True)
class Commit(Record):
    """A prepaid or postpaid commit, or (type CREDIT) a credit: little but the name differs."""

    customer_id: str
    contract_id: str | None = None  # None: belongs to the customer
    type: str
    product_id: str
    created_at: datetime
    credit_type_id: str = USD_ID
    segments: list[Segment] = field(default_factory=list)
    invoice_items: list[InvoiceItem] = field(default_factory=list)
    invoice_credit_type_id: str = USD_ID
    invoice_contract_id: str | None = None
    do_not_invoice: bool = False
    name: str | None = None
    description: str | None = None
    priority: Decimal = Decimal(100)
    rate_type: str = "LIST_RATE"
    rollover_fraction: Decimal | None = None
    applicable_contract_ids: list[str] = field(default_factory=list)
    applicable_product_ids: list[str] = field(default_factory=list)
    applicable_product_tags: list[str] = field(default_factory=list)
    specifiers: list[dict[str, Any]] = field(default_factory=list)
    custom_fields: dict[str, str] = field(default_factory=dict)
    deductions: list[Deduction] = field(default_factory=list)
    adjustments: list[Adjustment] = field(default_factory=list)
    recurring_id: str | None = None
    rolled_over_from: dict[str, str] | None = None
    uniqueness_key: str | None = None
    archived_at: datetime | None = None

    @property
    def is_credit(self) -> bool:
        return self.type == "CREDIT"


@dataclass(kw_only=True)
class Recurring(Record):
    """The template of a recurring commit or credit; its children are ordinary commits."""

    contract_id: str
    customer_id: str
    type: str
    template: dict[str, Any]
    starting_at: datetime
    ending_before: datetime | None = None
    next_at: datetime | None = None  # start of the next child; None: no more


@dataclass(kw_only=True)
class Invoice(Record):
    customer_id: str
    contract_id: str
    type: str  # USAGE or SCHEDULED
    status: str  # DRAFT, FINALIZED or VOID
    created_at: datetime
    credit_type_id: str = USD_ID
    start_at: datetime | None = None
    end_at: datetime | None = None
    issued_at: datetime
    # Of a draft usage invoice: made when read.
    lines: list[dict[str, Any]] = field(default_factory=list)
    total: Decimal = Decimal(0)
    commit_id: str | None = None
    regenerated_from: str | None = None


@dataclass(kw_only=True)
class Workflow(Record):
    """One recharge through an external payment gate."""

    contract_id: str
    customer_id: str
    state: str  # COMMITTING, COMMITTED or CANCELED
    amount: Decimal
    credit_type_id: str
    invoice_id: str
    commit_id: str
    config: dict[str, Any]
    created_at: datetime


@dataclass(kw_only=True)
class Edit(Record):
    contract_id: str
    timestamp: datetime
    detail: dict[str, Any]
    uniqueness_key: str | None = None


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
class Delivery(Record):
    url: str
    body: str
    created_at: datetime
    attempts: int = 0
    status: int | None = None
    sent_at: datetime | None = None
    next_attempt_at: datetime | None = None  # None: accepted, given up or dropped
    note: str = ""


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


@dataclass(kw_only=True)
class CustomFieldKey(Record):
    """id is `<entity>:<key>`."""

    entity: str
    key: str
    enforce_uniqueness: bool = False


@dataclass(kw_only=True)
class BillingConfiguration(Record):
    customer_id: str
    detail: dict[str, Any]
    archived_at: datetime | None = None

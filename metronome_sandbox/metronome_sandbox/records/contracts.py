"""What a customer bought: contracts, commits and credits, and their invoices."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox.records.base import USD_ID, Record


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
    threshold: dict[str, Any] | None = None  # of its prepaid balance
    spend_threshold: dict[str, Any] | None = None
    # With `recharge_on_next_usage`: how many events there were when the balance was found at or
    # under the threshold; None: it is above, -1: the configuration is new.
    crossed_at_event: int | None = -1
    overrides: list[dict[str, Any]] = field(default_factory=list)
    transitions: list[dict[str, Any]] = field(default_factory=list)
    billing_configuration_id: str | None = None
    # Starts of the periods with a final usage invoice.
    frozen_periods: list[datetime] = field(default_factory=list)
    # Where it went on after an end that already had its final usage invoice.
    resumed_at: list[datetime] = field(default_factory=list)
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
    archived_with_contract: bool = False

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
class Fee:
    """What a subscription charges: for a billing period, or for what was added within one."""

    id: str
    name: str
    period_start: datetime
    starting_at: datetime
    ending_before: datetime
    billed_at: datetime  # the date of its invoice
    quantity: Decimal
    list_price: Decimal  # of one, for a whole period
    unit_price: Decimal  # of one, for the time of the fee
    credit_type_id: str
    is_prorated: bool = False
    invoice_id: str | None = None  # None: on the usage invoice that ends at `billed_at`


@dataclass(kw_only=True)
class Subscription(Record):
    """A quantity of something, for a fee per billing period that is collected in advance."""

    customer_id: str
    contract_id: str
    product_id: str
    frequency: str
    created_at: datetime
    starting_at: datetime
    ending_before: datetime | None = None
    anchor_at: datetime  # billing periods are counted from here
    is_prorated: bool
    invoice_behavior: str
    rounding: dict[str, Any] | None = None
    placement: str  # ON_USAGE_INVOICE or ON_SCHEDULED_INVOICE
    # {starting_at, quantity or quantity_delta}, in the order in which they were sent
    quantities: list[dict[str, Any]] = field(default_factory=list)
    fees: list[Fee] = field(default_factory=list)
    name: str | None = None
    description: str | None = None
    custom_fields: dict[str, str] = field(default_factory=dict)


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
    # Of a final usage invoice, for its breakdowns (`settled_draws`).
    draws: list[dict[str, Any]] = field(default_factory=list)
    total: Decimal = Decimal(0)
    commit_id: str | None = None  # of the purchase it is for; None: usage, fees of subscriptions
    regenerated_from: str | None = None


@dataclass(kw_only=True)
class Workflow(Record):
    """One recharge or charge of a spend threshold, or (not `is_recharge`) one commit of an edit,
    through a payment gate."""

    contract_id: str
    customer_id: str
    state: str  # COMMITTING, COMMITTED or CANCELED
    amount: Decimal
    credit_type_id: str
    invoice_id: str
    commit_id: str
    config: dict[str, Any]
    created_at: datetime
    is_recharge: bool = True
    intent: str = ""  # the payment intent, if Metronome charges it through Stripe
    covers_from: datetime | None = None  # of a spend threshold: its commit pays usage from then on

    @property
    def is_spend(self) -> bool:
        return self.covers_from is not None


@dataclass(kw_only=True)
class Edit(Record):
    contract_id: str
    timestamp: datetime
    detail: dict[str, Any]
    uniqueness_key: str | None = None

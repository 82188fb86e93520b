"""What the sandbox remembers: one dataclass per noun, plain data only.

The rules live in the module of each noun. Amounts are exact decimals. A unit is a credit type: US
dollars count in cents, a custom pricing unit in itself.
"""

from metronome_sandbox.kit.records import Delivery, Due, Reply, Switch
from metronome_sandbox.records.base import CREATED_BY, DEFAULT_CREDIT_TYPE_ID, USD_ID, Record
from metronome_sandbox.records.catalog import CreditType, Metric, Package, Product, Rate, RateCard
from metronome_sandbox.records.contracts import (
    Adjustment,
    Commit,
    Contract,
    Deduction,
    Edit,
    Fee,
    Invoice,
    InvoiceItem,
    Recurring,
    Segment,
    Subscription,
    Workflow,
)
from metronome_sandbox.records.customers import BillingConfiguration, Customer, CustomFieldKey
from metronome_sandbox.records.events import Event, Taken
from metronome_sandbox.records.notices import Alert, AlertState, OffsetNotification

__all__ = [
    "Adjustment",
    "Alert",
    "AlertState",
    "BillingConfiguration",
    "CREATED_BY",
    "Commit",
    "Contract",
    "CreditType",
    "CustomFieldKey",
    "Customer",
    "DEFAULT_CREDIT_TYPE_ID",
    "Deduction",
    "Delivery",
    "Due",
    "Edit",
    "Event",
    "Fee",
    "Invoice",
    "InvoiceItem",
    "Metric",
    "OffsetNotification",
    "Package",
    "Product",
    "Rate",
    "RateCard",
    "Record",
    "Recurring",
    "Reply",
    "Segment",
    "Subscription",
    "Switch",
    "Taken",
    "USD_ID",
    "Workflow",
]

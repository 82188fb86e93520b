"""What the sandbox remembers: one dataclass per noun, plain data only.

The rules live in the module of each noun. Amounts are exact decimals. A unit is a credit type: US
dollars count in cents, a custom pricing unit in itself.
"""

from sandbox.records.base import CREATED_BY, DEFAULT_CREDIT_TYPE_ID, USD_ID, Record
from sandbox.records.catalog import CreditType, Metric, Product, Rate, RateCard
from sandbox.records.contracts import (
    Adjustment,
    Commit,
    Contract,
    Deduction,
    Edit,
    Invoice,
    InvoiceItem,
    Recurring,
    Segment,
    Workflow,
)
from sandbox.records.customers import BillingConfiguration, Customer, CustomFieldKey
from sandbox.records.events import Event, Taken
from sandbox.records.notices import Alert, AlertState, OffsetNotification
from sandbox_kit.records import Delivery, Due, Reply, Switch

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
    "Invoice",
    "InvoiceItem",
    "Metric",
    "OffsetNotification",
    "Product",
    "Rate",
    "RateCard",
    "Record",
    "Recurring",
    "Reply",
    "Segment",
    "Switch",
    "Taken",
    "USD_ID",
    "Workflow",
]

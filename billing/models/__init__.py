"""The models of billing: fields, constraints, and facts about one row.

Only `billing.ledger` writes Wallet, LedgerEntry, Reservation, CreditGrant and KeyBudget. Credits
and cents are integers, datetimes are UTC.
"""

from .attempts import PaymentAttempt
from .cards import CardSetup, GatewayCustomer, GatewayRemoval
from .contracts import Contract, Subscription
from .invoices import BillingProfile, Invoice, InvoiceReading, Paper
from .money_back import Dispute, PaymentAlert, Refund
from .payments import ComplimentaryGrant, Payment, PaymentMethod
from .purchases import Purchase
from .recharges import AutoRecharge, Recharge
from .trials import TrialClaim
from .wallets import CreditGrant, Drift, KeyBudget, LedgerEntry, Reservation, Wallet
from .webhooks import EventSweep, InboundWebhook

__all__ = [
    "AutoRecharge",
    "BillingProfile",
    "CardSetup",
    "ComplimentaryGrant",
    "Contract",
    "CreditGrant",
    "Dispute",
    "Drift",
    "EventSweep",
    "GatewayCustomer",
    "GatewayRemoval",
    "InboundWebhook",
    "Invoice",
    "InvoiceReading",
    "KeyBudget",
    "LedgerEntry",
    "Paper",
    "Payment",
    "PaymentAlert",
    "PaymentAttempt",
    "PaymentMethod",
    "Purchase",
    "Recharge",
    "Refund",
    "Reservation",
    "Subscription",
    "TrialClaim",
    "Wallet",
]

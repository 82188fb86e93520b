"""What the customer may spend, and what Vocalis, Metronome and the payment provider owe each other.

Rows only: fields, constraints, and facts about one row. `billing.ledger` alone writes Wallet,
LedgerEntry, Reservation and CreditGrant. Credits and cents are integers; a datetime is UTC.
"""

from .contracts import Contract, Subscription
from .payments import ChargeAtTestGateway, ComplimentaryGrant, Payment, PaymentMethod
from .recharges import AutoRecharge, Recharge
from .wallets import CreditGrant, Drift, LedgerEntry, Reservation, Wallet
from .webhooks import InboundWebhook

__all__ = [
    "AutoRecharge",
    "ChargeAtTestGateway",
    "ComplimentaryGrant",
    "Contract",
    "CreditGrant",
    "Drift",
    "InboundWebhook",
    "LedgerEntry",
    "Payment",
    "PaymentMethod",
    "Recharge",
    "Reservation",
    "Subscription",
    "Wallet",
]

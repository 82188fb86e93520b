"""The models of billing: fields, constraints, and facts about one row.

Only `billing.ledger` writes Wallet, LedgerEntry, Reservation, CreditGrant and KeyBudget. Credits
and cents are integers, datetimes are UTC.
"""

from .attempts import PaymentAttempt
from .cards import CardSetup, GatewayCustomer, GatewayRemoval
from .contracts import Contract, Subscription
from .payments import ChargeAtTestGateway, ComplimentaryGrant, Payment, PaymentMethod
from .purchases import Purchase
from .recharges import AutoRecharge, Recharge
from .trials import TrialClaim
from .wallets import CreditGrant, Drift, KeyBudget, LedgerEntry, Reservation, Wallet
from .webhooks import EventSweep, InboundWebhook

__all__ = [
    "AutoRecharge",
    "CardSetup",
    "ChargeAtTestGateway",
    "ComplimentaryGrant",
    "Contract",
    "CreditGrant",
    "Drift",
    "EventSweep",
    "GatewayCustomer",
    "GatewayRemoval",
    "InboundWebhook",
    "KeyBudget",
    "LedgerEntry",
    "Payment",
    "PaymentAttempt",
    "PaymentMethod",
    "Purchase",
    "Recharge",
    "Reservation",
    "Subscription",
    "TrialClaim",
    "Wallet",
]

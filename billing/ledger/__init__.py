"""Wallets, reservations, ledger entries and grants: the only code that writes these rows.

Spending has two phases. `reserve` sets credits aside. The reservation is then resolved exactly
once: captured (all or part of it; the rest becomes available again), released, or expired.
A capture of reserved credits never fails for lack of credits.

Invariants. The database enforces the first by constraint; tests check the others.

- 0 <= reserved <= balance
- balance = sum of the wallet's entries
- reserved = sum of the wallet's open reservations
- an API key's `held` = sum of its open reservations; spent + held <= its limit
- sum of `remaining` over the wallet's started grants <= balance

Transactions and locks. Each function runs in one transaction, or joins the caller's. Functions
that change grants first call `sql.lock_wallet_grants`, so changes to one wallet's grants are
serialised. Reserving and releasing do not take that lock. The wallet's row is always the last one
locked, and an API key's budget the one before it, so that a busy wallet is locked for two
statements only: callers write their own rows first.

This is the hot path, hence SQL instead of the ORM. `make bench ARGS=gate` compares it with the
bare database driver. Nothing here notifies the event streams: after a change, the caller calls
`billing.live.wake.wake` once.
"""

from . import acknowledgement, budgets, drawdown, entries, grants, reductions, reservations, sql
from .acknowledgement import (
    BALANCE_LAG_SECONDS,
    acknowledge,
    in_flight,
    version_and_in_flight,
)
from .budgets import Budget, BudgetExceeded, set_budget
from .entries import RESERVATION_SECONDS
from .freezing import set_frozen
from .grants import SEGMENT_FIELDS, Segment, adjust, expire_ended, record_grant, start_or_end_grant
from .history import Change, Outlook, changes, outlook
from .outcomes import AlreadyResolved, InsufficientCredits, KeyReused, Reserved, Spend, WalletFrozen
from .reductions import NotLeft, reduce, restore, unreserved
from .reservations import (
    capture,
    expire_reservations,
    release,
    renew,
    reserve,
    spend_all,
    wallet_of,
)
from .spendable import Spendable, is_on_hold, spendable

__all__ = [
    "BALANCE_LAG_SECONDS",
    "RESERVATION_SECONDS",
    "SEGMENT_FIELDS",
    "AlreadyResolved",
    "Budget",
    "BudgetExceeded",
    "Change",
    "InsufficientCredits",
    "KeyReused",
    "NotLeft",
    "Outlook",
    "Reserved",
    "Segment",
    "Spend",
    "Spendable",
    "WalletFrozen",
    "acknowledge",
    "acknowledgement",
    "adjust",
    "budgets",
    "capture",
    "changes",
    "drawdown",
    "entries",
    "expire_ended",
    "expire_reservations",
    "grants",
    "in_flight",
    "is_on_hold",
    "outlook",
    "record_grant",
    "reduce",
    "reductions",
    "release",
    "renew",
    "reservations",
    "reserve",
    "restore",
    "set_budget",
    "set_frozen",
    "spend_all",
    "spendable",
    "sql",
    "start_or_end_grant",
    "unreserved",
    "version_and_in_flight",
    "wallet_of",
]

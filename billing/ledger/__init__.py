"""The only writer of wallets, reservations, ledger entries and grants.

Model, in the terms of two-phase transfers: `reserve` holds credits, and a hold resolves exactly once: captured (all or
part, the rest returns), released, or expired. What `reserve` accepted, `capture` cannot fail to take.

Invariants, by database constraint where the database can say it: 0 <= reserved <= balance; balance = sum of entries;
reserved = sum of open reservations; what started grants have remaining is never more than the balance.

Every function is one transaction, or joins the caller's. Those that touch grants take turns, wallet by wallet, and so read
no grant that another is changing; reserving and giving back need no turn. The wallet's row is the last lock of all, so a hot
wallet is held for two statements; a caller that writes rows of its own writes them first. SQL instead of the ORM because this is the
hot path; `make bench ARGS=gate` shows what Django still costs beside the bare driver. Callers wake the streams themselves,
with `billing.live.wake` (one call after commit), which is why nothing here does.
"""

from . import drawdown, entries, grants, reservations, sql
from .entries import RESERVATION_SECONDS
from .grants import SEGMENT_FIELDS, Segment, adjust, expire_ended, record_grant, start_or_end_grant
from .reservations import (
    SETTLING_SECONDS,
    AlreadyResolved,
    InsufficientCredits,
    KeyReused,
    Reserved,
    Spend,
    WalletFrozen,
    acknowledge,
    capture,
    expire_reservations,
    in_flight,
    release,
    reserve,
    set_frozen,
    spend_all,
    version_and_in_flight,
    wallet_of,
)

__all__ = [
    "RESERVATION_SECONDS", "SEGMENT_FIELDS", "SETTLING_SECONDS", "AlreadyResolved", "Reserved", "InsufficientCredits",
    "KeyReused", "Segment", "Spend", "WalletFrozen", "acknowledge", "adjust", "capture", "drawdown", "entries",
    "expire_ended", "expire_reservations", "grants", "reservations", "in_flight", "record_grant", "release", "reserve",
    "set_frozen", "spend_all", "sql", "start_or_end_grant", "version_and_in_flight", "wallet_of",
]  # fmt: skip

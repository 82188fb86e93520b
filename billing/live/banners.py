"""The banner of a customer, on every page and on the event stream.

Banners about the balance are left out once there are credits again, wherever these came from, and
those that offer what would be refused while credits are on hold.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import F
from django.utils import timezone

from accounts.models import Customer
from billing.models import Wallet
from notifications import banners
from notifications.banners import Shown
from notifications.models import Banner

# They offer credits, plans or recharges, none of which is sold for a wallet that is on hold.
OFFERS = (
    "balance.low",
    "balance.depleted",
    "plan.ended",
    "trial.ends_soon",
    "renewal.declined",
    "recharge.declined",
)


def feed(wallet_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """The most urgent banner by wallet, read by one query. For `billing.live.feeds`."""
    rows: Any = banners.open_ones(timezone.now()).filter(customer__wallet__in=wallet_ids)
    names = {"wallet": "id", "balance": "balance", "at": "frozen_at", "by": "frozen_by"}
    wallets = {name: F(f"customer__wallet__{column}") for name, column in names.items()}
    found: dict[int, dict[str, Any]] = {}
    for row in rows.annotate(**wallets):
        if row.wallet in found:
            continue
        hold = Wallet(frozen_at=row.at, frozen_by=row.by).hold
        if _holds(row, row.balance, hold):
            found[row.wallet] = banners.shown(row).as_json()
    return found


def of(customer: Customer, balance: int, hold: str) -> Shown | None:
    """The most urgent banner of a customer with that balance, held by `hold` (`Wallet.hold`)."""
    rows = banners.open_ones(timezone.now()).filter(customer=customer)
    return next((banners.shown(row) for row in rows if _holds(row, balance, hold)), None)


def _holds(row: Banner, balance: int, hold: str) -> bool:
    if hold and row.kind in OFFERS:
        return False
    if row.kind == "balance.depleted":
        return balance == 0
    return row.kind != "balance.low" or balance <= int(row.data.get("level", 0))

"""The banner of a customer, on every page and on the event stream.

Banners about the balance are left out once there are credits again, wherever these came from.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import F
from django.utils import timezone

from accounts.models import Customer
from notifications import banners
from notifications.banners import Shown
from notifications.models import Banner


def feed(wallet_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """The most urgent banner by wallet, read by one query. For `billing.live.feeds`."""
    rows: Any = banners.open_ones(timezone.now()).filter(customer__wallet__in=wallet_ids)
    wallets = {"wallet": F("customer__wallet__id"), "balance": F("customer__wallet__balance")}
    found: dict[int, dict[str, Any]] = {}
    for row in rows.annotate(**wallets):
        if row.wallet not in found and _holds(row, row.balance):
            found[row.wallet] = banners.shown(row).as_json()
    return found


def of(customer: Customer, balance: int) -> Shown | None:
    """The most urgent banner of a customer with that balance."""
    rows = banners.open_ones(timezone.now()).filter(customer=customer)
    return next((banners.shown(row) for row in rows if _holds(row, balance)), None)


def _holds(row: Banner, balance: int) -> bool:
    if row.kind == "balance.depleted":
        return balance == 0
    return row.kind != "balance.low" or balance <= int(row.data.get("level", 0))

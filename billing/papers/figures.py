"""How the figures of a paper read, as PDF and as a page."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def money(cents: int) -> str:
    """Such as "$1,234.05". Before what is paid back a dash: these letters have no minus sign."""
    sign = "\N{EN DASH}" if cents < 0 else ""
    return f"{sign}${abs(cents) // 100:,}.{abs(cents) % 100:02}"


def price(line: dict[str, Any]) -> str:
    """Of one unit of a line of `Paper.content`; "" if it has none."""
    if not line["unit_price"]:
        return ""
    if line["unit"] == "USD":
        cents = Decimal(line["unit_price"].replace(",", ""))
        is_dollars = cents >= 100 and cents == int(cents)
        return money(int(cents)) if is_dollars else f"{line['unit_price']} ¢"
    return _credits(line["unit_price"])


def amount(line: dict[str, Any]) -> str:
    """What a line of `Paper.content` comes to: money, or credits if it costs none."""
    if line["cents"] is None:
        return _credits(line["credits"])
    return money(line["cents"])


def _credits(number: str) -> str:
    return f"{number} credit" if number == "1" else f"{number} credits"

"""What a customer's credits are made of, as the bar on Billing draws it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing import plans
from billing.models import CreditGrant, Wallet

# Of a priority: what such credits are called, the bar's fill, and the legend's.
KINDS: dict[int, tuple[str, str, str]] = {
    plans.PRIORITY_COMPLIMENTARY: ("Complimentary", "f2", "k2"),
    plans.PRIORITY_PLAN: ("Plan", "f-brand", "k-brand"),
    plans.PRIORITY_PACK: ("Bought", "f4", "k4"),
}
HELD = "Held", "f3", "k3"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the bar: `x` and `width` are of 100."""

    name: str
    fill: str
    key: str
    credits: int
    x: str
    width: str


def parts(wallet: Wallet, grants: Iterable[CreditGrant], now: datetime) -> list[Part]:
    """What can be spent by kind, then what is held, of `grants` in the order they are drawn from.

    What is held is taken from those that go first. Empty if there is nothing.
    """
    held = left = wallet.reserved
    credits: Counter[tuple[str, str, str]] = Counter()
    for grant in grants:
        if grant.starts_at > now:
            continue
        taken = min(left, grant.remaining)
        left -= taken
        kind = KINDS.get(int(grant.priority), KINDS[plans.PRIORITY_COMPLIMENTARY])
        credits[kind] += grant.remaining - taken
    credits[HELD] += held - left
    total = sum(credits.values())
    found, before = [], 0
    for (name, fill, key), count in credits.items():
        if count:
            x, width = 100 * before / total, 100 * count / total
            found.append(Part(name, fill, key, count, f"{x:.2f}", f"{width:.2f}"))
            before += count
    return found

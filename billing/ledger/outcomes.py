"""What reserving and resolving give and raise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class InsufficientCredits(Exception):
    """The wallet has fewer than `needed` credits that are not reserved. Nothing was changed."""

    def __init__(self, *, needed: int, available: int) -> None:
        super().__init__(f"{needed:,} credits needed, {available:,} available")
        self.needed, self.available, self.missing = needed, available, needed - available


class KeyReused(Exception):
    """The key belongs to an existing reservation of another amount."""


class WalletFrozen(Exception):
    """An operator froze the wallet. No credits can be reserved until it is unfrozen."""


class AlreadyResolved(Exception):
    """The reservation is not open. `state` is its state, or "missing" if there is none."""

    def __init__(self, state: str) -> None:
        super().__init__(f"the reservation is {state}")
        self.state = state


@dataclass(frozen=True, slots=True)
class Reserved:
    """A reservation as `reserve` returns it. `capture` and `release` take its id."""

    id: int
    amount: int
    state: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Spend:
    """Final usage of `amount` credits at `at`, which may be long past. The key is used once."""

    key: str
    amount: int
    at: datetime

"""What could be reserved at a moment, without reserving it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Sum

from billing.models import CreditGrant, Wallet


@dataclass(frozen=True, slots=True)
class Spendable:
    """A wallet at one moment, in credits. Ended credits count no more, written off or not."""

    balance: int
    reserved: int
    available: int
    version: int
    is_frozen: bool
    expires: tuple[tuple[datetime, int], ...]  # when how many credits end, soonest first

    @property
    def usable(self) -> int:
        """What can be spent now: nothing of what is on hold."""
        return 0 if self.is_frozen else self.available


def is_on_hold(customer_id: UUID) -> bool:
    """Whether staff or a bank's dispute holds the credits: then nothing is sold or charged."""
    return Wallet.objects.filter(customer_id=customer_id, frozen_at__isnull=False).exists()


def spendable(*, customer_id: UUID, now: datetime) -> Spendable:
    """What the customer could reserve now; nothing without a wallet."""
    wallet = Wallet.objects.filter(customer_id=customer_id).first()
    if wallet is None:
        return Spendable(0, 0, 0, 0, False, ())
    rows = CreditGrant.objects.filter(wallet=wallet, remaining__gt=0, starts_at__lte=now)
    ends = rows.values_list("ends_at").annotate(sum=Sum("remaining")).order_by("ends_at")
    ended = sum(credits for at, credits in ends if at <= now)
    # Reserved credits of an ended grant are kept for their reservation.
    available = max(0, min(wallet.available, wallet.balance - ended - wallet.reserved))
    return Spendable(
        balance=wallet.balance - min(ended, wallet.balance - wallet.reserved),
        reserved=wallet.reserved,
        available=available,
        version=wallet.version,
        is_frozen=wallet.frozen_at is not None,
        expires=tuple((at, credits) for at, credits in ends if at > now),
    )

"""When a customer's grants and balance are next read from Metronome."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from billing.models import Contract

# How often a wallet is read while usage is in flight, credits have just started or ended, or a
# difference is open. A lost webhook delays such a wallet by this much at most.
BUSY_SECONDS = 60
IDLE_SECONDS = 3_600


def run_now(customer_id: UUID, now: datetime) -> None:
    """Read the customer's grants and balance from Metronome as soon as a worker is free."""
    Contract.objects.filter(customer_id=customer_id).exclude(metronome_id=None).run_now(now)


def soon(customer_ids: Iterable[UUID], *, now: datetime) -> None:
    """Have these customers read within BUSY_SECONDS, not within the hour.

    For callers that sent usage, or started or ended credits. A contract due earlier stays so.
    """
    at = now + timedelta(seconds=BUSY_SECONDS)
    Contract.objects.filter(customer_id__in=list(customer_ids)).schedule_by(at)

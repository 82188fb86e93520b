"""When a customer's grants and balance are read from Metronome next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from billing.models import Contract

BUSY_SECONDS = 60  # how soon a wallet with open business is read again: the most a lost webhook costs
IDLE_SECONDS = 3_600


def run_now(customer_id: UUID, now: datetime) -> None:
    """Read the customer's grants and balance from Metronome as soon as a worker is free."""
    Contract.objects.filter(customer_id=customer_id).exclude(metronome_id=None).run_now(now)


def soon(customer_ids: Iterable[UUID], *, now: datetime) -> None:
    """Business has begun (usage was sent, credits began or ended): have these read within BUSY_SECONDS, not the hour."""
    at = now + timedelta(seconds=BUSY_SECONDS)
    Contract.objects.filter(customer_id__in=list(customer_ids)).schedule_by(at)

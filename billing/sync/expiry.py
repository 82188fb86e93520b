"""Jobs for changes that only time causes: grants start and end, and reservations expire."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from billing import ledger
from billing.live.wake import wake
from billing.models import CreditGrant, Reservation
from jobs.worker import BatchJob, RowJob

from . import schedule


def start_or_end(grant: CreditGrant, now: datetime) -> datetime | None:
    """Start or end the grant if that is due. Returns when it is due next, None when it is over."""
    again_at = ledger.start_or_end_grant(grant_id=grant.pk, now=now)
    wake(grant.wallet_id)
    schedule.soon([grant.wallet.customer_id], now=now)  # the balance may be low now
    return again_at


START_OR_END = RowJob("grants.start_or_end", CreditGrant, start_or_end)


def expired(now: datetime) -> QuerySet[Reservation]:
    return Reservation.objects.open().filter(expires_at__lte=now)


def expire(now: datetime) -> int:
    """Release reservations past their end. Needs no lease: the ledger resolves each only once."""
    wallet_ids = ledger.expire_reservations(now=now)
    for wallet_id in set(wallet_ids):
        wake(wallet_id)
    return len(wallet_ids)


EXPIRE = BatchJob("reservations.expire", expired, expire)

"""Time alone changes wallets: grants start and end, and holds that nobody resolved run out."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from billing import ledger
from billing.live.wake import wake
from billing.models import CreditGrant, Reservation
from jobs.worker import RowJob

from . import schedule


def turn(grant: CreditGrant, now: datetime) -> datetime | None:
    again_at = ledger.start_or_end_grant(grant_id=grant.pk, now=now)
    wake(grant.wallet_id)
    schedule.soon([grant.wallet.customer_id], now=now)  # the balance may be low now
    return again_at


EXPIRE = RowJob("grants", CreditGrant, turn)


class ReservationJob:
    """Gives back what holds past their time still hold. No lease: the ledger resolves a hold once, whoever comes."""

    name = "reservations"

    def due(self, now: datetime) -> QuerySet[Reservation]:
        return Reservation.objects.open().filter(expires_at__lte=now)

    def run(self, now: datetime) -> int:
        wallet_ids = ledger.expire_reservations(now=now)
        for wallet_id in set(wallet_ids):
            wake(wallet_id)
        return len(wallet_ids)


RESERVATIONS = ReservationJob()

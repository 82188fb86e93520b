"""Which captured usage Metronome has acknowledged, for comparing balances."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from billing.models import Reservation

from . import sql

# Metronome shows acknowledged usage in its balances within about 15 seconds. Four times that.
BALANCE_LAG_SECONDS = 60
IN_FLIGHT = """
SELECT version,
  (SELECT COALESCE(SUM(captured), 0) FROM billing_reservation
    WHERE wallet_id = %s AND state = 'captured' AND reported_at IS NULL),
  (SELECT COALESCE(SUM(captured), 0) FROM billing_reservation
    WHERE wallet_id = %s AND state = 'captured' AND reported_at > %s)
  FROM billing_wallet WHERE id = %s"""


def acknowledge(*, reservation_ids: Iterable[int], now: datetime) -> None:
    """Record that Metronome acknowledged the usage of these captures.

    Until then their credits may be missing from the balance here and not yet at Metronome.
    """
    rows = Reservation.objects.filter(id__among=list(reservation_ids), reported_at=None)
    rows.update(reported_at=now)


def in_flight(*, wallet_id: int, now: datetime) -> tuple[int, int]:
    """Captured credits that Metronome's balance may not include yet.

    Returns (unacknowledged, recently acknowledged): usage that Metronome has not acknowledged, and
    usage acknowledged less than BALANCE_LAG_SECONDS ago.
    """
    _, unacknowledged, recent = version_and_in_flight(wallet_id=wallet_id, now=now)
    return unacknowledged, recent


def version_and_in_flight(*, wallet_id: int, now: datetime) -> tuple[int, int, int]:
    """The wallet's version and the result of `in_flight`, read in one statement."""
    recently = sql.at(now - timedelta(seconds=BALANCE_LAG_SECONDS))
    version, unacknowledged, recent = sql.one(
        IN_FLIGHT, [wallet_id, wallet_id, recently, wallet_id]
    )
    return version, int(unacknowledged), int(recent)

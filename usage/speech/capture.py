"""Work becomes final: its credits are captured and its usage event is written, or neither."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing import events, ledger
from jobs.models import due
from usage import rollup
from usage.models import UsageEvent


def capture_and_report(
    *,
    customer_id: UUID,
    reservation: ledger.Reserved,
    transaction_id: str,
    event_type: str,
    properties: dict[str, str],
    now: datetime,
    credits: int | None = None,
    used: rollup.With = rollup.IMPORTED,
) -> None:
    """Capture the reservation, or `credits` of it, make its usage event due, and count it by day.

    Call it in the transaction that marks the work done. Raises ledger.AlreadyResolved if the
    reservation has expired; the caller's transaction must then not commit.
    """
    amount = reservation.amount if credits is None else credits
    with transaction.atomic(savepoint=False):
        is_anybody_told = events.is_anybody_told(customer_id)
        UsageEvent.objects.create(
            transaction_id=transaction_id,
            customer_id=customer_id,
            event_type=event_type,
            happened_at=reservation.created_at,
            properties=properties,
            credits=amount,
            reservation_id=reservation.id,
            created_at=now,
            # At once, even for a worker whose clock is a little behind ours.
            **due(reservation.created_at),
        )
        counted = rollup.place(event_type, properties, reservation.created_at, used)
        rollup.add(customer_id, [(counted, rollup.sums(properties, amount, used))])
        ledger.capture(reservation_id=reservation.id, amount=amount, now=now)
        if is_anybody_told:
            events.spent(customer_id, now)

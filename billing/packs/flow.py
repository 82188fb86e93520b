"""One top-up, from the request to the credits.

    requested → charged → granted
        └──(not paid)──→ failed       declined, not confirmed, called off

Every state is a recovery point: a worker that is killed is followed by another one, which goes on
from the row. The grant's key is the purchase, so that it is granted once, and each change of state
is a conditional UPDATE.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing import plans
from billing.live.wake import wake
from billing.models import CreditGrant, Payment, Purchase
from billing.payments import credit_keys
from billing.payments import requests as payments
from billing.sync import contracts
from jobs.errors import Snooze
from jobs.worker import RowJob

State = Purchase.State

# The payment makes the purchase due when it ends. These intervals are for the case that this
# failed.
PAYMENT_CHECK_SECONDS = 30
CONFIRMATION_CHECK_SECONDS = 3_600  # while the payment waits for the customer


def advance(purchase: Purchase, now: datetime) -> datetime | None:
    """Advance the purchase through its states as far as possible now.

    Returns when to try again, None once it is done.
    """
    while True:
        point = purchase.state
        again_at = POINTS[point](purchase, now)
        if purchase.state == point:
            return again_at


def _await_payment(purchase: Purchase, now: datetime) -> datetime | None:
    payment = purchase.payment
    if payment.state == Payment.State.CHARGED:
        _move(purchase, State.CHARGED, charged_at=now)
        return None
    if payment.state == Payment.State.FAILED:
        _move(purchase, State.FAILED, failure=payment.failure, settled_at=now)
        return None
    is_waiting = payment.state in payments.WAITING
    seconds = CONFIRMATION_CHECK_SECONDS if is_waiting else PAYMENT_CHECK_SECONDS
    return now + timedelta(seconds=seconds)


def _grant(purchase: Purchase, now: datetime) -> None:
    """Grant the credits; a customer without a contract gets one."""
    starts_at = purchase.charged_at or now
    grant_id = contracts.grant(
        purchase.customer,
        key=credit_keys.of_pack(purchase.customer_id, purchase.pk),
        name=plans.PACK_GRANT_NAME,
        credits=purchase.credits,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(days=plans.PACK_DAYS),
        priority=plans.PRIORITY_PACK,
        paid_cents=purchase.amount_cents,
        now=now,
    )
    with transaction.atomic():
        _move(purchase, State.GRANTED, grant_id=grant_id, settled_at=now)
        payments.mark_granted(purchase.payment, grant_id=grant_id, now=now)
        wake(CreditGrant.objects.values_list("wallet_id", flat=True).get(pk=grant_id))


def _do_nothing(purchase: Purchase, now: datetime) -> None:
    pass


POINTS: dict[str, Callable[[Purchase, datetime], datetime | None]] = {
    State.REQUESTED: _await_payment,
    State.CHARGED: _grant,
    State.GRANTED: _do_nothing,
    State.FAILED: _do_nothing,
}


def _move(purchase: Purchase, state: str, **fields: Any) -> None:
    moved = Purchase.objects.filter(pk=purchase.pk, state=purchase.state).update(
        state=state, **fields
    )
    if not moved:
        raise Snooze("another worker has moved this purchase on")
    for name, value in ({"state": state} | fields).items():
        setattr(purchase, name, value)


ADVANCE = RowJob("packs.advance", Purchase, advance)

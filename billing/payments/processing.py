"""Payments: money taken always ends as credits or as a refund.

    initiated → charging → charged → (granted: the credits are noted by whoever asked for it, `mark_granted`)
                    │          └──(by `request_refund`)──→ refunding → refunded
                    └──(declined)──→ failed

Every state is a recovery point: a worker killed at any instruction leaves a row from which the next one goes on. Each
outside call is safe to repeat (the charge has our key) and each move is a conditional UPDATE, so that a worker that was
overtaken changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing.models import Payment
from jobs.errors import Rejected, Snooze
from jobs.worker import RowJob

from .cards import card_of
from .gateways import GatewayDeclined, gateway
from .requests import is_waited_for, tell

State = Payment.State

UNGRANTED_LOOK_SECONDS = 3_600  # how often a charged payment is checked for somebody who can still grant its credits


class NeverGranted(Rejected):
    """Something was paid and can no longer be granted: a person grants it by hand or refunds it."""


def advance(payment: Payment, now: datetime) -> datetime | None:
    """Take the payment as far as it goes. Returns when to look at it again."""
    while True:
        point = payment.state
        again_at = POINTS[point](payment, now)
        if payment.state == point:
            return again_at


def _begin(payment: Payment, now: datetime) -> None:
    _move(payment, State.CHARGING)


def _charge(payment: Payment, now: datetime) -> None:
    """Take the money once. What a lost answer hides is looked up first: the card may have changed since."""
    provider, key = gateway(payment.gateway), charge_key(payment)
    try:
        charge = provider.find(key=key)
        if charge is None:
            card = card_of(payment.customer_id)
            if card is None or card.gateway != payment.gateway:
                raise GatewayDeclined("There is no card to charge.")
            charge = provider.charge(
                key=key,
                amount_cents=payment.amount_cents,
                currency=payment.currency,
                method_reference=card.reference,
                description=f"Vocalis {payment.get_kind_display()}",
            )
    except GatewayDeclined as declined:
        _move_and_tell(payment, State.FAILED, now, failure=str(declined), settled_at=now)
    else:
        _move_and_tell(payment, State.CHARGED, now, gateway_reference=charge.reference)


def _await_grant(payment: Payment, now: datetime) -> datetime | None:
    if payment.grant_id:
        return None
    if is_waited_for(payment):
        return now + timedelta(seconds=UNGRANTED_LOOK_SECONDS)
    raise NeverGranted("charged, but what it paid for has ended: grant the credits by hand or refund the payment")


def _refund(payment: Payment, now: datetime) -> None:
    try:
        gateway(payment.gateway).refund(key=charge_key(payment))
    except GatewayDeclined as declined:
        raise Rejected(f"the gateway refuses the refund: {declined}") from declined
    _move(payment, State.REFUNDED, settled_at=now)


def _nothing(payment: Payment, now: datetime) -> None:
    pass


POINTS: dict[str, Callable[[Payment, datetime], datetime | None]] = {
    State.INITIATED: _begin,
    State.CHARGING: _charge,
    State.CHARGED: _await_grant,
    State.FAILED: _nothing,
    State.REFUNDING: _refund,
    State.REFUNDED: _nothing,
}


def charge_key(payment: Payment) -> str:
    """The gateway's idempotency key: made from our own row before the first attempt."""
    return f"vocalis-payment-{payment.pk}"


def _move(payment: Payment, state: str, **fields: Any) -> None:
    moved = Payment.objects.filter(pk=payment.pk, state=payment.state).update(state=state, **fields)
    if not moved:
        raise Snooze("another worker has moved this payment on")
    for name, value in ({"state": state} | fields).items():
        setattr(payment, name, value)


def _move_and_tell(payment: Payment, state: str, now: datetime, **fields: Any) -> None:
    """Move, and have looked at what waits for this payment."""
    with transaction.atomic():
        _move(payment, state, **fields)
        tell(payment, now)


ADVANCE = RowJob("payments.advance", Payment, advance)

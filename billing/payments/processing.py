"""Payments: money taken always ends as credits or as a refund.

    initiated → charging → charged → (done, when `mark_granted` has stored its credits)
                    │  ↑       └──(by `request_refund`)──→ refunding → refunded
                    │  │ another card
                    ├→ requires_action → charged | failed
                    └──(declined)──→ failed

A declined card fails the payment. What follows is up to who asked for it: `subscriptions.renew`
fails a new plan and ends a running one, `recharge.flow` tells Metronome and switches auto-recharge
off.

A payment requires action while the customer's bank wants it confirmed. No money is taken and
nothing is retried in this state. The charge at the gateway is cancelled before another card is
charged (under another key), and before the payment fails.

Every state is a recovery point: if a worker is killed at any instruction, another one resumes from
the row. Each call to the gateway is safe to repeat (the charge has our key), and each change of
state is a conditional UPDATE, so that a worker that another one has overtaken changes nothing.
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
from .gateways import Charge, ChargeState, GatewayDeclined, gateway
from .requests import charge_key, emit_failed, is_waited_for, tell

State = Payment.State

CONFIRM_SECONDS = 7 * 86_400
# A confirmation makes the payment due. This interval is for the case that we do not hear of one.
UNCONFIRMED_CHECK_SECONDS = 3_600
NOT_CONFIRMED = "It was not confirmed with your bank within 7 days."
NOBODY_WAITS = "What it was for has ended."
CALLED_OFF_THERE = "The bank called it off."
# How often to check whether the credits of a charged payment can still be granted.
UNGRANTED_CHECK_SECONDS = 3_600


class NeverGranted(Rejected):
    """The credits of a charged payment can no longer be granted automatically.

    Staff must grant them by hand or refund the payment."""


def advance(payment: Payment, now: datetime) -> datetime | None:
    """Advance the payment through its states as far as possible now.

    Returns when to try again, None once it is done.
    """
    while True:
        point = payment.state
        again_at = POINTS[point](payment, now)
        if payment.state == point:
            return again_at


def _begin(payment: Payment, now: datetime) -> None:
    _move(payment, State.CHARGING)


def _charge(payment: Payment, now: datetime) -> None:
    """Charge the card once.

    If an earlier response got lost, there is a charge already. It is looked up first, because the
    card may have changed since.
    """
    provider, key = gateway(payment.gateway), charge_key(payment)
    try:
        charge = provider.find(key=key)
        if charge is None:
            card = card_of(payment.customer_id)
            if card is None or card.gateway != payment.gateway:
                raise GatewayDeclined("There is no card to charge.", Payment.Decline.NEW_CARD)
            charge = provider.charge(
                key=key,
                amount_cents=payment.amount_cents,
                currency=payment.currency,
                method_reference=card.reference,
                description=f"Vocalis {payment.get_kind_display()}",
            )
    except GatewayDeclined as declined:
        _fail(payment, str(declined), now, declined.decline)
    else:
        _follow(payment, charge, now)


def _follow(payment: Payment, charge: Charge, now: datetime) -> None:
    """Set the payment's state according to the charge at the gateway."""
    match charge.state:
        # Also if it was being cancelled: the confirmation came first.
        case ChargeState.PAID:
            _move_and_tell(
                payment, State.CHARGED, now, gateway_reference=charge.reference, failure=""
            )
        case ChargeState.WAITING:
            confirm_by_at = payment.confirm_by_at or now + timedelta(seconds=CONFIRM_SECONDS)
            _move_and_tell(payment, State.REQUIRES_ACTION, now, confirm_by_at=confirm_by_at)
        case ChargeState.CANCELLED:
            _fail(payment, payment.failure or CALLED_OFF_THERE, now)


def _await_confirmation(payment: Payment, now: datetime) -> datetime | None:
    """Check whether the customer has confirmed.

    Cancel the charge if the payment is being cancelled or too old, or if another card was
    chosen."""
    provider, key = gateway(payment.gateway), charge_key(payment)
    charge = provider.find(key=key)
    if charge is None:
        raise Rejected("the gateway does not know the charge that waited for a confirmation")
    confirm_by_at = payment.confirm_by_at or now
    failure = payment.failure or (NOT_CONFIRMED if confirm_by_at <= now else "")
    if not failure and not is_waited_for(payment):
        failure = NOBODY_WAITS
    card = card_of(payment.customer_id)
    is_other = (
        card is not None
        and card.gateway == payment.gateway
        and card.reference != charge.method_reference
    )
    if charge.state == ChargeState.WAITING:
        if not (failure or is_other):
            return min(confirm_by_at, now + timedelta(seconds=UNCONFIRMED_CHECK_SECONDS))
        charge = provider.cancel(key=key)
    if charge.state == ChargeState.CANCELLED and failure:
        _fail(payment, failure, now)
    elif charge.state == ChargeState.CANCELLED and is_other:
        _move(payment, State.CHARGING, charge_number=payment.charge_number + 1)
    else:
        _follow(payment, charge, now)
    return None


def _fail(payment: Payment, failure: str, now: datetime, decline: str = "") -> None:
    with transaction.atomic():
        _move_and_tell(payment, State.FAILED, now, failure=failure, decline=decline, settled_at=now)
        emit_failed(payment, now)


def _await_grant(payment: Payment, now: datetime) -> datetime | None:
    if payment.grant_id:
        return None
    if is_waited_for(payment):
        return now + timedelta(seconds=UNGRANTED_CHECK_SECONDS)
    raise NeverGranted(
        "charged, but what it paid for has ended: grant the credits by hand or refund the payment"
    )


def _refund(payment: Payment, now: datetime) -> None:
    try:
        gateway(payment.gateway).refund(key=charge_key(payment))
    except GatewayDeclined as declined:
        raise Rejected(f"the gateway refuses the refund: {declined}") from declined
    _move(payment, State.REFUNDED, settled_at=now)


def _do_nothing(payment: Payment, now: datetime) -> None:
    pass


POINTS: dict[str, Callable[[Payment, datetime], datetime | None]] = {
    State.INITIATED: _begin,
    State.CHARGING: _charge,
    State.REQUIRES_ACTION: _await_confirmation,
    State.CHARGED: _await_grant,
    State.FAILED: _do_nothing,
    State.REFUNDING: _refund,
    State.REFUNDED: _do_nothing,
}


def _move(payment: Payment, state: str, **fields: Any) -> None:
    """Change the state, unless the row has changed since it was read. Raises Snooze if it has."""
    as_read = Payment.objects.filter(
        pk=payment.pk,
        state=payment.state,
        charge_number=payment.charge_number,
        failure=payment.failure,
    )
    if not as_read.update(state=state, **fields):
        raise Snooze("another worker has moved this payment on")
    for name, value in ({"state": state} | fields).items():
        setattr(payment, name, value)


def _move_and_tell(payment: Payment, state: str, now: datetime, **fields: Any) -> None:
    """Change the state, and make what waits for this payment due."""
    with transaction.atomic():
        _move(payment, state, **fields)
        tell(payment, now)


ADVANCE = RowJob("payments.advance", Payment, advance)

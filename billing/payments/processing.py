"""Payments: money taken always ends as credits or as a refund.

    initiated → charging → charged → (done, when `mark_granted` has stored its credits)
                    │  ↑       └──(by `request_refund`)──→ refunding → refunded
                    │  │ another card
                    ├→ requires_action → charged | failed
                    └──(declined)──→ failed

A declined card fails the payment. What follows is up to who asked for it: `subscriptions.renew`
fails a new plan, `subscriptions.dunning` has a renewal tried again (`requests.try_again`),
`recharge.flow` tells Metronome and switches auto-recharge off.

A payment requires action while the customer's bank wants it confirmed. No money is taken and
nothing is retried in this state. The charge at the gateway is cancelled before another card is
charged (under another key), and before the payment fails.

Every state is a recovery point: if a worker is killed at any instruction, another one resumes from
the row. Each call to the gateway is safe to repeat (`billing.payments.attempts`), and each change
of state is a conditional UPDATE, so that a worker that another one has overtaken changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing.models import Payment, PaymentAttempt
from jobs.errors import Rejected, Snooze
from jobs.worker import RowJob

from . import attempts, declines
from .cards import card_of
from .gateways import CardGone, Charge, ChargeState, GatewayDeclined, RefundState, gateway
from .notices import emit_action_needed, emit_received
from .requests import emit_failed, is_waited_for, tell

State = Payment.State
Outcome = PaymentAttempt.Outcome

# Longer than the three calls of one run (find, cancel, charge), each half a minute at worst.
LEASE_SECONDS = 120

CONFIRM_SECONDS = 7 * 86_400
# A confirmation makes the payment due. This interval is for the case that we do not hear of one.
UNCONFIRMED_CHECK_SECONDS = 3_600
PENDING_CHECK_SECONDS = 300  # the gateway's webhook is usually earlier
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
        point = payment.state, payment.attempt_number
        again_at = POINTS[payment.state](payment, now)
        if point == (payment.state, payment.attempt_number):
            return again_at


def _begin(payment: Payment, now: datetime) -> None:
    _move(payment, State.CHARGING)


def _charge(payment: Payment, now: datetime) -> datetime | None:
    """Charge the card once, or find out what became of an earlier try to do so.

    A card that was replaced before it was charged or while it was declined is no reason to fail:
    the attempt after it charges the new card.
    """
    provider, attempt = gateway(payment.gateway), None
    try:
        attempt = attempts.prepare(payment, provider, now)
        if attempt.is_over:
            return _next_attempt(payment)
        charge = attempts.send(attempt, provider, now)
        if charge.state == ChargeState.DECLINED:
            raise GatewayDeclined(charge.message, charge.decline, reference=charge.reference)
    except attempts.NeverHappened:
        return _next_attempt(payment, attempt, outcome=Outcome.NEVER)
    except GatewayDeclined as declined:
        if attempt and _is_replaced(payment, attempt, declined):
            return _next_attempt(payment, attempt, declined=declined)
        with transaction.atomic():
            if attempt:
                attempts.record_decline(attempt, declined)
            name = (
                attempt.card_name if attempt else declines.fingerprint(card_of(payment.customer_id))
            )
            noted = declines.noted(payment, name, declined.decline)
            _fail(payment, str(declined), now, **noted)
        return None
    return _follow(payment, attempt, charge, now)


def _is_replaced(payment: Payment, attempt: PaymentAttempt, declined: GatewayDeclined) -> bool:
    """Whether the customer has another card by now than the one that was declined."""
    card = card_of(payment.customer_id)
    if card is None or card.gateway != payment.gateway:
        return False
    if card.reference == attempt.method_reference:
        return False
    is_same = bool(card.fingerprint) and card.fingerprint == attempt.fingerprint
    return isinstance(declined, CardGone) or not is_same


def _next_attempt(
    payment: Payment,
    attempt: PaymentAttempt | None = None,
    *,
    outcome: Outcome | None = None,
    declined: GatewayDeclined | None = None,
) -> datetime | None:
    """Go on with another attempt, which has a key of its own, once `attempt` has ended.

    Returns when to look again: `advance` does so at once.
    """
    noted = (
        declines.noted(payment, attempt.card_name, declined.decline) if attempt and declined else {}
    )
    with transaction.atomic():
        _move(payment, State.CHARGING, attempt_number=payment.attempt_number + 1, **noted)
        if attempt and declined:
            attempts.record_decline(attempt, declined)
        elif attempt and outcome:
            attempts.record(attempt, outcome)
    return None


def _follow(
    payment: Payment, attempt: PaymentAttempt, charge: Charge, now: datetime
) -> datetime | None:
    """Set the payment's state according to the charge at the gateway."""
    with transaction.atomic():
        match charge.state:
            # Also if it was being cancelled: the confirmation came first.
            case ChargeState.PAID:
                attempts.record(attempt, Outcome.PAID, charge)
                paid = {"gateway_reference": charge.reference, "failure": "", "decline": ""}
                _move_and_tell(payment, State.CHARGED, now, **paid)
                emit_received(payment, attempt.label, now)
            case ChargeState.WAITING | ChargeState.DECLINED:
                attempts.record(attempt, Outcome.WAITING, charge)
                by = payment.confirm_by_at or now + timedelta(seconds=CONFIRM_SECONDS)
                _move_and_tell(payment, State.REQUIRES_ACTION, now, confirm_by_at=by)
                emit_action_needed(payment, now)
            case ChargeState.PENDING:
                attempts.record(attempt, Outcome.OPEN, charge)
                return now + timedelta(seconds=PENDING_CHECK_SECONDS)
            case ChargeState.CANCELLED:
                attempts.record(attempt, Outcome.CANCELLED, charge)
                _fail(payment, payment.failure or CALLED_OFF_THERE, now)
    return None


def _await_confirmation(payment: Payment, now: datetime) -> datetime | None:
    """Check whether the customer has confirmed.

    Cancel the charge if the payment is being cancelled or too old, or if another card was chosen.
    A confirmation that was refused may be tried again until then.
    """
    provider, attempt = gateway(payment.gateway), attempts.current(payment)
    charge = provider.find(attempt) if attempt else None
    if attempt is None or charge is None:
        raise Rejected("the gateway does not know the charge that waited for a confirmation")
    confirm_by_at = payment.confirm_by_at or now
    failure = payment.failure or (NOT_CONFIRMED if confirm_by_at <= now else "")
    if not failure and not is_waited_for(payment):
        failure = NOBODY_WAITS
    card = card_of(payment.customer_id)
    is_other = (
        card is not None
        and card.gateway == payment.gateway
        and card.reference != attempt.method_reference
        and declines.may_try(payment, card)
    )
    if charge.state in (ChargeState.WAITING, ChargeState.DECLINED):
        if not (failure or is_other):
            return min(confirm_by_at, now + timedelta(seconds=UNCONFIRMED_CHECK_SECONDS))
        charge = provider.cancel(attempt)
    if charge.state == ChargeState.CANCELLED and failure:
        with transaction.atomic():
            attempts.record(attempt, Outcome.CANCELLED, charge)
            _fail(payment, failure, now)
        return None
    if charge.state == ChargeState.CANCELLED and is_other:
        return _next_attempt(payment, attempt, outcome=Outcome.CANCELLED)
    if charge.state == ChargeState.PENDING:
        return now + timedelta(seconds=PENDING_CHECK_SECONDS)
    return _follow(payment, attempt, charge, now)


def _fail(payment: Payment, failure: str, now: datetime, **noted: Any) -> None:
    with transaction.atomic():
        _move_and_tell(payment, State.FAILED, now, failure=failure, settled_at=now, **noted)
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
    """Give the money back, or find out what became of it: banks refuse refunds days later too."""
    provider, attempt = gateway(payment.gateway), attempts.current(payment)
    if attempt is None:
        raise Rejected("this payment was never sent to the gateway")
    try:
        if attempt.refund_reference:
            refund = provider.find_refund(attempt.refund_reference)
        else:
            key, cents = f"vocalis-refund-{payment.pk}", payment.amount_cents
            refund = provider.refund(attempt, key=key, amount_cents=cents)
    except GatewayDeclined as declined:
        raise Rejected(f"the gateway refuses the refund: {declined}") from declined
    PaymentAttempt.objects.filter(pk=attempt.pk).update(refund_reference=refund.reference)
    if refund.state == RefundState.REFUSED:
        raise Rejected(f"the refund came back: {refund.message} Pay it back in another way.")
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
        attempt_number=payment.attempt_number,
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


ADVANCE = RowJob("payments.advance", Payment, advance, lease_seconds=LEASE_SECONDS)

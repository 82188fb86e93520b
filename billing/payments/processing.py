"""Payments: money taken always ends as credits or as a refund.

    initiated → charging → charged → (done, when `mark_granted` has stored its credits)
                    │  ↑       └──(by a `Refund`)──→ refunding → refunded
                    │  │ another card
                    ├→ requires_action → charged | failed
                    └──(declined)──→ failed
    at_page → charged | failed

A declined card fails the payment. What follows is up to who asked for it: `subscriptions.renew`
fails a new plan, `subscriptions.dunning` has a renewal tried again (`requests.try_again`),
`recharge.flow` tells Metronome and switches auto-recharge off.

A payment requires action while the customer's bank wants it confirmed. No money is taken and
nothing is retried in this state. The charge at the gateway is cancelled before another card is
charged (under another key), and before the payment fails.

A payment that the customer makes at the gateway's own page begins AT_PAGE, and has one attempt
(`pay_page`). Paid after it was called off, it is paid back, and fails; unless the bank has the
money by then (`late`).

What is charged and never granted needs a person, unless the bank decides over it (`ungranted`).

Every state is a recovery point: if a worker is killed at any instruction, another one resumes from
the row. Each call to the gateway is safe to repeat (`billing.payments.attempts`), and each change
of state is a conditional UPDATE, so that a worker that another one has overtaken changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing.models import Payment, PaymentAttempt, Subscription
from jobs.errors import Rejected, Snooze
from jobs.worker import RowJob

from . import attempts, declines, late, pay_page, tax, ungranted
from .cards import card_of
from .gateways import (
    CardGone,
    Charge,
    ChargeState,
    GatewayDeclined,
    SetupState,
    gateway,
)
from .notices import emit_action_needed, emit_received
from .requests import (
    PAGE_CHECK_SECONDS,
    emit_failed,
    is_waited_for,
    tell,
)

State = Payment.State
Outcome = PaymentAttempt.Outcome

# Longer than the three calls of one run (find, cancel, charge), each half a minute at worst.
# What is asked of tax between them has seconds.
LEASE_SECONDS = 120

CONFIRM_SECONDS = 7 * 86_400
# A confirmation makes the payment due. This interval is for the case that we do not hear of one.
UNCONFIRMED_CHECK_SECONDS = 3_600
PENDING_CHECK_SECONDS = 300  # the gateway's webhook is usually earlier
NOT_CONFIRMED = "It was not confirmed with your bank within 7 days."
NOBODY_WAITS = "What it was for has ended."
CALLED_OFF_THERE = "The bank called it off."
PAID_BACK = "What was paid at the page afterwards is paid back."


class NeverGranted(Rejected):
    """What a charged payment was for has ended: staff grants the credits, or refunds it."""


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
    except tax.Differs as differs:
        _fail_for_tax(payment, str(differs), now)
        return None
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
    if payment.is_by_metronome:
        return _await_metronome(payment, attempt, charge, now)
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


def _await_metronome(
    payment: Payment, attempt: PaymentAttempt, charge: Charge, now: datetime
) -> datetime | None:
    """Follow a charge that Metronome has made. We neither cancel it nor charge another card."""
    if charge.state in (ChargeState.PAID, ChargeState.CANCELLED):
        return _follow(payment, attempt, charge, now)
    if payment.confirm_by_at and payment.confirm_by_at <= now:
        with transaction.atomic():
            attempts.record(attempt, Outcome.CANCELLED, charge)
            _fail(payment, NOT_CONFIRMED, now)
        return None
    return now + timedelta(seconds=UNCONFIRMED_CHECK_SECONDS)


def _await_page(payment: Payment, now: datetime) -> datetime | None:
    """Look at what the customer did at the gateway's page, and close it if nothing waits for it."""
    attempt = attempts.current(payment)
    if attempt is None:
        raise Rejected("this payment has no page")
    if not payment.failure and not is_waited_for(payment):
        # Stored before anything is closed or paid back: if another worker has just charged it, what
        # waited for it is done, and this one must not pay it back.
        _move(payment, State.AT_PAGE, failure=NOBODY_WAITS)
    failure = payment.failure
    visit = pay_page.look(attempt, is_over=bool(failure), now=now)
    charge = visit.charge
    if visit.state == SetupState.OPEN:
        return now + timedelta(seconds=PAGE_CHECK_SECONDS)
    if visit.state == SetupState.EXPIRED or charge is None:
        with transaction.atomic():
            attempts.record(attempt, Outcome.CANCELLED)
            _fail(payment, failure or pay_page.NOT_PAID, now)
        return None
    if charge.state == ChargeState.PENDING:
        return _follow(payment, attempt, charge, now)
    if failure:
        is_back = False
        with suppress(late.BankHasIt):
            is_back = bool(late.pay_back(attempt, gateway(payment.gateway), charge))
        pay_page.forget_card(attempt, visit, now)
        if not is_back:
            return _follow(payment, attempt, charge, now)
        with transaction.atomic():
            attempts.record(attempt, Outcome.CANCELLED, charge)
            _fail(payment, f"{failure} {PAID_BACK}", now)
        return None
    pay_page.check_amount(attempt, visit)
    pay_page.note_card(attempt, visit, now)
    return _follow(payment, attempt, charge, now)


def _fail(payment: Payment, failure: str, now: datetime, **noted: Any) -> None:
    with transaction.atomic():
        _move_and_tell(payment, State.FAILED, now, failure=failure, settled_at=now, **noted)
        emit_failed(payment, now)


def _fail_for_tax(payment: Payment, failure: str, now: datetime) -> None:
    """Nothing was charged. A renewal is told with the tax of now, and tried with it later."""
    noted: dict[str, Any] = {}
    if payment.subscription and payment.subscription.state == Subscription.State.ACTIVE:
        name = declines.fingerprint(card_of(payment.customer_id))
        noted = declines.noted(payment, name, Payment.Decline.LATER) | tax.as_of_now(payment)
    _fail(payment, failure, now, **noted)


def _await_grant(payment: Payment, now: datetime) -> datetime | None:
    if payment.grant_id or ungranted.are_found(payment, now):
        return None
    if not is_waited_for(payment) and (failure := ungranted.gone(payment)):
        _move(payment, State.REFUNDED, failure=failure, settled_at=now)
        return None
    if again_at := ungranted.waits_until(payment, now):
        return again_at
    raise NeverGranted(
        "charged, but what it paid for has ended: grant the credits by hand or refund the payment"
    )


def _do_nothing(payment: Payment, now: datetime) -> None:
    pass


POINTS: dict[str, Callable[[Payment, datetime], datetime | None]] = {
    State.INITIATED: _begin,
    State.CHARGING: _charge,
    State.REQUIRES_ACTION: _await_confirmation,
    State.AT_PAGE: _await_page,
    State.CHARGED: _await_grant,
    State.FAILED: _do_nothing,
    State.REFUNDING: _do_nothing,  # by its `Refund`
    State.REFUNDED: _do_nothing,
}


def _move(payment: Payment, state: str, **fields: Any) -> None:
    """Change the state, unless the row has changed since it was read. Raises Snooze if it has."""
    as_read = Payment.objects.filter(
        pk=payment.pk,
        state=payment.state,
        attempt_number=payment.attempt_number,
        failure=payment.failure,
        grant=payment.grant_id,
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

"""One refund, from the request to the money.

    requested → taken back → paid back
                    │  ↑        │ the bank refuses it days later
                    │  └────────┴→ came back → (a person) sent again, paid by hand, or:
                    └──(disputed)──→ giving credits back → called off

The credits left the balance here when it was requested. Metronome is told before any money moves,
as with a change of plan (`billing.subscriptions.take_back`). Each of the two changes there happens
once, under a key of its own.

Every state is a recovery point. Each try at the gateway has a key of its own, which also names the
refund there: once it was sent it is looked for before it is sent again, and past 20 hours only a
refund that the gateway does not know is made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from billing import ledger
from billing.live.wake import wake
from billing.models import (
    AutoRecharge,
    CreditGrant,
    Dispute,
    Payment,
    PaymentAttempt,
    Refund,
)
from billing.payments import attempts, gateways, kept
from billing.payments.gateways import AlreadyRefunded, GatewayDeclined, RefundState
from billing.sync import contracts, paid_credits
from jobs.errors import Rejected, Snooze
from jobs.worker import RowJob
from notifications import emit

State = Refund.State
LEASE_SECONDS = 120  # longer than the calls of one run, each half a minute at worst
GIVEN_BACK_THERE = (
    "The whole charge was refunded at Stripe already, by somebody else than us. "
    "Give the credits back, or note how they were paid for."
)
CREDITS_ARE_THERE = "Its credits are at Metronome after all."


def advance(refund: Refund, now: datetime) -> datetime | None:
    """Advance the refund as far as possible now. Returns None once nothing is left to do."""
    while True:
        point = refund.state, refund.number
        POINTS[refund.state](refund, now)
        if point == (refund.state, refund.number):
            return None


def _take_back(refund: Refund, now: datetime) -> None:
    """Have Metronome take the credits back, too."""
    if refund.grant is None:
        if paid_credits.are_there(refund.payment):
            _move(refund, State.RETURNING, failure=CREDITS_ARE_THERE)
            return
    else:
        _cut_down(refund, now)
    _move(refund, State.TAKEN_BACK)


def _cut_down(refund: Refund, now: datetime) -> None:
    if refund.grant and refund.reduced_to is not None and refund.grant.ends_at > now:
        key = f"vocalis-refund-taken-{refund.pk}"
        contracts.set_amount(refund.grant, key=key, credits=refund.reduced_to)


def _pay_back(refund: Refund, now: datetime) -> None:
    """Give the money back, or find out what became of it."""
    attempt = _attempt(refund)
    try:
        found = _sent(refund, attempt, now)
    except AlreadyRefunded:
        _move(refund, State.REFUSED, failure=GIVEN_BACK_THERE)
        return
    except GatewayDeclined as declined:
        words = f"Left to the dispute: {declined}."
        _move(refund, State.RETURNING, failure=words)
        return
    if found is None:
        return
    if found.state == RefundState.REFUSED:
        words = f"The bank refused it: {found.message}"
        was_told = bool(refund.reference)  # it counted as paid back until now
        with transaction.atomic():
            _move(refund, State.REFUSED, reference=found.reference, failure=words)
            if was_told:
                _emit_failed(refund, now)
        return
    _settle(refund, found.reference, now)


def _settle(refund: Refund, reference: str, now: datetime) -> None:
    """The money is on its way, and the customer is told."""
    with transaction.atomic():
        _move(refund, State.PAID_BACK, reference=reference, failure="", settled_at=now)
        Payment.objects.filter(pk=refund.payment_id, state=Payment.State.REFUNDING).cancel(
            state=Payment.State.REFUNDED, settled_at=now
        )
        off = AutoRecharge.objects.filter(customer_id=refund.customer_id, enabled=False)
        data = {
            "payment": str(refund.payment_id),
            "amount_cents": refund.amount_cents,
            "credits": refund.credits,
            "reason": refund.reason,
            "is_recharge_off": bool(refund.credits) and off.exists(),
        }
        key = f"{refund.pk}-{refund.number}"
        emit(refund.customer_id, "payment.refunded", key, data, now)


def _emit_failed(refund: Refund, now: datetime, *, is_disputed: bool = False) -> None:
    """Tell the customer that what they were told of this refund has turned out not so.

    They may have read that it is on its way, or that their plan ended with it.
    """
    is_called_off = refund.state == State.CALLED_OFF
    data = {
        "payment": str(refund.payment_id),
        "amount_cents": refund.amount_cents,
        "credits": refund.credits,
        "is_called_off": is_called_off,
        "is_disputed": is_disputed,
        "is_plan": refund.payment.kind == Payment.Kind.PLAN,
    }
    key = f"{refund.pk}-off" if is_called_off else f"{refund.pk}-{refund.number}"
    emit(refund.customer_id, "payment.refund_failed", key, data, now)


def _sent(refund: Refund, attempt: PaymentAttempt, now: datetime) -> gateways.Refund | None:
    """The refund at the gateway, None if it takes another try. Raises what the gateway raises."""
    provider = gateways.gateway(refund.payment.gateway)
    if refund.reference:
        return provider.find_refund(refund.reference)
    if refund.first_sent_at:
        if found := provider.refund_named(attempt, refund.key):
            return found
        if now - refund.first_sent_at >= attempts.KEY_LASTS:  # the gateway may forget the key
            _move(refund, State.TAKEN_BACK, number=refund.number + 1, first_sent_at=None)
            return None
    else:
        _move(refund, State.TAKEN_BACK, first_sent_at=now)
    return provider.refund(attempt, key=refund.key, amount_cents=refund.amount_cents)


def _give_back(refund: Refund, now: datetime) -> None:
    """Give the credits back on both sides; the payment is charged as before.

    Unless the money has left all the same: then it is paid back.
    """
    provider = gateways.gateway(refund.payment.gateway)
    if refund.first_sent_at:
        found = provider.refund_named(_attempt(refund), refund.key)
        if found and found.state != RefundState.REFUSED:
            _settle(refund, found.reference, now)
            return
    grant = refund.grant
    if grant and refund.reduced_to is not None and grant.ends_at > now:
        _cut_down(refund, now)  # never after this
        base = _left_by_dispute(refund, grant)
        key, whole = f"vocalis-refund-again-{refund.pk}", base + refund.credits
        contracts.set_amount(grant, key=key, credits=whole)
    with transaction.atomic():
        _move(refund, State.CALLED_OFF, settled_at=now)
        disputes = Dispute.objects.filter(payment=refund.payment)
        _emit_failed(refund, now, is_disputed=disputes.exists())
        rows = Payment.objects.filter(pk=refund.payment_id, state=Payment.State.REFUNDING)
        if grant is None:
            rows.run_now(now, state=Payment.State.CHARGED, failure="")  # a person decides on it
        else:
            rows.update(state=Payment.State.CHARGED, failure="", settled_at=now)
            if refund.credits:
                ledger.restore(grant_id=grant.pk, credits=refund.credits, now=now)
    if grant:
        wake(grant.wallet_id)


def _left_by_dispute(refund: Refund, grant: CreditGrant) -> int:
    """How many credits the grant has at Metronome before some come back.

    Of a payment whose dispute was lost before the refund came back, only those come back that the
    money with us pays for (`payments.kept`). The others go with the dispute, which is stored before
    Metronome is told. Raises Snooze while the dispute is just taking credits.
    """
    with transaction.atomic():
        lost = Dispute.objects.select_for_update().filter(
            payment=refund.payment, state=Dispute.State.LOST, credits_taken__isnull=False
        )
        # The last one that took some has left the least.
        dispute = lost.order_by(F("reduced_to").asc(nulls_last=True)).first()
        if dispute is None:
            return refund.reduced_to or 0
        if dispute.taken_at is None:
            raise Snooze("the dispute is just taking credits")
        grant.refresh_from_db()
        back = max(0, min(refund.credits, kept.credits_kept(refund.payment, grant) - grant.granted))
        if going := refund.credits - back:
            as_read = Refund.objects.filter(pk=refund.pk, state=refund.state)
            if not as_read.filter(credits=refund.credits).update(credits=back):
                raise Snooze("another worker has moved this refund on")
            Dispute.objects.filter(pk=dispute.pk).update(credits_taken=F("credits_taken") + going)
            refund.credits = back
    base = refund.reduced_to if dispute.reduced_to is None else dispute.reduced_to
    return base or 0


def _attempt(refund: Refund) -> PaymentAttempt:
    attempt = attempts.current(refund.payment)
    if attempt is None or attempt.outcome != PaymentAttempt.Outcome.PAID:
        raise Rejected("the gateway took nothing for this payment")
    return attempt


def _do_nothing(refund: Refund, now: datetime) -> None:
    pass


POINTS: dict[str, Callable[[Refund, datetime], None]] = {
    State.REQUESTED: _take_back,
    State.TAKEN_BACK: _pay_back,
    State.PAID_BACK: _do_nothing,
    State.REFUSED: _do_nothing,
    State.RETURNING: _give_back,
    State.CALLED_OFF: _do_nothing,
}


def _move(refund: Refund, state: str, **fields: Any) -> None:
    """Change the state, unless the row has changed since it was read. Raises Snooze if it has."""
    as_read = Refund.objects.filter(
        pk=refund.pk,
        state=refund.state,
        number=refund.number,
        first_sent_at=refund.first_sent_at,
    )
    if not as_read.update(state=state, **fields):
        raise Snooze("another worker has moved this refund on")
    for name, value in ({"state": state} | fields).items():
        setattr(refund, name, value)


ADVANCE = RowJob("refunds.advance", Refund, advance, lease_seconds=LEASE_SECONDS)

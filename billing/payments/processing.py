"""Payments: money taken always ends as credits or as a refund.

    initiated → charging → charged → releasing → released → granted        a recharge, paid
                    └──(declined)──→ releasing → failed                    a recharge, declined
    initiated → charging → charged → granted (by `mark_granted`) | failed  a plan's period
                              └──(by `request_refund`)──→ refunding → refunded

Every state is a recovery point: a worker killed at any instruction leaves a row from which the next one goes on. Each
outside call is safe to repeat (the charge has our key, a release and a commit theirs) and each move is a conditional
UPDATE, so that a worker that was overtaken changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from django.db import transaction

from billing import emails, metronome, plans, recharge
from billing.live.wake import wake
from billing.metronome.contracts import invoice_status
from billing.models import Contract, CreditGrant, Payment, Subscription
from billing.sync import contracts
from billing.sync.grants import read_grants
from jobs.errors import Rejected, Snooze, Unavailable
from jobs.worker import RowJob

from .cards import card_of
from .gateways import GatewayDeclined, gateway
from .requests import renewal_failure

logger = logging.getLogger(__name__)

State = Payment.State

GRANT_DAYS = 365  # as long as Metronome lets a recharge live
DOUBT_SECONDS = 1_800  # far longer than Metronome takes to list a commit
UNGRANTED_LOOK_SECONDS = 3_600  # how often a charged plan is checked for a subscription that can still be granted


class CommitNotSeen(Unavailable):
    """The release was accepted, but Metronome does not list the commit yet."""


class PlanNeverGranted(Rejected):
    """A plan was paid and can no longer be granted: a person grants it by hand or refunds it."""


def advance(payment: Payment, now: datetime) -> datetime | None:
    """Take the payment as far as it goes. Returns when to look at it again."""
    while True:
        point = payment.state
        again_at = POINTS[point](payment, now)
        if payment.state == point:
            return again_at


def _begin(payment: Payment, now: datetime) -> None:
    if payment.kind == Payment.Kind.RECHARGE and recharge.is_switched_off(payment.customer_id):
        _move(payment, State.RELEASING, failure="Auto-recharge was switched off before the payment was made.")
    else:
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
        _decline(payment, str(declined), now)
    else:
        _move_and_tell(payment, State.CHARGED, now, gateway_reference=charge.reference)


def _decline(payment: Payment, failure: str, now: datetime) -> None:
    if payment.kind == Payment.Kind.RECHARGE:
        _move(payment, State.RELEASING, failure=failure)
    else:
        _move_and_tell(payment, State.FAILED, now, failure=failure)


def _charged(payment: Payment, now: datetime) -> datetime | None:
    if payment.kind == Payment.Kind.RECHARGE:
        _move(payment, State.RELEASING)
        return None
    if Subscription.objects.live().filter(payments=payment).exists():
        return now + timedelta(seconds=UNGRANTED_LOOK_SECONDS)
    raise PlanNeverGranted("charged, but the subscription has ended: grant the credits by hand or refund the payment")


def _release(payment: Payment, now: datetime) -> None:
    """Tell Metronome the outcome. If it no longer wants a paid one, that is kept: the credits come another way then."""
    outcome: Literal["paid", "failed"] = "failed" if payment.failure else "paid"
    try:
        is_certain = metronome.release(workflow_id=payment.workflow_id or "", outcome=outcome)
    except metronome.MetronomeRejected as error:
        refusal = str(error)
    else:
        refusal = "" if is_certain or outcome == "failed" else _end_doubt(payment, now)
    if refusal:
        logger.error("payment %s: Metronome refused the release as %s: %s", payment.pk, outcome, refusal)
    if outcome == "paid":
        _move(payment, State.RELEASED, release_refusal=refusal)
        return
    with transaction.atomic():
        _move(payment, State.FAILED, release_refusal=refusal)
        recharge.switch_off(customer_id=payment.customer_id, failure=payment.failure, now=now)


def _end_doubt(payment: Payment, now: datetime) -> str:
    """Why no commit will come of a recharge that is over at Metronome, we do not know how; empty if there is one.

    Raises CommitNotSeen while there may still be one.
    """
    doubted_at = payment.doubted_at or now
    Payment.objects.filter(pk=payment.pk, doubted_at=None).update(doubted_at=now)
    try:
        _grant_of_release(payment, now)
    except CommitNotSeen:
        status = _invoice_status(payment)
        if status == "VOID":
            return "cancelled there, its invoice is void"
        if now - doubted_at < timedelta(seconds=DOUBT_SECONDS):
            raise
        return f"over there, and no commit has come of it (invoice {status})"
    return ""


def _invoice_status(payment: Payment) -> str:
    if not payment.invoice_id:
        return "unknown"
    try:
        return invoice_status(customer_id=payment.customer.metronome_id or "", invoice_id=payment.invoice_id)
    except metronome.MetronomeRejected as error:
        if error.status != 404:
            raise
        return "unknown"


def _grant(payment: Payment, now: datetime) -> None:
    if payment.release_refusal:
        total = Decimal(payment.invoice_total)
        grant_id = contracts.grant(
            payment.customer,
            key=f"vocalis-payment-{payment.pk}",
            name=plans.RECHARGE_COMMIT_NAME,
            credits=int(total * plans.CREDITS_PER_CENT),  # the commit's own size, which rounded cents do not give
            starts_at=now,
            ends_at=now + timedelta(days=GRANT_DAYS),
            priority=plans.PRIORITY_PACK,
            paid_cents=payment.amount_cents,
            now=now,
        )
    else:
        grant_id = _grant_of_release(payment, now)
    with transaction.atomic():
        _move(payment, State.GRANTED, grant_id=grant_id, settled_at=now)
        wallet_id = CreditGrant.objects.values_list("wallet_id", flat=True).get(pk=grant_id)
        recharge.settle(payment.customer_id)
        wake(wallet_id)


def _grant_of_release(payment: Payment, now: datetime) -> int:
    """Our mirror of the commit that the release made: the one on the payment's invoice.

    Where Metronome does not name the invoice, the newest commit since that is neither ours nor another payment's.
    """
    contract = Contract.objects.get(customer_id=payment.customer_id)
    commits = [commit for commit in read_grants(contract, now=now) if commit.kind == "commit" and commit.segments]
    on_invoice = [commit for commit in commits if payment.invoice_id and payment.invoice_id in commit.invoice_ids]
    unnamed = [
        commit
        for commit in sorted(commits, key=lambda commit: commit.created_at or payment.created_at, reverse=True)
        if commit.name == plans.RECHARGE_COMMIT_NAME and not commit.invoice_ids and not commit.description
        and commit.created_at and commit.created_at >= payment.created_at
    ]  # fmt: skip
    for commit in on_invoice + unnamed:
        grants = CreditGrant.objects.filter(remote_id=commit.id, payment=None).order_by("starts_at")
        if grant_id := grants.values_list("id", flat=True).first():
            return grant_id
    raise CommitNotSeen("released, but Metronome does not list the commit yet")


def _failed(payment: Payment, now: datetime) -> None:
    """Tell the customer, at least once: `settled_at` says it was done."""
    if payment.settled_at is None:
        if payment.kind == Payment.Kind.RECHARGE and not recharge.is_off_by_choice(payment.customer_id):
            emails.send(customer=payment.customer, template="recharge_failed", context={"payment": payment})
        elif payment.subscription and payment.period:  # the first one fails before the customer's eyes
            context = {"plan": plans.PLANS[payment.subscription.plan], "failure": renewal_failure(payment)}
            emails.send(customer=payment.customer, template="renewal_failed", context=context)
        Payment.objects.filter(pk=payment.pk).update(settled_at=now)


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
    State.CHARGED: _charged,
    State.RELEASING: _release,
    State.RELEASED: _grant,
    State.GRANTED: _nothing,
    State.FAILED: _failed,
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
    """Move, and have the subscription that waits for this payment looked at."""
    with transaction.atomic():
        _move(payment, state, **fields)
        Subscription.objects.filter(payments=payment).run_now(now)


ADVANCE = RowJob("payments.advance", Payment, advance)

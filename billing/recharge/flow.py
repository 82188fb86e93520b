"""One recharge, from Metronome's request for a payment to the credits.

    requested → paying → releasing → released → granted        paid
        └──(refused)────────┴──(not paid)──→ failed            declined, not confirmed, switched off

A recharge starts when Metronome opens a workflow and requests a payment (`requests.request`), or
when settings are saved at a low balance (`requests.request_own`). We request the payment from
`billing.payments`, report its result to Metronome (the release), and store the credits that
Metronome creates. If Metronome refuses a paid release, the same credits are granted under the
payment's own key, so that money taken always ends as credits. So are those of a recharge of our
own, of which Metronome knows nothing.

One that would exceed the month's limit (`limits`) is refused: it is released as failed without a
charge, and auto-recharge pauses.

Every state is a recovery point. Each call to Metronome is safe to repeat (releases and commits have
uniqueness keys), and each change of state is a conditional UPDATE, so that a worker that another
one has overtaken changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from django.db import transaction

from accounts.models import Customer
from billing import ledger, metronome, plans
from billing.live.wake import wake
from billing.metronome.contracts import invoice_status
from billing.models import AutoRecharge, Contract, CreditGrant, Payment, Recharge
from billing.payments import credit_keys, tax
from billing.payments import requests as payments
from billing.sync import contracts
from billing.sync.grants import read_grants
from jobs.errors import Snooze, Unavailable
from jobs.worker import RowJob
from notifications import emit

from . import limits
from .settings import (
    ON_HOLD,
    is_off_by_choice,
    is_switched_off,
    mirror_again,
    pause,
    switch_off,
)
from .watchdog import clear_low_balance

logger = logging.getLogger(__name__)

State = Recharge.State

GRANT_DAYS = 365  # the lifetime of Metronome's own recharge commits
DOUBT_SECONDS = 1_800  # far longer than Metronome takes to list a commit
# The payment makes the recharge due when it ends. These intervals are for the case that this
# failed.
PAYMENT_CHECK_SECONDS = 30
CONFIRMATION_CHECK_SECONDS = 3_600  # while the payment waits for the customer's confirmation
OVER_LIMIT = "The month's limit of automatic recharges is reached."
SWITCHED_OFF = "Auto-recharge was switched off before the payment was made."


class CommitNotSeen(Unavailable):
    """The release was accepted, but Metronome does not list the commit yet."""


def advance(recharge: Recharge, now: datetime) -> datetime | None:
    """Advance the recharge through its states as far as possible now.

    Returns when to try again, None once it is done.
    """
    while True:
        point = recharge.state
        again_at = POINTS[point](recharge, now)
        if recharge.state == point:
            return again_at


def _ask_for_payment(recharge: Recharge, now: datetime) -> datetime | None:
    """Request the payment if the month's limit allows it, as soon as ten minutes hold only one.

    The settings stay locked, so that the limit compared with is the one in force.
    """
    with transaction.atomic():
        # A freeze waits for this, or this finds the wallet frozen.
        Customer.objects.select_for_update(no_key=True).get(pk=recharge.customer_id)
        rows = AutoRecharge.objects.select_for_update()
        settings = rows.filter(customer_id=recharge.customer_id).first()
        is_on_hold = ledger.is_on_hold(recharge.customer_id)
        if is_on_hold or (settings and not settings.enabled):
            _move(recharge, State.RELEASING, failure=ON_HOLD if is_on_hold else SWITCHED_OFF)
            return None
        month = limits.this_month(recharge.customer_id, settings, now)
        seen: dict[str, Any] = {"limit_cents": month.limit_cents, "resets_at": month.resets_at}
        is_paused = bool(settings and settings.paused_until_at and settings.paused_until_at > now)
        tax_cents = recharge.shown_tax_cents
        if tax_cents is None and tax.is_being_asked(recharge.customer_id):
            return now + timedelta(seconds=PAYMENT_CHECK_SECONDS)
        if tax_cents is None:
            tax_cents = tax.on(recharge.customer_id, recharge.amount_cents)
        total_cents = recharge.amount_cents + tax_cents
        if is_paused or not month.allows(total_cents):
            seen |= {"month_cents": month.charged_cents, "failure": OVER_LIMIT}
            _move(recharge, State.RELEASING, refusal=Recharge.Refusal.LIMIT, **seen)
            return None
        if (again_at := limits.next_charge_at(recharge.customer_id, now)) > now:
            return again_at
        after = month.after(total_cents)
        seen |= {"month_cents": after.charged_cents, "limit_cents": after.limit_cents}
        payment = payments.request_recharge_payment(
            customer=recharge.customer, amount_cents=total_cents, tax_cents=tax_cents, now=now
        )
        _move(recharge, State.PAYING, payment=payment, **seen)
    return None


def _await_payment(recharge: Recharge, now: datetime) -> datetime | None:
    payment = _payment(recharge)
    if payment.state == Payment.State.CHARGED:
        _move(recharge, State.RELEASING, charged_at=now)
        return None
    if payment.state == Payment.State.FAILED:
        _move(recharge, State.RELEASING, failure=payment.failure)
        return None
    if is_switched_off(recharge.customer_id) and not payment.is_by_metronome:
        payments.call_off(payment, failure=SWITCHED_OFF, now=now)
    elif payments.is_unconfirmed(payment):
        return now + timedelta(seconds=CONFIRMATION_CHECK_SECONDS)
    return now + timedelta(seconds=PAYMENT_CHECK_SECONDS)


def _release(recharge: Recharge, now: datetime) -> None:
    """Report the result of the payment to Metronome.

    If Metronome refuses a paid release, the reason is stored, and `_grant` grants the credits.
    """
    outcome: Literal["paid", "failed"] = "failed" if recharge.failure else "paid"
    is_told = recharge.is_own or recharge.is_by_metronome
    refusal = "" if is_told else _released(recharge, outcome, now)
    if refusal:
        logger.error(
            "recharge %s: Metronome refused the release as %s: %s", recharge.pk, outcome, refusal
        )
    if outcome == "paid":
        _move(recharge, State.RELEASED, release_refusal=refusal)
        return
    with transaction.atomic():
        _move(recharge, State.FAILED, release_refusal=refusal)
        _follow_failure(recharge, now)


def _released(recharge: Recharge, outcome: Literal["paid", "failed"], now: datetime) -> str:
    """Release it at Metronome. Returns why Metronome refused that, '' if it did not."""
    try:
        is_certain = metronome.release(workflow_id=recharge.workflow_id, outcome=outcome)
    except metronome.MetronomeRejected as error:
        return str(error)
    return "" if is_certain or outcome == "failed" else _why_no_commit(recharge, now)


def _follow_failure(recharge: Recharge, now: datetime) -> None:
    """Metronome has switched it off: pause it at the limit, and switch it off if a payment failed.

    Called in the transaction in which the recharge fails.
    """
    customer_id = recharge.customer_id
    if recharge.refusal == Recharge.Refusal.OUTDATED:
        mirror_again(customer_id=customer_id, now=now)
    elif recharge.refusal == Recharge.Refusal.LIMIT and recharge.resets_at:
        pause(customer_id=customer_id, until_at=recharge.resets_at, now=now)
        limits.emit_limit(recharge, "recharge.limit_reached", now)
    else:
        if not is_off_by_choice(customer_id):
            data = {
                "recharge": str(recharge.pk),
                "amount_cents": (recharge.payment or recharge).amount_cents,
                "failure": recharge.failure,
            }
            emit(customer_id, "recharge.declined", str(recharge.pk), data, now)
        switch_off(customer_id=customer_id, failure=recharge.failure, now=now)


def _why_no_commit(recharge: Recharge, now: datetime) -> str:
    """'' if the recharge's commit exists, else the reason why none will come.

    Called when Metronome reports that the recharge has ended but not how. No commit will come if
    its invoice is void, or if DOUBT_SECONDS have passed. Raises CommitNotSeen while the commit may
    still appear.
    """
    doubted_at = recharge.doubted_at or now
    Recharge.objects.filter(pk=recharge.pk, doubted_at=None).update(doubted_at=now)
    try:
        _grant_of_release(recharge, now)
    except CommitNotSeen:
        status = _invoice_status(recharge)
        if status == "VOID":
            return "cancelled at Metronome, its invoice is void"
        if now - doubted_at < timedelta(seconds=DOUBT_SECONDS):
            raise
        return f"ended at Metronome without a commit (invoice {status})"
    return ""


def _invoice_status(recharge: Recharge) -> str:
    if not recharge.invoice_id:
        return "unknown"
    try:
        return invoice_status(
            customer_id=recharge.customer.metronome_id or "", invoice_id=recharge.invoice_id
        )
    except metronome.MetronomeRejected as error:
        if error.status != 404:
            raise
        return "unknown"


def _grant(recharge: Recharge, now: datetime) -> None:
    payment = _payment(recharge)
    if recharge.is_own or recharge.release_refusal:
        total = Decimal(recharge.invoice_total)
        grant_id = contracts.grant(
            recharge.customer,
            key=credit_keys.of_recharge(payment.pk),
            name=plans.RECHARGE_COMMIT_NAME,
            # As much as the commit would have had, which the rounded cents may not give.
            credits=int(total * plans.CREDITS_PER_CENT),
            starts_at=now,
            ends_at=now + timedelta(days=GRANT_DAYS),
            priority=plans.PRIORITY_PACK,
            paid_cents=payment.net_cents,
            now=now,
        )
    else:
        grant_id = _grant_of_release(recharge, now)
    with transaction.atomic():
        _move(recharge, State.GRANTED, grant_id=grant_id, settled_at=now)
        payments.mark_granted(payment, grant_id=grant_id, now=now)
        clear_low_balance(recharge.customer_id)
        if recharge.is_own:
            mirror_again(customer_id=recharge.customer_id, now=now)
        grant = CreditGrant.objects.get(pk=grant_id)
        _emit_granted(recharge, payment, grant, now)
        wake(grant.wallet_id)


def _emit_granted(recharge: Recharge, payment: Payment, grant: CreditGrant, now: datetime) -> None:
    data: dict[str, Any] = {
        "recharge": str(recharge.pk),
        "credits": grant.granted,
        "amount_cents": payment.amount_cents,
    }
    if payment.tax_cents:
        data["tax_cents"] = payment.tax_cents
    currency = {"currency": payment.currency}
    emit(recharge.customer_id, "balance.recharged", str(recharge.pk), data | currency, now)
    month = {"month_cents": recharge.month_cents, "limit_cents": recharge.limit_cents}
    emit(recharge.customer_id, "recharge.done", str(recharge.pk), data | month, now)
    limits.emit_used(recharge, now)


def _grant_of_release(recharge: Recharge, now: datetime) -> int:
    """Id of the CreditGrant that mirrors the release's commit: the one on the recharge's invoice.

    If Metronome does not name the invoice, it is the newest commit since the recharge that neither
    we created nor belongs to another payment. Raises CommitNotSeen if there is none.
    """
    contract = Contract.objects.get(customer_id=recharge.customer_id)
    commits = [
        commit
        for commit in read_grants(contract, now=now)
        if commit.kind == "commit" and commit.segments
    ]
    on_invoice = [
        commit
        for commit in commits
        if recharge.invoice_id and recharge.invoice_id in commit.invoice_ids
    ]
    unnamed = [
        commit
        for commit in sorted(
            commits, key=lambda commit: commit.created_at or recharge.created_at, reverse=True
        )
        if commit.name == plans.RECHARGE_COMMIT_NAME
        and not commit.invoice_ids
        and not commit.description
        and commit.created_at
        and commit.created_at >= recharge.created_at
    ]
    for commit in on_invoice + unnamed:
        grants = CreditGrant.objects.filter(remote_id=commit.id, payment=None).order_by("starts_at")
        if grant_id := grants.values_list("id", flat=True).first():
            return grant_id
    raise CommitNotSeen("released, but Metronome does not list the commit yet")


def _settle(recharge: Recharge, now: datetime) -> None:
    """Store when it failed; its customer was told as it did."""
    Recharge.objects.filter(pk=recharge.pk, settled_at=None).update(settled_at=now)


def _do_nothing(recharge: Recharge, now: datetime) -> None:
    pass


POINTS: dict[str, Callable[[Recharge, datetime], datetime | None]] = {
    State.REQUESTED: _ask_for_payment,
    State.PAYING: _await_payment,
    State.RELEASING: _release,
    State.RELEASED: _grant,
    State.GRANTED: _do_nothing,
    State.FAILED: _settle,
}


def _payment(recharge: Recharge) -> Payment:
    payment = recharge.payment
    if payment is None:
        raise ValueError(f"recharge {recharge.pk} has no payment yet")
    return payment


def _move(recharge: Recharge, state: str, **fields: Any) -> None:
    moved = Recharge.objects.filter(pk=recharge.pk, state=recharge.state).update(
        state=state, **fields
    )
    if not moved:
        raise Snooze("another worker has moved this recharge on")
    for name, value in ({"state": state} | fields).items():
        setattr(recharge, name, value)


ADVANCE = RowJob("recharge.advance", Recharge, advance)

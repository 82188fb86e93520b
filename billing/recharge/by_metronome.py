"""Recharges that Metronome has charged itself, through Stripe: rows of what it tells us.

Nothing is charged or released here. The rows go the way of all recharges (`flow`): paid ones are
tied to the commit on their invoice, failed ones switch recharges off, and one that the bank wants
confirmed has the button on Billing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from accounts.models import Customer
from billing.metronome.contracts import invoice_cents
from billing.models import Payment, PaymentAttempt, PaymentMethod, Recharge
from billing.models.recharges import METRONOMES_WORKFLOW
from billing.payments import requests as payments
from billing.payments.gateways import DEFAULT
from billing.payments.notices import emit_action_needed
from billing.payments.processing import CONFIRM_SECONDS
from jobs.models import due

from .requests import RechargeUnderWay

State, Outcome = Payment.State, PaymentAttempt.Outcome
STATES = {
    "paid": (State.CHARGED, Outcome.PAID),
    "failed": (State.FAILED, Outcome.DECLINED),
    "pending": (State.REQUIRES_ACTION, Outcome.WAITING),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What Metronome says of a charge. `status` is paid, failed or pending."""

    invoice_id: str
    intent_id: str
    status: str
    failure: str


def record(*, customer: Customer, told: Told, now: datetime) -> Recharge:
    """The recharge of this invoice, made by the first call and moved on by later ones.

    Raises RechargeUnderWay while another one is open, or what the adapter raises.
    """
    workflow_id = f"{METRONOMES_WORKFLOW}{told.invoice_id}"
    if found := Recharge.objects.filter(workflow_id=workflow_id).first():
        _move_on(found, told, now)
        return found
    total = invoice_cents(customer_id=customer.metronome_id or "", invoice_id=told.invoice_id)
    try:
        with transaction.atomic():
            row = Recharge(
                customer=customer,
                state=Recharge.State.PAYING,
                workflow_id=workflow_id,
                invoice_id=told.invoice_id,
                invoice_total=str(total),
                created_at=now,
                **due(now),
            )
            row.payment = _payment(customer, row.amount_cents, told, now)
            row.save(force_insert=True)
            return row
    except IntegrityError:
        raise RechargeUnderWay(
            "another recharge of this customer is under way", seconds=10
        ) from None


def _payment(customer: Customer, amount_cents: int, told: Told, now: datetime) -> Payment:
    state, outcome = STATES[told.status]
    payment = Payment.objects.create(
        customer=customer,
        kind=Payment.Kind.RECHARGE,
        state=state,
        amount_cents=amount_cents,
        gateway=DEFAULT,
        gateway_reference=told.intent_id,
        is_by_metronome=True,
        failure=told.failure if state == State.FAILED else "",
        confirm_by_at=now + timedelta(seconds=CONFIRM_SECONDS)
        if state == State.REQUIRES_ACTION
        else None,
        created_at=now,
        settled_at=now if state == State.FAILED else None,
        **due(None if state == State.FAILED else now),
    )
    card = PaymentMethod.objects.filter(customer=customer).first()
    PaymentAttempt.objects.create(
        payment=payment,
        number=payment.attempt_number,
        key=f"{METRONOMES_WORKFLOW}{told.invoice_id}",
        method_reference=card.reference if card else "",
        fingerprint=card.fingerprint if card else "",
        label=card.label if card else "",
        amount_cents=amount_cents,
        currency=payment.currency,
        parameters={},
        created_at=now,
        first_sent_at=now,
        outcome=outcome,
        message=told.failure,
        gateway_reference=told.intent_id,
    )
    if state == State.REQUIRES_ACTION:
        emit_action_needed(payment, now)
    elif state == State.FAILED:
        payments.emit_failed(payment, now)
    return payment


def _move_on(recharge: Recharge, told: Told, now: datetime) -> None:
    """Paid counts whatever was told before; failed ends what waited for a confirmation."""
    payment = recharge.payment
    if payment is None or told.status == "pending":
        return
    rows = Payment.objects.filter(pk=payment.pk)
    with transaction.atomic():
        if told.status == "paid":
            moved = rows.filter(state__in=[State.REQUIRES_ACTION, State.FAILED]).run_now(
                now, state=State.CHARGED, failure="", settled_at=None
            )
            Recharge.objects.filter(pk=recharge.pk, state=Recharge.State.FAILED).update(
                state=Recharge.State.PAYING, failure="", settled_at=None
            )
            outcome = Outcome.PAID
        else:
            moved = rows.filter(state=State.REQUIRES_ACTION).cancel(
                state=State.FAILED, failure=told.failure, settled_at=now
            )
            outcome = Outcome.DECLINED
        if not moved:
            return
        PaymentAttempt.objects.filter(payment=payment).update(outcome=outcome)
        payment.refresh_from_db()
        payments.stop_asking(payment, now)
        if payment.state == State.FAILED:
            payments.emit_failed(payment, now)
        payments.tell(payment, now)

"""Money that was taken for an attempt that had ended: it is paid back.

Unless the customer disputes it at the bank by then, because nothing can be paid back of such a
charge. Then the payment counts as charged after all, and the bank's decision ends it: lost, the
money is gone; won, it ends as credits (`billing.disputes.owed`).
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.models import Dispute, Payment, PaymentAttempt
from jobs.errors import Rejected, Snooze

from . import attempts
from .gateways import AlreadyRefunded, Charge, Gateway, GatewayDeclined
from .notices import emit_received
from .requests import tell

State = Payment.State
OPEN = State.INITIATED, State.CHARGING, State.REQUIRES_ACTION, State.AT_PAGE
WAIT_SECONDS = 300
BANK_SECONDS = 3_600


class BankHasIt(Exception):
    """The customer disputes the charge at the bank: nothing can be paid back of it."""


def pay_back(attempt: PaymentAttempt, provider: Gateway, charge: Charge) -> str:
    """Give back money that was taken for an attempt nobody waits for. Returns what was done.

    Safe to repeat. Raises BankHasIt, Rejected, or GatewayUnavailable.
    """
    PaymentAttempt.objects.filter(pk=attempt.pk).update(gateway_reference=charge.reference)
    attempt.gateway_reference = charge.reference
    key = f"vocalis-refund-{attempt.key}"
    try:
        refund = provider.refund(attempt, key=key, amount_cents=attempt.amount_cents)
    except AlreadyRefunded as known:
        return f"nothing to pay back of {attempt} of payment {attempt.payment_id}: {known}"
    except GatewayDeclined as declined:
        raise BankHasIt(str(declined)) from declined
    PaymentAttempt.objects.filter(pk=attempt.pk).update(refund_reference=refund.reference)
    return f"paid back: {attempt} of payment {attempt.payment_id} had ended"


def take(attempt: PaymentAttempt, charge: Charge, now: datetime) -> str:
    """Have a payment that failed be charged by this attempt, of which the bank has the money.

    Returns what was done. Safe to repeat. Raises Snooze while the payment is under way. If it was
    charged by another attempt, this money came on top of that: the bank is waited for, and Rejected
    raised if it decides for us, because that needs a person.
    """
    with transaction.atomic():
        payment = Payment.objects.select_for_update().get(pk=attempt.payment_id)
        if payment.state in OPEN:
            raise Snooze("the payment is just being made in another way", seconds=WAIT_SECONDS)
        if payment.state != State.FAILED:
            return _beside(payment, attempt)
        attempts.record(attempt, PaymentAttempt.Outcome.PAID, charge)
        taken = {
            "state": State.CHARGED,
            "attempt_number": attempt.number,
            "gateway_reference": charge.reference,
            "failure": "",
            "decline": "",
            "settled_at": None,
        }
        Payment.objects.filter(pk=payment.pk).run_now(now, **taken)
        payment.refresh_from_db()
        tell(payment, now)
        emit_received(payment, attempt.label, now)
    return f"payment {payment.pk} is charged after all: the bank decides over it"


def _beside(payment: Payment, attempt: PaymentAttempt) -> str:
    """What becomes of disputed money that was taken beside that of another attempt."""
    disputes = Dispute.objects.filter(payment=payment)
    if disputes.filter(state=Dispute.State.LOST).exists():
        return f"{attempt} of payment {payment.pk}: the bank has given it back"
    if disputes.exclude(state=Dispute.State.WON).exists() or not disputes.exists():
        raise Snooze("the bank decides over it", seconds=BANK_SECONDS)
    raise Rejected(
        f"payment {payment.pk} was charged twice, and the dispute of {attempt} was won. Stripe "
        "pays nothing back of it: pay it back in another way."
    )

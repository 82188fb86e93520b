"""Asking for a refund, and deciding on one that came back."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from accounts.models import Customer, User
from billing import ledger
from billing.live.wake import wake
from billing.models import Payment, Refund, Subscription
from billing.payments import kept
from billing.payments import requests as payments
from billing.recharge import switch_off
from billing.subscriptions import choose
from notifications import emit

from .preview import NotRefundable, Preview, preview, waiting

State = Refund.State


class NotAgreed(Exception):
    """It would do something else than was shown: `preview`. Nothing was done."""

    def __init__(self, found: Preview) -> None:
        super().__init__("This has changed since it was shown. Nothing was paid back.")
        self.preview = found


class NotPossible(Exception):
    """This refund is not in a state in which that can be done. The message says so."""


def request(payment: Payment, *, shown: str, reason: str, by: User | None, now: datetime) -> Refund:
    """Refund a payment as it was `shown` (`Preview.shown`); a worker pays it back.

    The credits leave the balance, the plan ends and auto-recharge is switched off at once, in one
    transaction. Raises NotRefundable, or NotAgreed if it would do anything else than was shown.
    """
    with transaction.atomic():
        # In the order in which choosing a plan locks them.
        Customer.objects.select_for_update(no_key=True).get(pk=payment.customer_id)
        list(Subscription.objects.select_for_update().filter(payments=payment))
        payment = Payment.objects.select_for_update().get(pk=payment.pk)
        found = preview(payment, now)
        if found.shown != shown:
            raise NotAgreed(found)
        if found.ends:
            choose.end(found.ends, now, reason="refunded")
        if found.switches_recharge_off:
            switch_off(customer_id=payment.customer_id, now=now)
        if found.grant is None:
            _give_up_waiting(payment, reason, now)
        refund = _start(found, reason, by, now)
        if found.grant:
            refund.reduced_to = _take(found, now)
            Refund.objects.filter(pk=refund.pk).update(reduced_to=refund.reduced_to)
    wake(ledger.wallet_of(payment.customer_id).pk)
    return refund


def send_again(refund: Refund, now: datetime) -> None:
    """Pay back once more what came back, under a key of its own. Raises NotPossible."""
    with transaction.atomic():
        came_back = Refund.objects.filter(pk=refund.pk, state=State.REFUSED)
        if not came_back.run_now(
            now,
            state=State.TAKEN_BACK,
            number=refund.number + 1,
            first_sent_at=None,
            reference="",
            failure="",
        ):
            raise NotPossible("it did not come back")


def settle_by_hand(refund: Refund, *, how: str, now: datetime) -> None:
    """Note that what came back was paid in another way, and tell the customer `how`.

    Raises NotPossible, also if the customer's bank has that money already.
    """
    with transaction.atomic():
        payment = Payment.objects.select_for_update().get(pk=refund.payment_id)
        if kept.at_bank_cents(payment) and kept.kept_cents(payment) < refund.amount_cents:
            raise NotPossible(
                "the customer disputes it, and the bank has this money: give the credits back, of "
                "which a lost dispute takes what its money has bought"
            )
        came_back = Refund.objects.filter(pk=refund.pk, state=State.REFUSED)
        if not came_back.update(
            state=State.PAID_BACK, settled_at=now, failure=f"Paid by hand: {how}"
        ):
            raise NotPossible("it did not come back")
        Payment.objects.filter(pk=refund.payment_id, state=Payment.State.REFUNDING).update(
            state=Payment.State.REFUNDED, settled_at=now
        )
        data = {
            "payment": str(refund.payment_id),
            "amount_cents": refund.amount_cents,
            "credits": refund.credits,
            "reason": refund.reason,
            "how": how,
        }
        emit(refund.customer_id, "payment.refunded", f"{refund.pk}-by-hand", data, now)


def call_off(refund: Refund, now: datetime) -> None:
    """Have a worker give the credits back instead. Raises NotPossible.

    For one that came back, or that can never be paid (its job needs a person).
    """
    rows = Refund.objects.filter(pk=refund.pk)
    stuck = rows.dead().filter(state__in=[State.REQUESTED, State.TAKEN_BACK])
    called_off = rows.filter(state=State.REFUSED).run_now(now, state=State.RETURNING)
    if not (called_off or stuck.run_now(now, state=State.RETURNING)):
        raise NotPossible("it is paid back, or on its way")


def _give_up_waiting(payment: Payment, reason: str, now: datetime) -> None:
    """Fail the top-up or the recharge that would never have got its credits."""
    for rows in waiting(payment):
        for row in rows.select_for_update():
            type(row).objects.filter(pk=row.pk).cancel(
                state="failed", failure=reason, settled_at=now
            )


def _start(found: Preview, reason: str, by: User | None, now: datetime) -> Refund:
    try:
        return payments.start_refund(
            found.payment,
            amount_cents=found.amount_cents,
            credits=found.credits,
            grant=found.grant,
            reason=reason,
            by=by,
            now=now,
        )
    except payments.NotRefundable:
        raise NotRefundable("The payment has just changed. Look at it again.") from None


def _take(found: Preview, now: datetime) -> int:
    """Take the credits out of the balance. Returns how many their grant keeps."""
    if found.grant is None:
        raise ValueError("no credits to take")
    try:
        ledger.reduce(grant_id=found.grant.pk, credits=found.credits, now=now)
    except ledger.NotLeft:  # spent or reserved in this moment
        raise NotAgreed(found) from None
    found.grant.refresh_from_db(fields=["reduced_to"])
    return found.grant.reduced_to or 0

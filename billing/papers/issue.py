"""Issuing papers, each once: what is printed on it is stored then, and never changes.

A receipt is issued in the transaction in which the money is taken. What has none yet (a refund, an
older charge, an invoice) is issued when it is first asked for, or when the invoice is read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from billing.models import Invoice, Paper, Payment, PaymentAttempt, Refund

from . import content, profiles

State = Payment.State
TAKEN = {State.CHARGED, State.REFUNDING, State.REFUNDED}  # states in which money was taken


class NothingToPrint(Exception):
    """No money has moved, or the invoice is not final yet."""


def receipt(payment: Payment, *, now: datetime, card: str | None = None) -> Paper:
    """The receipt of a charge, made out to the billing profile of the moment.

    `card` is what it was paid with; by default as the attempt says. Raises NothingToPrint.
    """
    if payment.state not in TAKEN:
        raise NothingToPrint
    if found := _paper(Paper.Kind.RECEIPT, payment=payment):
        return found
    label = _card_of(payment) if card is None else card
    printed = content.of_receipt(
        payment,
        label,
        profiles.buyer(payment.customer),
        is_reverse_charged=profiles.is_reverse_charged(payment.customer),
    )
    return _store(Paper.Kind.RECEIPT, payment.customer_id, printed, now, payment=payment)


def refund(payment: Payment, *, now: datetime) -> Paper:
    """The receipt of what was paid back, made out as that of the charge. Raises NothingToPrint.

    If the bank sends a refund back, the next one has a paper of its own.
    """
    if payment.state != State.REFUNDED:
        raise NothingToPrint
    moment = payment.settled_at or now
    number = content.number(Paper.Kind.REFUND, payment.pk, moment) + _again(payment)
    if found := _paper(Paper.Kind.REFUND, payment=payment, number=number):
        return found
    of_charge = receipt(payment, now=payment.settled_at or now)
    buyer, card = of_charge.content["buyer"], of_charge.content["paid_with"]
    printed = content.of_refund(
        payment, card, buyer, of_charge.number, no_tax=of_charge.content["no_tax"]
    )
    return _store(
        Paper.Kind.REFUND, payment.customer_id, printed, moment, payment=payment, number=number
    )


def _again(payment: Payment) -> str:
    """What is added to the number of a refund's paper: -2 for the second refund of a payment."""
    paid = payment.refunds.filter(state=Refund.State.PAID_BACK).order_by("-pk").first()
    nth = payment.refunds.filter(pk__lte=paid.pk).count() if paid else 1
    return f"-{nth}" if nth > 1 else ""


def invoice(found: Invoice, *, now: datetime) -> Paper:
    """The invoice as a paper. That of a charge is made out as its receipt. Raises NothingToPrint.

    Metronome changes a final invoice only by making it void and drawing up another.
    """
    if paper := _paper(Paper.Kind.INVOICE, invoice=found):
        return paper
    if found.status != Invoice.Status.FINALIZED:
        raise NothingToPrint
    payment, card, no_tax = found.payment, "", content.NO_TAX
    buyer = profiles.buyer(found.customer)
    if payment and payment.state in TAKEN:
        of_charge = receipt(payment, now=payment.settled_at or now)
        buyer, card = of_charge.content["buyer"], of_charge.content["paid_with"]
        no_tax = of_charge.content["no_tax"]
    printed = content.of_invoice(found, buyer, card, no_tax=no_tax)
    return _store(Paper.Kind.INVOICE, found.customer_id, printed, found.dated_at, invoice=found)


def _paper(kind: Paper.Kind, **of: Any) -> Paper | None:
    return Paper.objects.filter(kind=kind, **of).first()


def _store(
    kind: Paper.Kind, customer_id: Any, printed: dict[str, Any], issued_at: datetime, **of: Any
) -> Paper:
    """Store the paper, once: of two at the same time the first counts.

    `of`: what it is of, and its number if that has several papers of the kind.
    """
    row = of["invoice"].remote_id if "invoice" in of else of["payment"].pk
    paper, _ = Paper.objects.get_or_create(
        kind=kind,
        **of,
        defaults={
            "customer_id": customer_id,
            "number": of.get("number") or content.number(kind, row, issued_at),
            "content": printed,
            "issued_at": issued_at,
        },
    )
    return paper


def _card_of(payment: Payment) -> str:
    attempt = PaymentAttempt.objects.filter(payment=payment, number=payment.attempt_number).first()
    return attempt.label if attempt else ""

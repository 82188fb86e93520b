"""What customers are told of their payments, in the transaction in which a payment moves."""

from __future__ import annotations

from datetime import datetime

from billing.models import Payment
from billing.papers import issue
from notifications import emit

from .requests import charge_name, stop_asking


def emit_received(payment: Payment, card_label: str, now: datetime) -> None:
    """Issue the receipt and send it, once for a payment.

    A recharge has a mail of its own with the same facts, once its credits are there.
    """
    stop_asking(payment, now)
    issue.receipt(payment, now=now, card=card_label)
    if payment.kind == Payment.Kind.RECHARGE:
        return
    data = {
        "payment": str(payment.pk),
        "kind": payment.kind,
        "what": _what(payment),
        "amount_cents": payment.amount_cents,
        "currency": payment.currency,
        "credits": payment.credits,
        "card": card_label,
    }
    if payment.tax_cents:
        data["tax_cents"] = payment.tax_cents
    emit(payment.customer_id, "payment.received", str(payment.pk), data, now)


def emit_action_needed(payment: Payment, now: datetime) -> None:
    """Ask for the confirmation that the customer's bank wants, once for each charge."""
    data = {
        "payment": str(payment.pk),
        "what": _what(payment),
        "amount_cents": payment.amount_cents,
        "confirm_by": payment.confirm_by_at.isoformat() if payment.confirm_by_at else None,
    }
    emit(payment.customer_id, "payment.action_needed", charge_name(payment), data, now)


def _what(payment: Payment) -> str:
    if payment.subscription:
        return f"{payment.subscription.plan.title()} plan"
    is_recharge = payment.kind == Payment.Kind.RECHARGE
    return "automatic recharge" if is_recharge else str(payment.get_kind_display())

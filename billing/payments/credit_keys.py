"""The uniqueness keys under which Metronome grants what is paid for: once, however often asked.

Who grants and who looks for what may be granted already write the same key.
"""

from __future__ import annotations

from uuid import UUID

from billing.models import Payment, Purchase


def of(payment: Payment) -> str:
    """That of a payment's credits; "" if nothing says which they are.

    A recharge that Metronome has charged itself has no key of ours; its commit is known by its
    invoice.
    """
    match payment.kind:
        case Payment.Kind.PLAN if payment.subscription_id and payment.period is not None:
            return of_plan(payment.customer_id, payment.subscription_id, payment.period)
        case Payment.Kind.PACK:
            purchase = Purchase.objects.filter(payment=payment).first()
            return of_pack(payment.customer_id, purchase.pk) if purchase else ""
        case Payment.Kind.RECHARGE:
            return of_recharge(payment.pk)
    return ""


def of_plan(customer_id: UUID, subscription_id: int, period: int) -> str:
    return f"vocalis-sub-{customer_id}-{subscription_id}-{period}"


def of_pack(customer_id: UUID, purchase_id: int) -> str:
    return f"vocalis-pack-{customer_id}-{purchase_id}"


def of_recharge(payment_id: UUID) -> str:
    return f"vocalis-payment-{payment_id}"

"""Attempts at a payment: stored before they are sent, and looked up before they are repeated.

A gateway remembers a key for a day at least. Within that time the same request under the same key
is the best way to ask what became of it: it cannot charge twice. After that it would, so the charge
is looked up in the gateway's list. Only an attempt that the gateway does not know then is given up,
and another one takes the next number and a new key.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from billing.models import Payment, PaymentAttempt

from . import declines, tax
from .cards import card_of
from .gateways import Charge, Gateway, GatewayDeclined, GatewayUnavailable

Outcome = PaymentAttempt.Outcome

# Gateways promise 24 hours. The rest is for clocks that differ and calls that take long.
KEY_LASTS = timedelta(hours=20)
NO_CARD = "There is no card to charge."


class NeverHappened(Exception):
    """The gateway has no charge of this attempt, and its key is too old to be used again."""


def key_of(payment: Payment, number: int) -> str:
    return f"vocalis-payment-{payment.pk}-{number}"


def current(payment: Payment) -> PaymentAttempt | None:
    """The attempt under way or the last one, None before the first."""
    return PaymentAttempt.objects.filter(payment=payment, number=payment.attempt_number).first()


def prepare(payment: Payment, provider: Gateway, now: datetime) -> PaymentAttempt:
    """The attempt under way, stored by the first call with the customer's card of that moment.

    Raises GatewayDeclined if there is no card to charge, or only one that must not be tried again;
    `tax.Differs`, or what the gateway raises when it is asked for the tax.
    """
    if attempt := current(payment):
        return attempt
    card = card_of(payment.customer_id)
    if card is None or card.gateway != payment.gateway:
        raise GatewayDeclined(NO_CARD, Payment.Decline.NEW_CARD)
    if not declines.may_try(payment, card):  # chosen again since
        raise GatewayDeclined("This card cannot be charged.", Payment.Decline.NEW_CARD)
    attempt = PaymentAttempt(
        payment=payment,
        number=payment.attempt_number,
        key=key_of(payment, payment.attempt_number),
        method_reference=card.reference,
        fingerprint=card.fingerprint,
        label=card.label,
        amount_cents=payment.amount_cents,
        currency=payment.currency,
        created_at=now,
    )
    attempt.parameters = provider.parameters(
        attempt,
        description=description_of(payment),
        tax_reference=tax.check(payment, provider, now),
    )
    # Another worker may have stored it meanwhile, with another card; then that one counts.
    with transaction.atomic():
        PaymentAttempt.objects.bulk_create([attempt], ignore_conflicts=True)
        return PaymentAttempt.objects.get(payment=payment, number=payment.attempt_number)


def send(attempt: PaymentAttempt, provider: Gateway, now: datetime) -> Charge:
    """Have the attempt charged, or find out what became of it.

    Raises NeverHappened, or what the gateway raises.
    """
    is_old = attempt.first_sent_at is not None and now - attempt.first_sent_at >= KEY_LASTS
    if attempt.gateway_reference or attempt.is_doubtful or is_old:
        charge = provider.find(attempt)
        if charge:
            return charge
        if is_old:
            raise NeverHappened
    if attempt.first_sent_at is None:
        PaymentAttempt.objects.filter(pk=attempt.pk, first_sent_at=None).update(first_sent_at=now)
    try:
        return provider.charge(attempt)
    except GatewayUnavailable as error:
        if error.is_doubtful:
            PaymentAttempt.objects.filter(pk=attempt.pk).update(is_doubtful=True)
        raise


def record(attempt: PaymentAttempt, outcome: Outcome, charge: Charge | None = None) -> None:
    """Store what came of the attempt. Called in the transaction that moves the payment."""
    known = {"outcome": outcome, "is_doubtful": False}
    if charge:
        known |= {"gateway_reference": charge.reference, "receipt_url": charge.receipt_url}
    PaymentAttempt.objects.filter(pk=attempt.pk).update(**known)


def record_decline(attempt: PaymentAttempt, declined: GatewayDeclined) -> None:
    """Store a decline. Called in the transaction that moves the payment."""
    PaymentAttempt.objects.filter(pk=attempt.pk).update(
        outcome=Outcome.DECLINED,
        decline=declined.decline,
        message=str(declined),
        gateway_reference=declined.reference or attempt.gateway_reference,
        is_doubtful=False,
    )


def description_of(payment: Payment) -> str:
    """What the gateway, the bank and its customer read of it."""
    if payment.subscription:
        return f"Vocalis {payment.subscription.plan.title()} plan"
    if payment.kind == Payment.Kind.PACK and payment.credits:
        return f"Vocalis top-up, {payment.credits:,} credits"
    return f"Vocalis {payment.get_kind_display()}"

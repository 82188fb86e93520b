"""Handlers of Stripe's webhooks. Each reads the object again: events come late, twice, reversed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from django.db import transaction

from billing.models import (
    CardSetup,
    GatewayCustomer,
    InboundWebhook,
    Payment,
    PaymentAttempt,
    PaymentMethod,
)
from billing.payments import late, pay_page, setups
from billing.payments.gateways import ChargeState
from billing.payments.gateways.stripe import charges, events

from . import stripe_money_back as money_back
from .stripe_objects import GATEWAY, by_metadata, object_of, ours

Handler = Callable[[InboundWebhook, datetime], str]

STATES_OPEN = Payment.State.CHARGING, Payment.State.REQUIRES_ACTION, Payment.State.AT_PAGE


def table() -> dict[str, Handler]:
    """Handlers by type, or by family of types."""
    return {
        "checkout.session.*": read_session,
        "setup_intent.*": read_card_setup,
        "payment_intent.*": read_payment,
        "refund.*": money_back.read_refund,
        "charge.refunded": money_back.read_refunds,
        "charge.dispute.*": money_back.read_dispute,
        "radar.early_fraud_warning.*": money_back.read_warning,
        "review.*": money_back.read_review,
        "payment_method.*": read_card,
        "customer.deleted": forget_customer,
    }


def read_session(event: InboundWebhook, now: datetime) -> str:
    """Somebody paid at Stripe's page, typed a card in there, or left it."""
    if object_of(event).get("mode") == "payment":
        return read_pay_page(event, now)
    return read_card_setup(event, now)


def read_pay_page(event: InboundWebhook, now: datetime) -> str:
    """Have the payment look at its page.

    The id of the session may not be stored yet if our process died while opening the page.
    """
    found = object_of(event)
    attempt = by_metadata(found)
    if attempt is None or not attempt.is_at_page:
        return "ignored: no payment of ours"
    PaymentAttempt.objects.filter(pk=attempt.pk, page_reference="").update(
        page_reference=str(found.get("id"))[:200]
    )
    return _looked_at(attempt, now)


def read_card_setup(event: InboundWebhook, now: datetime) -> str:
    """A card was typed in at Stripe's page, or the page was left: its job reads what became of it.

    The id of the session may not be stored yet if our process died while opening the page.
    """
    found = object_of(event)
    setup_id = ours(found, "vocalis_card_setup")
    rows = CardSetup.objects.filter(pk=setup_id, gateway=GATEWAY) if setup_id else None
    if rows is None or not rows.exists():
        return "ignored: no card is being saved here under it"
    if found.get("object") == "checkout.session":
        rows.filter(reference="").update(reference=str(found.get("id"))[:200])
    rows.filter(state=CardSetup.State.OPEN).run_now(now)
    return f"card setup {setup_id}"


def read_payment(event: InboundWebhook, now: datetime) -> str:
    """An intent changed: have its payment look at it.

    An intent that we do not know by its id is one whose answer got lost, or that Stripe completed
    after trouble of its own; its metadata says whose it is.
    """
    found = object_of(event)
    reference = str(found.get("id") or "-")[:200]
    attempt = PaymentAttempt.objects.filter(gateway_reference=reference).first()
    if attempt is None:
        attempt = by_metadata(found)
        if attempt is None:
            return "ignored: no payment of ours"
        PaymentAttempt.objects.filter(pk=attempt.pk, gateway_reference="").update(
            gateway_reference=reference
        )
    return _looked_at(attempt, now)


def _looked_at(found: PaymentAttempt, now: datetime) -> str:
    """Make the attempt's payment due if it is under way, else see whether it took money."""
    # Both in one statement: of a payment that a worker charges between two of them, the attempt
    # would look unpaid and the payment over, and what the customer has just paid would go back.
    attempt = PaymentAttempt.objects.select_related("payment").get(pk=found.pk)
    payment = attempt.payment
    if attempt.number == payment.attempt_number and payment.state in STATES_OPEN:
        Payment.objects.filter(pk=payment.pk, state__in=STATES_OPEN).run_now(now)
        return f"payment {payment.pk} is looked at"
    return _late(attempt, payment, now)


def read_card(event: InboundWebhook, now: datetime) -> str:
    """A card has a new number or expiry from its bank, or was removed at Stripe."""
    reference = str(object_of(event).get("id") or "-")
    return setups.refresh_card(gateway_name=GATEWAY, reference=reference)


def forget_customer(event: InboundWebhook, now: datetime) -> str:
    """Somebody deleted a customer at Stripe: the card cannot be charged any more."""
    reference = str(object_of(event).get("id") or "-")
    known = GatewayCustomer.objects.filter(gateway=GATEWAY, reference=reference).first()
    if known is None:
        return "no customer of ours"
    if not events.is_customer_deleted(reference):
        return "ignored: the customer is there"
    with transaction.atomic():
        PaymentMethod.objects.filter(customer=known.customer_id, gateway=GATEWAY).delete()
        known.delete()
    return f"customer {known.customer_id} has no card any more"


def _late(attempt: PaymentAttempt, payment: Payment, now: datetime) -> str:
    """An intent of an attempt that is over, or of a payment that has ended.

    If money was taken for it all the same, nobody waits for it any more: it is paid back, or the
    bank decides over it.
    """
    if attempt.outcome == PaymentAttempt.Outcome.PAID:
        return f"payment {payment.pk} is {payment.state}"
    charge = charges.StripeGateway().find(attempt)
    if charge is None or charge.state != ChargeState.PAID:
        return f"payment {payment.pk} is {payment.state}"
    done = ""
    with suppress(late.BankHasIt):
        done = late.pay_back(attempt, charges.StripeGateway(), charge)
    if attempt.page_reference:
        pay_page.forget_card(attempt, pay_page.look(attempt, is_over=True, now=now), now)
    return done or late.take(attempt, charge, now)

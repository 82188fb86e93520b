"""Handlers of Stripe's webhooks. Each reads the object again: events come late, twice, reversed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.models import (
    CardSetup,
    GatewayCustomer,
    InboundWebhook,
    Payment,
    PaymentAttempt,
    PaymentMethod,
)
from billing.payments import attempts, setups
from billing.payments.gateways import ChargeState
from billing.payments.gateways.stripe import charges, events
from jobs.errors import Snooze

Handler = Callable[[InboundWebhook, datetime], str]

GATEWAY = charges.NAME
STATES_OPEN = Payment.State.CHARGING, Payment.State.REQUIRES_ACTION
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# A refund may be told of before our worker has stored its id.
UNKNOWN_REFUND_SECONDS = 60


def table() -> dict[str, Handler]:
    """Handlers by type, or by family of types."""
    return {
        "checkout.session.*": read_card_setup,
        "setup_intent.*": read_card_setup,
        "payment_intent.*": read_payment,
        "refund.*": read_refund,
        "charge.refunded": ignore_charge,
        "payment_method.*": read_card,
        "customer.deleted": forget_customer,
    }


def read_card_setup(event: InboundWebhook, now: datetime) -> str:
    """A card was typed in at Stripe's page, or the page was left: its job reads what became of it.

    The id of the session may not be stored yet if our process died while opening the page.
    """
    found = _object(event)
    setup_id = _ours(found, "vocalis_card_setup")
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
    found = _object(event)
    reference = str(found.get("id") or "-")[:200]
    attempt = PaymentAttempt.objects.filter(gateway_reference=reference).first()
    if attempt is None:
        attempt = _by_metadata(found)
        if attempt is None:
            return "ignored: no payment of ours"
        PaymentAttempt.objects.filter(pk=attempt.pk, gateway_reference="").update(
            gateway_reference=reference
        )
        attempt.refresh_from_db()
    payment = attempt.payment
    if attempt.number == payment.attempt_number and payment.state in STATES_OPEN:
        Payment.objects.filter(pk=payment.pk, state__in=STATES_OPEN).run_now(now)
        return f"payment {payment.pk} is looked at"
    return _late(attempt, payment, now)


def read_refund(event: InboundWebhook, now: datetime) -> str:
    """A refund changed. One that the bank refused days later puts the payment before a person."""
    found = _object(event)
    reference = str(found.get("id") or "-")[:200]
    attempt = PaymentAttempt.objects.filter(refund_reference=reference).first()
    if attempt is None:
        if now - event.received_at < timedelta(seconds=UNKNOWN_REFUND_SECONDS):
            raise Snooze("no refund of ours has this id yet", seconds=20)
        return "ignored: not asked for here"
    if found.get("status") not in ("failed", "canceled"):
        return f"refund of payment {attempt.payment_id}"
    rows = Payment.objects.filter(pk=attempt.payment_id, state=Payment.State.REFUNDED)
    if rows.run_now(now, state=Payment.State.REFUNDING, settled_at=None):
        return f"payment {attempt.payment_id}: its refund is looked at again"
    return f"refund of payment {attempt.payment_id} is looked at already"


def ignore_charge(event: InboundWebhook, now: datetime) -> str:
    return "nothing to do: the events of the refund tell it"


def read_card(event: InboundWebhook, now: datetime) -> str:
    """A card has a new number or expiry from its bank, or was removed at Stripe."""
    reference = str(_object(event).get("id") or "-")
    return setups.refresh_card(gateway_name=GATEWAY, reference=reference)


def forget_customer(event: InboundWebhook, now: datetime) -> str:
    """Somebody deleted a customer at Stripe: the card cannot be charged any more."""
    reference = str(_object(event).get("id") or "-")
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

    If money was taken for it all the same, nobody waits for it any more: it is paid back.
    """
    if attempt.outcome == PaymentAttempt.Outcome.PAID:
        return f"payment {payment.pk} is {payment.state}"
    charge = charges.StripeGateway().find(attempt)
    if charge is None or charge.state != ChargeState.PAID:
        return f"payment {payment.pk} is {payment.state}"
    return attempts.pay_back(attempt, charges.StripeGateway(), charge)


def _by_metadata(found: dict[str, Any]) -> PaymentAttempt | None:
    payment_id = _ours(found, "vocalis_payment")
    number = _metadata(found, "attempt")
    if not payment_id or not (number.isascii() and number.isdecimal() and len(number) < 6):
        return None
    return (
        PaymentAttempt.objects.select_related("payment")
        .filter(payment_id=UUID(payment_id), number=int(number), payment__gateway=GATEWAY)
        .first()
    )


def _ours(found: dict[str, Any], name: str) -> str:
    """An id of ours in the metadata, "" if there is none."""
    text = _metadata(found, name)
    return text if ID.fullmatch(text) else ""


def _metadata(found: dict[str, Any], name: str) -> str:
    metadata = found.get("metadata")
    return str((metadata if isinstance(metadata, dict) else {}).get(name) or "")


def _object(event: InboundWebhook) -> dict[str, Any]:
    data = event.payload.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}

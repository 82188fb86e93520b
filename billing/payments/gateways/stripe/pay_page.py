"""A single payment by Checkout in payment mode: a page of Stripe's that takes any card."""

from __future__ import annotations

import time
from typing import Any

import stripe

from accounts.models import Customer
from billing.models import GatewayCustomer, Payment, PaymentAttempt
from billing.payments.gateways import (
    CardGone,
    ChargeState,
    GatewayUnavailable,
    SetupState,
    Visit,
)

from . import checkout, customers
from .client import call, client, for_page, plain
from .errors import StripeRejected
from .intents import charge_of

EXPANDED = ["payment_intent.latest_charge", "payment_intent.payment_method"]
# A double click opens the page twice at once. The second is told to wait for the first.
WAITS = 4
WAIT_SECONDS = 0.5


def ready(customer: Customer) -> None:
    with for_page():
        customers.reference_of(customer)


def parameters(
    attempt: PaymentAttempt,
    *,
    description: str,
    done_url: str,
    cancel_url: str,
    keeps_card: bool,
) -> dict[str, Any]:
    payment = attempt.payment
    known = GatewayCustomer.objects.filter(
        customer_id=payment.customer_id, gateway=customers.NAME
    ).first()
    if known is None:
        raise CardGone("The page cannot be opened.", Payment.Decline.NEW_CARD)
    currency = attempt.currency.lower()
    ours = {"vocalis_payment": str(payment.pk), "attempt": str(attempt.number)}
    intent: dict[str, Any] = {"description": description, "metadata": ours}
    kept: dict[str, Any] = {}
    if keeps_card:
        intent["setup_future_usage"] = "off_session"
        kept = {"custom_text": {"submit": {"message": checkout.CONSENT}}}
    lines = {description: payment.net_cents, "Tax": payment.tax_cents}
    return {
        "mode": "payment",
        "customer": known.reference,
        "line_items": [
            {
                "price_data": {
                    "currency": currency,
                    "unit_amount": cents,
                    "product_data": {"name": name},
                },
                "quantity": 1,
            }
            for name, cents in lines.items()
            if cents
        ],
        "allowed_payment_method_types": ["card"],
        # Exactly the amount that was shown, in its currency.
        "adaptive_pricing": {"enabled": False},
        "submit_type": "pay",
        "success_url": done_url,
        "cancel_url": cancel_url,
        "client_reference_id": str(payment.pk),
        "metadata": ours,
        "payment_intent_data": intent,
        **kept,
    }


def open(attempt: PaymentAttempt) -> tuple[str, str]:
    with for_page():
        session = plain(_created(attempt))
        if session["status"] == "open" and session.get("url"):
            return str(session["id"]), str(session["url"])
    return str(session["id"]), ""


def url_of(reference: str) -> str:
    with for_page():
        session = plain(call(lambda: client().v1.checkout.sessions.retrieve(reference)))
    return str(session.get("url") or "") if session["status"] == "open" else ""


def read(reference: str) -> Visit:
    expanded: Any = {"expand": EXPANDED}
    return _visit(plain(call(lambda: client().v1.checkout.sessions.retrieve(reference, expanded))))


def close(reference: str) -> Visit:
    expanded: Any = {"expand": EXPANDED}
    try:
        answer = call(lambda: client().v1.checkout.sessions.expire(reference, expanded))
    except StripeRejected:  # it is paid by now, or was closed before
        return read(reference)
    return _visit(plain(answer))


def _created(attempt: PaymentAttempt) -> stripe.StripeObject:
    fields: Any = attempt.parameters
    options: Any = {"idempotency_key": attempt.key}
    for _ in range(WAITS):
        try:
            return call(lambda: client().v1.checkout.sessions.create(fields, options))
        except GatewayUnavailable as error:
            if not error.is_under_way:
                raise
            time.sleep(WAIT_SECONDS)
    return call(lambda: client().v1.checkout.sessions.create(fields, options))


def _visit(session: dict[str, Any]) -> Visit:
    if session["status"] == "expired":
        return Visit(SetupState.EXPIRED)
    intent = session.get("payment_intent")
    if session["status"] != "complete" or not isinstance(intent, dict):
        return Visit(SetupState.OPEN)
    charge, method = charge_of(intent), intent.get("payment_method")
    if charge.state not in (ChargeState.PAID, ChargeState.PENDING):
        return Visit(SetupState.EXPIRED)  # called off at Stripe's Dashboard
    return Visit(
        SetupState.DONE,
        charge,
        amount_cents=int(intent["amount"]),
        currency=str(intent["currency"]).upper(),
        card=checkout.card_of(method) if isinstance(method, dict) else None,
        is_card_kept=intent.get("setup_future_usage") == "off_session",
    )

"""Charges by PaymentIntents, off session; confirmed by the customer where the bank wants that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings

from billing.models import BillingProfile, GatewayCustomer, Payment, PaymentAttempt
from billing.payments.gateways import (
    AlreadyRefunded,
    CardGone,
    Charge,
    ChargeState,
    GatewayDeclined,
    HostedCards,
    PayPage,
    Refund,
    RefundState,
    Tax,
)

from . import checkout, pay_page, tax
from .client import call, client, for_page, pages, plain
from .errors import StripeRejected
from .intents import charge_of

NAME = "stripe"
# For clocks that differ: a charge may have been made a little before we think that we sent it.
LOOK_BACK = timedelta(seconds=300)
# How the bank sees a charge without the customer present.
CREDENTIAL_USAGE = {Payment.Kind.PLAN: "recurring"}
CREDENTIAL_USAGE_ELSE = "unscheduled"


class StripeGateway:
    @property
    def is_real_money(self) -> bool:
        return "_test_" not in settings.STRIPE_SECRET_KEY

    @property
    def hosted(self) -> HostedCards:
        return checkout

    @property
    def pay_page(self) -> PayPage:
        return pay_page

    def tax(self, profile: BillingProfile, *, cents: int, currency: str, is_part: bool) -> Tax:
        return tax.calculate(profile, cents=cents, currency=currency, is_part=is_part)

    def parameters(
        self, attempt: PaymentAttempt, *, description: str, tax_reference: str = ""
    ) -> dict[str, Any]:
        known = GatewayCustomer.objects.filter(
            customer_id=attempt.payment.customer_id, gateway=NAME
        ).first()
        if known is None:
            raise CardGone("There is no card to charge.", Payment.Decline.NEW_CARD)
        usage = CREDENTIAL_USAGE.get(attempt.payment.kind, CREDENTIAL_USAGE_ELSE)  # type: ignore[call-overload]
        # Stripe Tax then records the charge by itself, and its refunds.
        hooks = {"hooks": {"inputs": {"tax": {"calculation": tax_reference}}}}
        return {
            "amount": attempt.amount_cents,
            "currency": attempt.currency.lower(),
            "customer": known.reference,
            "payment_method": attempt.method_reference,
            "confirm": True,
            "off_session": True,
            "error_on_requires_action": True,
            "allowed_payment_method_types": ["card"],
            "description": description,
            "metadata": {
                "vocalis_payment": str(attempt.payment_id),
                "attempt": str(attempt.number),
            },
            "payment_method_options": {"card": {"stored_credential_usage": usage}},
            "expand": ["latest_charge"],
            **(hooks if tax_reference else {}),
        }

    def charge(self, attempt: PaymentAttempt) -> Charge:
        parameters: Any = attempt.parameters
        options: Any = {"idempotency_key": attempt.key}
        try:
            made = call(lambda: client().v1.payment_intents.create(parameters, options))
        except GatewayDeclined as declined:
            return _waiting(declined)
        return charge_of(plain(made))

    def find(self, attempt: PaymentAttempt) -> Charge | None:
        intent = _retrieve(attempt) if attempt.gateway_reference else _listed(attempt)
        if intent is None:
            return None
        unfinished = intent["status"] in ("requires_confirmation", "requires_payment_method")
        is_open = attempt.outcome == PaymentAttempt.Outcome.OPEN
        is_ours = unfinished and is_open and not attempt.is_at_page
        if is_ours and not intent.get("last_payment_error"):
            # Stripe stored it and fell over. An intent is paid once, however often it is confirmed.
            return _confirm_off_session(intent["id"], attempt)
        return charge_of(intent)

    def confirmation_url(self, attempt: PaymentAttempt, *, return_url: str) -> str | None:
        with for_page():
            intent = _retrieve(attempt)
            if intent["status"] == "requires_payment_method":
                fields: Any = {
                    "payment_method": attempt.method_reference,
                    "return_url": return_url,
                }
                try:
                    intent = plain(
                        call(lambda: client().v1.payment_intents.confirm(intent["id"], fields))
                    )
                except StripeRejected:  # another tab was faster
                    intent = _retrieve(attempt)
        action = intent.get("next_action") or {}
        url = (action.get("redirect_to_url") or {}).get("url")
        return str(url) if url and intent["status"] == "requires_action" else None

    def cancel(self, attempt: PaymentAttempt) -> Charge:
        reference = attempt.gateway_reference
        try:
            return charge_of(plain(call(lambda: client().v1.payment_intents.cancel(reference))))
        except StripeRejected:  # it is paid by now, or was cancelled before
            return charge_of(_retrieve(attempt))

    def refund(self, attempt: PaymentAttempt, *, key: str, amount_cents: int) -> Refund:
        fields: Any = {
            "payment_intent": attempt.gateway_reference,
            "amount": amount_cents,
            "reason": "requested_by_customer",
            "metadata": {"vocalis_payment": str(attempt.payment_id), "vocalis_refund": key},
        }
        options: Any = {"idempotency_key": key}
        try:
            return _refund_of(plain(call(lambda: client().v1.refunds.create(fields, options))))
        except StripeRejected as refused:
            if refused.code not in ("charge_already_refunded", "charge_disputed"):
                raise
            # It may have been made under a key that Stripe has forgotten since.
            ours = self.refund_named(attempt, key)
            if ours and ours.state != RefundState.REFUSED:
                return ours
            if refused.code == "charge_disputed":
                raise GatewayDeclined("the customer disputes the charge at the bank") from refused
            raise AlreadyRefunded("somebody has refunded the charge at Stripe") from refused

    def refund_named(self, attempt: PaymentAttempt, key: str) -> Refund | None:
        made = pages(client().v1.refunds.list, payment_intent=attempt.gateway_reference)
        named = (one for one in made if one["metadata"].get("vocalis_refund") == key)
        found = next(named, None)
        return _refund_of(found) if found else None

    def find_refund(self, reference: str) -> Refund:
        return _refund_of(plain(call(lambda: client().v1.refunds.retrieve(reference))))


def _waiting(declined: GatewayDeclined) -> Charge:
    """Declined only until the customer has confirmed it: the intent is there. Raises the others."""
    if declined.decline != Payment.Decline.CUSTOMER or not declined.reference:
        raise declined
    return Charge(declined.reference, ChargeState.WAITING)


def _retrieve(attempt: PaymentAttempt) -> dict[str, Any]:
    expanded: Any = {"expand": ["latest_charge"]}
    reference = attempt.gateway_reference
    return plain(call(lambda: client().v1.payment_intents.retrieve(reference, expanded)))


def _listed(attempt: PaymentAttempt) -> dict[str, Any] | None:
    """The intent of this attempt among the customer's. Stripe's search lags, its lists do not."""
    since = (attempt.first_sent_at or attempt.created_at) - LOOK_BACK
    wanted = attempt.parameters["metadata"]
    found = pages(
        client().v1.payment_intents.list,
        customer=attempt.parameters["customer"],
        created={"gte": int(since.timestamp())},
        expand=["data.latest_charge"],
    )
    ours = (one for one in found if wanted.items() <= one["metadata"].items())
    return next(ours, None)


def _confirm_off_session(reference: str, attempt: PaymentAttempt) -> Charge:
    fields: Any = {
        "payment_method": attempt.method_reference,
        "off_session": True,
        "error_on_requires_action": True,
        "expand": ["latest_charge"],
    }
    options: Any = {"idempotency_key": f"{attempt.key}-confirm"}
    try:
        done = call(lambda: client().v1.payment_intents.confirm(reference, fields, options))
    except GatewayDeclined as declined:
        return _waiting(declined)
    return charge_of(plain(done))


def _refund_of(refund: dict[str, Any]) -> Refund:
    is_refused = refund["status"] in ("failed", "canceled")
    reason = str(refund.get("failure_reason") or refund["status"]).replace("_", " ")
    return Refund(
        str(refund["id"]),
        RefundState.REFUSED if is_refused else RefundState.PAID_BACK,
        f"{reason}." if is_refused else "",
    )

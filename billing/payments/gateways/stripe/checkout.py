"""Saving a card: Checkout in setup mode, a page of Stripe's where the card is typed in."""

from __future__ import annotations

from typing import Any

from accounts.models import Customer
from billing.models import BillingProfile, CardSetup
from billing.payments.gateways import Card, SavedCard, Setup, SetupState

from . import customers
from .client import call, client, for_page, plain

CONSENT = (
    "We keep this card at Stripe and charge it for your plan each month, and for recharges that "
    "you have switched on, without asking again. Each amount is shown before you agree to it."
)
BRANDS = {"amex": "American Express", "diners": "Diners Club", "jcb": "JCB", "unionpay": "UnionPay"}


def begin(setup: CardSetup, *, done_url: str, cancel_url: str) -> tuple[str, str]:
    """Open the page. Returns (id of the session, URL of the page).

    Called in web requests. Raises GatewayUnavailable or Rejected.
    """
    ours = {
        "vocalis_customer": str(setup.customer_id),
        "vocalis_card_setup": str(setup.pk),
    }
    with for_page():
        fields: Any = {
            "mode": "setup",
            "customer": customers.reference_of(setup.customer),
            "currency": "usd",
            "success_url": done_url,
            "cancel_url": cancel_url,
            "client_reference_id": str(setup.pk),
            "metadata": ours,
            "setup_intent_data": {"metadata": ours},
            "custom_text": {"submit": {"message": CONSENT}},
        }
        options: Any = {"idempotency_key": f"vocalis-card-{setup.pk}"}
        session = plain(call(lambda: client().v1.checkout.sessions.create(fields, options)))
    return str(session["id"]), str(session["url"])


def read(reference: str) -> Setup:
    """What became of a session. Raises GatewayUnavailable or Rejected."""
    expanded: Any = {"expand": ["setup_intent.payment_method"]}
    session = plain(call(lambda: client().v1.checkout.sessions.retrieve(reference, expanded)))
    customer = str(session.get("customer") or "")
    if session["status"] == "expired":
        return Setup(SetupState.EXPIRED, customer)
    intent = session.get("setup_intent") or {}
    method = intent.get("payment_method")
    if session["status"] != "complete" or not isinstance(method, dict):
        return Setup(SetupState.OPEN, customer)
    return Setup(SetupState.DONE, customer, card=card_of(method))


def card_of(method: dict[str, Any]) -> SavedCard:
    card = method.get("card") or {}
    brand = str(card.get("display_brand") or card.get("brand") or method.get("type") or "card")
    name = BRANDS.get(brand, brand.replace("_", " ").title())
    last4 = str(card.get("last4") or "")
    return SavedCard(
        Card(
            reference=str(method["id"]),
            label=f"{name} •••• {last4}" if last4 else name,
            fingerprint=str(card.get("fingerprint") or ""),
        ),
        brand=name,
        last4=last4,
        exp_month=card.get("exp_month"),
        exp_year=card.get("exp_year"),
    )


def saved_card(reference: str) -> tuple[str, SavedCard]:
    """(its customer's id, "" if it is nobody's; the card as Stripe knows it now)."""
    method = plain(call(lambda: client().v1.payment_methods.retrieve(reference)))
    return str(method.get("customer") or ""), card_of(method)


def set_default(customer: Customer, reference: str) -> None:
    customers.set_default_card(customer, reference)


def tell_profile(customer: Customer, profile: BillingProfile) -> None:
    customers.tell_profile(customer, profile)


def remove_card(reference: str) -> None:
    customers.detach(reference)


def remove_customer(reference: str) -> None:
    customers.delete(reference)


def remove_person(customer_id: str) -> None:
    customers.delete_all_of(customer_id)


def portal_url(customer: Customer, *, return_url: str) -> str:
    with for_page():
        return customers.portal_url(customer, return_url=return_url)

"""Our customers as Stripe's: made once, their default card, removed with the account."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from accounts.models import Customer
from billing.models import GatewayCustomer
from billing.payments.gateways import CardGone

from .client import call, client, plain

NAME = "stripe"


def reference_of(customer: Customer) -> str:
    """The customer's id at Stripe, who is made there by the first call.

    The key makes two calls at once one customer. It is forgotten after a day, so a customer that
    was made without our hearing of it is looked up by the address first.
    """
    if known := GatewayCustomer.objects.filter(customer=customer, gateway=NAME).first():
        return known.reference
    reference = _find(customer) or _create(customer)
    row, _ = GatewayCustomer.objects.get_or_create(
        customer=customer, gateway=NAME, defaults={"reference": reference}
    )
    return row.reference


def set_default_card(customer_reference: str, card_reference: str) -> None:
    """Charges that others make of this customer (invoices at Stripe) use the card, too."""
    fields: Any = {"invoice_settings": {"default_payment_method": card_reference}}
    call(lambda: client().v1.customers.update(customer_reference, fields))


def detach(card_reference: str) -> None:
    """Remove a card for good. Safe to repeat."""
    try:
        call(lambda: client().v1.payment_methods.detach(card_reference))
    except CardGone:
        return  # as it should be: somebody removed it before


def delete(customer_reference: str) -> None:
    """Delete the customer with all cards. Safe to repeat."""
    try:
        call(lambda: client().v1.customers.delete(customer_reference))
    except CardGone:
        return  # as it should be: somebody deleted it before


def portal_url(customer: Customer, *, return_url: str) -> str:
    """A page at Stripe where the customer sees and changes billing address and tax id."""
    fields: Any = {"customer": reference_of(customer), "return_url": return_url}
    return str(plain(call(lambda: client().v1.billing_portal.sessions.create(fields)))["url"])


def _find(customer: Customer) -> str:
    fields: Any = {"email": customer.user.email, "limit": 100}
    found = plain(call(lambda: client().v1.customers.list(fields)))["data"]
    ours = (one for one in found if one["metadata"].get("vocalis_customer") == str(customer.pk))
    return str(next(ours, {"id": ""})["id"])


def _create(customer: Customer) -> str:
    fields: Any = {
        "email": customer.user.email,
        "name": customer.user.get_full_name(),
        "metadata": {"vocalis_customer": str(customer.pk)},
    }
    # A key stands for one request, and address and name may have changed since the first try.
    sent = hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:12]
    options: Any = {"idempotency_key": f"vocalis-customer-{customer.pk}-{sent}"}
    return str(plain(call(lambda: client().v1.customers.create(fields, options)))["id"])

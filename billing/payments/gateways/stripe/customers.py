"""Our customers as Stripe's: made once, their default card, removed with the account."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from accounts.models import Customer
from billing.models import BillingProfile, GatewayCustomer, Payment
from billing.papers import tax_ids
from billing.payments.gateways import CardGone

from .client import call, client, plain
from .errors import StripeRejected

NAME = "stripe"
MISSING = "resource_missing"  # Stripe's code for what it does not know, or has deleted
ADDRESS = ("line1", "line2", "postal_code", "city", "state", "country")


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


def set_default_card(customer: Customer, card_reference: str) -> None:
    """Charges that others make of this customer (invoices at Stripe) use the card, too.

    Raises CardGone if card or customer is not there any more.
    """
    gone = CardGone("This card is not there any more.", Payment.Decline.NEW_CARD)
    known = GatewayCustomer.objects.filter(customer=customer, gateway=NAME).first()
    if known is None:
        raise gone
    fields: Any = {"invoice_settings": {"default_payment_method": card_reference}}
    try:
        call(lambda: client().v1.customers.update(known.reference, fields))
    except StripeRejected as refused:
        if refused.code != MISSING:
            raise
        raise gone from refused


def tell_profile(customer: Customer, profile: BillingProfile) -> None:
    """Name, address and tax id as our profile has them. Safe to repeat.

    A tax id at Stripe is never changed: another one is made, and the former deleted.
    """
    reference = reference_of(customer)
    fields: Any = {"name": profile.name, "address": address_of(profile), "expand": ["tax_ids"]}
    kept = plain(call(lambda: client().v1.customers.update(reference, fields)))
    wanted = tax_ids.at_stripe(profile.country, profile.tax_id)
    there = [(one["type"], one["value"]) for one in kept["tax_ids"]["data"]]
    if wanted and wanted not in there:
        given: Any = {"type": wanted[0], "value": wanted[1]}
        call(lambda: client().v1.customers.tax_ids.create(reference, given))
    for one in kept["tax_ids"]["data"]:
        if (one["type"], one["value"]) != wanted:
            _remove_tax_id(reference, str(one["id"]))


def address_of(profile: BillingProfile) -> dict[str, str]:
    """What is left out is empty there; an empty text is refused."""
    return {name: text for name in ADDRESS if (text := getattr(profile, name))}


def _remove_tax_id(customer_reference: str, tax_id: str) -> None:
    with _may_be_gone():  # another worker removed it
        call(lambda: client().v1.customers.tax_ids.delete(customer_reference, tax_id))


def detach(card_reference: str) -> None:
    """Remove a card for good. Safe to repeat."""
    methods = client().v1.payment_methods
    try:
        call(lambda: methods.detach(card_reference))
    except CardGone:
        return  # as it should be: somebody removed it before
    except StripeRejected:
        # So says Stripe of one that is detached already, as when the first answer got lost.
        if plain(call(lambda: methods.retrieve(card_reference))).get("customer"):
            raise


def delete(customer_reference: str) -> None:
    """Delete the customer with all cards. Safe to repeat."""
    with _may_be_gone():  # somebody deleted it before
        call(lambda: client().v1.customers.delete(customer_reference))


@contextmanager
def _may_be_gone() -> Iterator[None]:
    """For what is removed: that it is not there any more is as it should be."""
    try:
        yield
    except CardGone:
        return
    except StripeRejected as refused:
        if refused.code != MISSING:
            raise


def delete_all_of(customer_id: str) -> None:
    """Delete every customer that was ever made there for this one of ours. Safe to repeat.

    One may have been made without our hearing of it, under an address that has changed since.
    Stripe's search finds a customer a minute after it was made.
    """
    wanted: Any = {"query": f"metadata['vocalis_customer']:'{customer_id}'", "limit": 100}
    for found in plain(call(lambda: client().v1.customers.search(wanted)))["data"]:
        delete(str(found["id"]))


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
    key = f"vocalis-customer-{customer.pk}-{sent}"
    made, is_repeated = _create_once(fields, key)
    if is_repeated and _is_deleted(made):  # under a key Stripe repeats its answer for a day
        made, _ = _create_once(fields, f"{key}-after-{made}")
    return made


def _create_once(fields: Any, key: str) -> tuple[str, bool]:
    """(The id, whether it is the answer to an earlier call with this key)."""
    options: Any = {"idempotency_key": key}
    made = call(lambda: client().v1.customers.create(fields, options))
    answer = made.last_response
    is_repeated = answer is not None and "Idempotent-Replayed" in answer.headers
    return str(plain(made)["id"]), is_repeated


def _is_deleted(reference: str) -> bool:
    return bool(plain(call(lambda: client().v1.customers.retrieve(reference))).get("deleted"))

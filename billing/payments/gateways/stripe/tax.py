"""Stripe Tax: what tax an amount has at an address.

https://docs.stripe.com/tax/payment-intent
"""

from __future__ import annotations

from typing import Any

from billing.models import BillingProfile
from billing.papers import tax_ids
from billing.payments.gateways import Tax, TaxUnknown

from . import customers
from .client import call, client, for_page, plain
from .errors import StripeRejected

NO_PLACE = "customer_tax_location_invalid"


def calculate(profile: BillingProfile, *, cents: int, currency: str, is_part: bool) -> Tax:
    """See `Gateway.tax`. By the address that papers print, whatever Stripe's customer has."""
    behaviour = "inclusive" if is_part else "exclusive"
    details: dict[str, Any] = {
        "address": customers.address_of(profile),
        "address_source": "billing",
    }
    if tax_id := tax_ids.at_stripe(profile.country, profile.tax_id):
        details["tax_ids"] = [{"type": tax_id[0], "value": tax_id[1]}]
    fields: Any = {
        "currency": currency.lower(),
        "customer_details": details,
        "line_items": [{"amount": cents, "reference": "credits", "tax_behavior": behaviour}],
    }
    try:
        with for_page():  # within the lease of a payment there is no time for more
            made = plain(call(lambda: client().v1.tax.calculations.create(fields)))
    except StripeRejected as refused:
        if refused.code == NO_PLACE:
            raise TaxUnknown from refused
        raise
    tax = made["tax_amount_inclusive" if is_part else "tax_amount_exclusive"]
    parts = sum(1 for part in made["tax_breakdown"] if part["amount"])
    reasons = {part["taxability_reason"] for part in made["tax_breakdown"]}
    return Tax(str(made["id"]), int(tax), parts, is_reverse_charged="reverse_charge" in reasons)

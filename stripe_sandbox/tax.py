"""Tax calculations with fixed rates: what a country takes, whoever sells and whatever is sold."""

from datetime import timedelta
from typing import Any

from stripe_sandbox.find import customer, find
from stripe_sandbox.payment_intents import CURRENCIES
from stripe_sandbox.payment_methods import NO_ADDRESS
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, moment, refused, unix
from stripe_sandbox.world import World

VALID_FOR = timedelta(days=90)
# Percent; of states of the US by code.
RATES = {
    "AT": 20.0,
    "AU": 10.0,
    "BE": 21.0,
    "CH": 8.1,
    "DE": 19.0,
    "DK": 25.0,
    "ES": 21.0,
    "FI": 25.5,
    "FR": 20.0,
    "GB": 20.0,
    "IE": 23.0,
    "IT": 22.0,
    "JP": 10.0,
    "NL": 21.0,
    "NO": 25.0,
    "PL": 23.0,
    "PT": 23.0,
    "SE": 25.0,
}
US_RATES = {"CA": 7.25, "FL": 6.0, "NY": 4.0, "PA": 6.0, "TX": 6.25, "WA": 6.5}
EU = frozenset(["AT", "BE", "DE", "DK", "ES", "FI", "FR", "IE", "IT", "NL", "PL", "PT", "SE"])
DEFAULT_CODE = "txcd_10000000"  # electronically supplied services


def create(world: World, request: Request) -> Resource:
    given = request.given
    currency = given["currency"].lower()
    if currency not in CURRENCIES:
        raise refused(f"Invalid currency: {currency}", param="currency")
    details = _details(world, given, request)
    rate, kind, reason = _rate(details)
    now = world.clock.now()
    items = [_item(world, item, rate, request) for item in given["line_items"]]
    exclusive = sum(item["amount_tax"] for item in items if item["tax_behavior"] == "exclusive")
    inclusive = sum(item["amount_tax"] for item in items if item["tax_behavior"] == "inclusive")
    body = {
        "id": world.new_id("taxcalc"),
        "object": "tax.calculation",
        "amount_total": sum(item["amount"] for item in items) + exclusive,
        "currency": currency,
        "customer": given.get("customer"),
        "customer_details": details,
        "expires_at": unix(now + VALID_FOR),
        "livemode": request.livemode,
        "ship_from_details": None,
        "shipping_cost": None,
        "tax_amount_exclusive": exclusive,
        "tax_amount_inclusive": inclusive,
        "tax_breakdown": _breakdown(details, items, rate, kind, reason),
        "tax_date": unix(now),
    }
    row = Resource(id=str(body["id"]), body=body, hidden={"line_items": items})
    return world.store.calculations.put(row)


def _details(world: World, given: dict[str, Any], request: Request) -> dict[str, Any]:
    details: dict[str, Any] = {
        "address": None,
        "address_source": None,
        "ip_address": None,
        "tax_ids": [],
        "taxability_override": "none",
    }
    if "customer" in given:
        owner = customer(world.store.customers, given["customer"], request, "customer")
        details["address"] = owner["address"]
        details["address_source"] = "billing"
        details["tax_ids"] = [
            {"type": one["type"], "value": one["value"]} for one in owner.hidden["tax_ids"]
        ]
        if owner["tax_exempt"] != "none":
            overrides = {"exempt": "customer_exempt", "reverse": "reverse_charge"}
            details["taxability_override"] = overrides[owner["tax_exempt"]]
    own = given.get("customer_details") or {}
    if "address" in own:
        details["address"] = NO_ADDRESS | own["address"]
        details["address_source"] = own.get("address_source", "billing")
    details["tax_ids"] = own.get("tax_ids", details["tax_ids"])
    if not (details["address"] or {}).get("country"):
        raise refused(
            "We could not determine the customer's tax location: give customer_details[address] "
            "with a country, or a customer with an address.",
            "customer_tax_location_invalid",
            "customer_details[address]",
        )
    return details


def _rate(details: dict[str, Any]) -> tuple[float, str, str]:
    """Percent, kind of tax, and why."""
    country, state = details["address"]["country"], details["address"].get("state")
    kind = "sales_tax" if country == "US" else "vat"
    if details["taxability_override"] == "customer_exempt":
        return 0.0, kind, "customer_exempt"
    is_business = any(one["type"] == "eu_vat" for one in details["tax_ids"])
    if details["taxability_override"] == "reverse_charge" or (country in EU and is_business):
        return 0.0, kind, "reverse_charge"
    rate = US_RATES.get(state or "", 0.0) if country == "US" else RATES.get(country, 0.0)
    return rate, kind, "standard_rated" if rate else "not_collecting"


def _item(world: World, item: dict[str, Any], rate: float, request: Request) -> dict[str, Any]:
    amount, behaviour = item["amount"], item.get("tax_behavior", "exclusive")
    share = rate / 100 if behaviour == "exclusive" else rate / (100 + rate)
    return {
        "id": world.new_id("tax_li"),
        "object": "tax.calculation_line_item",
        "amount": amount,
        "amount_tax": round(amount * share),
        "livemode": request.livemode,
        "metadata": None,
        "product": None,
        "quantity": item.get("quantity", 1),
        "reference": item.get("reference") or world.letters(8),
        "tax_behavior": behaviour,
        "tax_code": item.get("tax_code", DEFAULT_CODE),
    }


def _breakdown(
    details: dict[str, Any], items: list[dict[str, Any]], rate: float, kind: str, reason: str
) -> list[dict[str, Any]]:
    found = []
    for behaviour in ("exclusive", "inclusive"):
        own = [item for item in items if item["tax_behavior"] == behaviour]
        if not own:
            continue
        tax = sum(item["amount_tax"] for item in own)
        amount = sum(item["amount"] for item in own)
        found.append(
            {
                "amount": tax,
                "inclusive": behaviour == "inclusive",
                "tax_rate_details": {
                    "country": details["address"]["country"],
                    "flat_amount": None,
                    "percentage_decimal": str(rate),
                    "rate_type": "percentage",
                    "state": details["address"].get("state"),
                    "tax_type": kind,
                },
                "taxability_reason": reason,
                "taxable_amount": (amount - tax * (behaviour == "inclusive")) if rate else 0,
            }
        )
    return found


def _current(world: World, request: Request) -> Resource:
    row = find(world.store.calculations, request.names["id"], "tax calculation", request)
    if request.now >= moment(row["expires_at"]):
        raise refused(f"The tax calculation {row.id} has expired.")
    return row


def retrieve(world: World, request: Request) -> Resource:
    return _current(world, request)


def line_items(world: World, request: Request) -> dict[str, Any]:
    row = _current(world, request)
    return {
        "object": "list",
        "data": [Resource(id=item["id"], body=item) for item in row.hidden["line_items"]],
        "has_more": False,
        "url": request.path,
    }

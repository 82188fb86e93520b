"""What a Checkout session shows: its line items and its body."""

from typing import Any

from stripe_sandbox.metadata import merged
from stripe_sandbox.payment_intents import check_amount
from stripe_sandbox.wire import Request, unchecked, unix
from stripe_sandbox.world import World

KEPT = (
    "adaptive_pricing",
    "allowed_payment_method_types",
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "consent_collection",
    "customer_email",
    "customer_creation",
    "locale",
    "submit_type",
    "success_url",
)
# Keys of what the sandbox does not have, or not before somebody has paid.
ABSENT = (
    "after_expiration",
    "allow_promotion_codes",
    "client_secret",
    "collected_information",
    "consent",
    "currency_conversion",
    "customer_account",
    "customer_details",
    "discounts",
    "integration_identifier",
    "invoice",
    "origin_context",
    "payment_intent",
    "payment_link",
    "payment_method_configuration_details",
    "permissions",
    "recovered_from",
    "shipping_address_collection",
    "shipping_cost",
    "subscription",
    "wallet_options",
)


def items(
    world: World, given: dict[str, Any]
) -> tuple[list[dict[str, Any]], int | None, str | None]:
    """The line items as they are shown, their sum and their currency."""
    if given["mode"] == "setup":
        currency = given.get("currency")
        return [], None, currency.lower() if currency else None
    if not given.get("line_items"):
        raise unchecked("Missing required param: line_items.", "parameter_missing", "line_items")
    found: list[dict[str, Any]] = []
    for number, item in enumerate(given["line_items"]):
        price = item.get("price_data")
        if not price or "unit_amount" not in price or "product_data" not in price:
            raise unchecked(
                f"Missing required param: line_items[{number}][price_data] with unit_amount and "
                "product_data. The sandbox has no catalogue of prices.",
                "parameter_missing",
                f"line_items[{number}][price_data]",
            )
        found.append(_item(world, price, item.get("quantity", 1)))
    currencies = {item["currency"] for item in found}
    if len(currencies) > 1:
        raise unchecked("All line items must have the same currency.", None, "line_items")
    total = sum(item["amount_total"] for item in found)
    check_amount(total, found[0]["currency"])
    return found, total, found[0]["currency"]


def _item(world: World, price: dict[str, Any], quantity: int) -> dict[str, Any]:
    amount, currency = price["unit_amount"] * quantity, price["currency"].lower()
    return {
        "id": world.new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": currency,
        "description": price["product_data"]["name"],
        "metadata": {},
        "price": {
            "id": world.new_id("price"),
            "object": "price",
            "active": False,
            "billing_scheme": "per_unit",
            "created": unix(world.clock.now()),
            "currency": currency,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": world.new_id("prod", 14),
            "recurring": None,
            "tax_behavior": price.get("tax_behavior", "unspecified"),
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "one_time",
            "unit_amount": price["unit_amount"],
            "unit_amount_decimal": str(price["unit_amount"]),
        },
        "quantity": quantity,
    }


def details(*, email: str | None, name: str | None, **more: Any) -> dict[str, Any]:
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
        **more,
    }


def body(given: dict[str, Any], request: Request, **fields: Any) -> dict[str, Any]:
    mode = given["mode"]
    texts = ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
    return {
        "object": "checkout.session",
        **dict.fromkeys(ABSENT),
        **{name: given.get(name) for name in KEPT},
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "created": unix(request.now),
        "custom_fields": [],
        "custom_text": {name: (given.get("custom_text") or {}).get(name) or None for name in texts},
        "customer_creation": (
            given.get("customer_creation", "if_required")
            if mode == "payment" and "customer" not in given
            else None
        ),
        "invoice_creation": None
        if mode == "setup"
        else {
            "enabled": False,
            "invoice_data": {
                "account_tax_ids": None,
                "custom_fields": None,
                "description": None,
                "footer": None,
                "issuer": None,
                "metadata": {},
                "rendering_options": None,
            },
        },
        "livemode": request.livemode,
        "managed_payments": {"enabled": False},
        "metadata": merged({}, given.get("metadata")),
        "mode": mode,
        "payment_method_collection": "always" if mode == "setup" else "if_required",
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "phone_number_collection": {"enabled": False},
        "saved_payment_method_options": None,
        "shipping_options": [],
        "status": "open",
        "tax_id_collection": given.get("tax_id_collection") or {"enabled": False},
        "total_details": None
        if mode == "setup"
        else {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        **fields,
    }

"""SetupIntents: saving a card for later charges."""

from typing import Any

from stripe_sandbox import charging, lists, payment_methods
from stripe_sandbox.find import customer, find
from stripe_sandbox.metadata import merged
from stripe_sandbox.payment_intents import call_off, check_types, unexpected
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, refused, unchecked, unix
from stripe_sandbox.world import World


def make(world: World, *, livemode: bool, **fields: Any) -> Resource:
    new_id = world.new_id("seti")
    body = {
        "id": new_id,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": f"{new_id}_secret_{world.letters(25)}",
        "created": unix(world.clock.now()),
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": livemode,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
        **fields,
    }
    row = Resource(id=new_id, body=body)
    world.store.setup_intents.put(row)
    world.emit("setup_intent.created", row)
    return row


def create(world: World, request: Request) -> Resource:
    given = request.given
    check_types(given)
    if "return_url" in given and not given.get("confirm"):
        raise unchecked(
            "You can only pass `return_url` when `confirm` is `true`.",
            "parameter_missing",
            "return_url",
        )
    owner_id = given.get("customer")
    if owner_id is not None:
        customer(world.store.customers, owner_id, request, "customer")
    method = _method(world, given, request, owner_id)
    if given.get("confirm") and method is None:
        raise refused(
            "You cannot confirm this SetupIntent because it's missing a payment method.",
            "setup_intent_unexpected_state",
            "payment_method",
        )
    names = ("allowed_payment_method_types", "description", "usage", "automatic_payment_methods")
    options = (given.get("payment_method_options") or {}).get("card") or {}
    row = make(
        world,
        livemode=request.livemode,
        customer=owner_id,
        metadata=merged({}, given.get("metadata")),
        payment_method_options={"card": {"request_three_d_secure": "automatic", **options}},
        **{name: given[name] for name in names if name in given},
    )
    if method is not None:
        row.body |= {"payment_method": method.id, "status": "requires_confirmation"}
        world.store.setup_intents.put(row)
    if given.get("confirm") and method is not None:
        charging.set_up(world, row, method, return_url=given.get("return_url"))
    return row


def _method(
    world: World, given: dict[str, Any], request: Request, owner_id: str | None
) -> Resource | None:
    if "payment_method" not in given:
        return None
    row = payment_methods.resolve(world, given["payment_method"], request, "payment_method")
    payment_methods.check_usable(row, owner_id, "SetupIntent")
    return row


def retrieve(world: World, request: Request) -> Resource:
    return find(world.store.setup_intents, request.names["id"], "setupintent", request)


def confirm(world: World, request: Request) -> Resource:
    row = find(world.store.setup_intents, request.names["id"], "setupintent", request)
    given = request.given
    if row["status"] in ("succeeded", "canceled"):
        raise unexpected(row, "confirm", f"it has already {row['status']}")
    check_types(given)
    method = _method(world, given, request, row["customer"])
    if method is None:
        if row["payment_method"] is None:
            raise unexpected(row, "confirm", "it's missing a payment method")
        method = world.store.payment_methods[row["payment_method"]]
        payment_methods.check_usable(method, row["customer"], "SetupIntent")
    charging.set_up(world, row, method, return_url=given.get("return_url"))
    return row


def cancel(world: World, request: Request) -> Resource:
    row = find(world.store.setup_intents, request.names["id"], "setupintent", request)
    if row["status"] in ("succeeded", "canceled"):
        raise unexpected(row, "cancel", f"it has a status of {row['status']}")
    call_off(world, row, request.given.get("cancellation_reason"))
    return row


def list_(world: World, request: Request) -> dict[str, Any]:
    given = request.given
    rows = [
        row
        for row in world.store.setup_intents
        if all(given.get(name) in (None, row[name]) for name in ("customer", "payment_method"))
    ]
    return lists.page(world, request, rows)

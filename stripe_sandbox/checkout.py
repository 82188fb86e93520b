"""Checkout sessions: what the API does with them. The page is in `pages/`."""

from datetime import timedelta
from typing import Any

from stripe_sandbox import lists, session_body, setup_intents
from stripe_sandbox.find import customer, find
from stripe_sandbox.metadata import merged
from stripe_sandbox.payment_intents import call_off, check_types
from stripe_sandbox.records import Due, Resource
from stripe_sandbox.wire import ApiError, Request, moment, refused, unchecked, unix
from stripe_sandbox.world import World

LONGEST, SHORTEST = timedelta(hours=24), timedelta(minutes=30)


def create(world: World, request: Request) -> Resource:
    given = request.given
    mode = given.get("mode")
    _check(given, mode)
    check_types(given)
    expires_at = _expiry(given, request)
    owner_id = given.get("customer")
    owner = None
    if owner_id is not None:
        owner = customer(world.store.customers, owner_id, request, "customer")
    items, total, currency = session_body.items(world, given)
    live = "live" if request.livemode else "test"
    new_id = f"cs_{live}_{world.letters(58)}"
    setup = None
    if mode == "setup":
        data = given.get("setup_intent_data") or {}
        setup = setup_intents.make(
            world,
            livemode=request.livemode,
            customer=owner_id,
            description=data.get("description"),
            metadata=merged({}, data.get("metadata")),
        )
    body = session_body.body(
        given,
        request,
        id=new_id,
        currency=currency,
        amount_subtotal=total,
        amount_total=total,
        expires_at=expires_at,
        customer=owner_id,
        setup_intent=setup.id if setup else None,
        url=world.page_url(f"/c/pay/{new_id}"),
    )
    if owner is not None:
        body["customer_details"] = session_body.details(email=owner["email"], name=None)
    elif given.get("customer_email"):
        body["customer_details"] = session_body.details(email=given["customer_email"], name=None)
    hidden = {
        "line_items": items,
        "customer_update": given.get("customer_update") or {},
        "payment_intent_data": given.get("payment_intent_data") or {},
    }
    row = Resource(id=new_id, body=body, hidden=hidden)
    world.store.sessions.put(row)
    world.schedule(moment(expires_at), "session", row.id)
    return row


def _check(given: dict[str, Any], mode: str | None) -> None:
    if mode is None:
        raise unchecked("Missing required param: mode.", "parameter_missing", "mode")
    if mode == "subscription":
        raise ApiError(501, "The sandbox does not emulate subscriptions.", "not_emulated")
    if given.get("ui_mode", "hosted_page") != "hosted_page":
        raise ApiError(501, "The sandbox has the hosted page only.", "not_emulated")
    if (given.get("adaptive_pricing") or {}).get("enabled"):
        raise ApiError(501, "The sandbox shows prices in one currency only.", "not_emulated")
    if "success_url" not in given:
        raise unchecked("Missing required param: success_url.", "parameter_missing", "success_url")
    for name in ("success_url", "cancel_url"):
        if name in given and not given[name].startswith(("http://", "https://")):
            raise unchecked(
                "Not a valid URL. URLs must begin with http or https.", "url_invalid", name
            )
    foreign = {
        "setup": ("line_items", "payment_intent_data", "submit_type", "customer_creation"),
        "payment": ("setup_intent_data",),
    }[mode]
    for name in foreign:
        if name in given:
            raise unchecked(f"You can not pass `{name}` in `{mode}` mode.", None, name)
    if mode == "setup" and not (given.get("currency") or given.get("allowed_payment_method_types")):
        raise unchecked(
            "You must pass `currency` in `setup` mode unless `allowed_payment_method_types` is "
            "set.",
            "parameter_missing",
            "currency",
        )
    if "customer" in given and "customer_email" in given:
        raise unchecked("You may only specify one of these parameters: customer, customer_email.")
    if "customer_update" in given and "customer" not in given:
        raise unchecked(
            "`customer_update` can only be used with `customer`.", None, "customer_update"
        )
    collects_tax_id = (given.get("tax_id_collection") or {}).get("enabled")
    updates_name = (given.get("customer_update") or {}).get("name") == "auto"
    if collects_tax_id and "customer" in given and not updates_name:
        raise unchecked(
            "Tax ID collection requires updating business name on the customer. To enable tax ID "
            "collection for an existing customer, please set `customer_update[name]` to `auto`.",
            None,
            "customer_update[name]",
        )


def _expiry(given: dict[str, Any], request: Request) -> int:
    expires_at = given.get("expires_at")
    if expires_at is None:
        return unix(request.now + LONGEST)
    if expires_at < unix(request.now + SHORTEST):
        raise unchecked(
            "The `expires_at` timestamp must be at least 30 minutes from Checkout Session "
            "creation.",
            None,
            "expires_at",
        )
    if expires_at > unix(request.now + LONGEST):
        raise unchecked(
            "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.",
            None,
            "expires_at",
        )
    return int(expires_at)


def retrieve(world: World, request: Request) -> Resource:
    return find(world.store.sessions, request.names["id"], "checkout.session", request)


def line_items(world: World, request: Request) -> Any:
    row = retrieve(world, request)
    return {
        "object": "list",
        "data": [Resource(id=item["id"], body=item) for item in row.hidden["line_items"]],
        "has_more": False,
        "url": request.path,
    }


def list_(world: World, request: Request) -> dict[str, Any]:
    given = request.given
    names = ("customer", "payment_intent", "status")
    rows = [
        row
        for row in world.store.sessions
        if all(given.get(name) in (None, row[name]) for name in names)
    ]
    return lists.page(world, request, rows)


def expire(world: World, request: Request) -> Resource:
    row = retrieve(world, request)
    if row["status"] != "open":
        raise refused(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{row['status']}`."
        )
    close(world, row)
    return row


def expire_when_due(world: World, due: Due) -> None:
    row = world.store.sessions[due.ref]
    if row["status"] == "open":
        close(world, row)


def close(world: World, row: Resource) -> None:
    """Nobody can pay it any more."""
    row.body |= {"status": "expired", "url": None}
    world.store.sessions.put(row)
    for name, table in (
        ("setup_intent", world.store.setup_intents),
        ("payment_intent", world.store.payment_intents),
    ):
        intent = table.get(row[name] or "")
        if intent is not None and intent["status"] not in ("succeeded", "canceled"):
            call_off(world, intent, "abandoned")
    world.emit("checkout.session.expired", row)

"""Answers as they are shown: objects with what the request wants expanded in place of ids."""

import copy
from collections.abc import Callable
from typing import Any

from stripe_sandbox.records import Resource
from stripe_sandbox.wire import ApiError, Request, unchecked
from stripe_sandbox.world import World

DEEPEST = 4
# What can be expanded in an object, and what object comes in its place.
EXPANDABLE = {
    "payment_intent": {
        "customer": "customer",
        "latest_charge": "charge",
        "payment_method": "payment_method",
        "review": "review",
    },
    "setup_intent": {"customer": "customer", "payment_method": "payment_method"},
    "payment_method": {"customer": "customer"},
    "charge": {
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
        "review": "review",
    },
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "payment_intent": "payment_intent",
    },
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "checkout.session": {
        "customer": "customer",
        "payment_intent": "payment_intent",
        "setup_intent": "setup_intent",
    },
    "radar.early_fraud_warning": {"charge": "charge", "payment_intent": "payment_intent"},
    "review": {"charge": "charge", "payment_intent": "payment_intent"},
    "customer": {"invoice_settings.default_payment_method": "payment_method"},
}


def _list(rows: list[Any], url: str) -> dict[str, Any]:
    return {"object": "list", "data": rows, "has_more": False, "url": url}


def _refunds(world: World, row: Resource) -> dict[str, Any]:
    rows = [copy.deepcopy(one.body) for one in world.store.refunds if one["charge"] == row.id]
    return _list(rows[::-1], f"/v1/charges/{row.id}/refunds")


def _line_items(world: World, row: Resource) -> dict[str, Any]:
    items = copy.deepcopy(row.hidden.get("line_items", []))
    place = "checkout/sessions" if row.object == "checkout.session" else "tax/calculations"
    return _list(items, f"/v1/{place}/{row.id}/line_items")


# What is left out unless it is expanded.
INCLUDABLE: dict[tuple[str, str], Callable[[World, Resource], Any]] = {
    ("charge", "refunds"): _refunds,
    ("checkout.session", "line_items"): _line_items,
    ("tax.calculation", "line_items"): _line_items,
    ("customer", "tax_ids"): lambda world, row: _list(
        copy.deepcopy(row.hidden["tax_ids"]), f"/v1/customers/{row.id}/tax_ids"
    ),
}


def verify(kind: str, paths: list[str], *, is_list: bool) -> None:
    """Raises ApiError 400 for what cannot be expanded in an object, or in a list of them.

    Before the call has its effect: a request that is refused must have none."""
    for path in paths:
        rest = path
        if is_list:
            head, _, rest = path.partition(".")
            if head != "data":
                raise _not_expandable(path)
        if rest.count(".") >= DEEPEST:
            raise unchecked(
                f"You cannot expand more than {DEEPEST} levels of a property ({path}).",
                None,
                "expand",
            )
        here = kind
        while rest:
            name, rest = _split(here, rest)
            if not name or (rest and (here, name) in INCLUDABLE):
                raise _not_expandable(path)
            here = EXPANDABLE.get(here, {}).get(name, "")


def show(world: World, result: Any, request: Request) -> Any:
    """A resource or a page of them as plain data. The paths to expand were verified."""
    if isinstance(result, Resource):
        return _show(world, result, request.expand)
    inner = [path.partition(".")[2] for path in request.expand]
    return {**result, "data": [_show(world, row, inner) for row in result["data"]]}


def _show(world: World, row: Resource, paths: list[str]) -> dict[str, Any]:
    body = copy.deepcopy(row.body)
    if row.object == "event":
        body["pending_webhooks"] = sum(one.about == row.id for one in world.outbox.values())
    grouped: dict[str, list[str]] = {}
    for path in paths:
        name, rest = _split(row.object, path)
        grouped.setdefault(name, []).extend([rest] if rest else [])
    for name, inner in grouped.items():
        _expand(world, row, body, name, inner)
    return body


def _split(kind: str, path: str) -> tuple[str, str]:
    """The first expandable name of a path, and the rest; "" if there is none."""
    for name in EXPANDABLE.get(kind, {}):
        if path == name or path.startswith(f"{name}."):
            return name, path[len(name) + 1 :]
    head, _, rest = path.partition(".")
    return (head, rest) if (kind, head) in INCLUDABLE else ("", "")


def _expand(world: World, row: Resource, body: dict[str, Any], name: str, inner: list[str]) -> None:
    if (row.object, name) in INCLUDABLE:
        body[name] = INCLUDABLE[row.object, name](world, row)
        return
    *way, last = name.split(".")
    place: Any = body
    for step in way:
        place = (place or {}).get(step)
    if place and isinstance(place.get(last), str):
        target = world.store.by_id(place[last])
        if target is not None:
            place[last] = _show(world, target, inner)


def _not_expandable(path: str) -> ApiError:
    return unchecked(f"This property cannot be expanded ({path}).", None, "expand")

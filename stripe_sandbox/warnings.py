"""Early fraud warnings, and reviews by a person."""

from typing import Any

from stripe_sandbox import lists
from stripe_sandbox.find import find
from stripe_sandbox.records import Due, Resource
from stripe_sandbox.wire import Request, unix
from stripe_sandbox.world import World


def warn(world: World, charge: Resource, fraud_type: str = "made_with_stolen_card") -> Resource:
    """The card's owner says that it was not them. Nothing moves yet."""
    body = {
        "id": world.new_id("issfr"),
        "object": "radar.early_fraud_warning",
        "actionable": not charge["disputed"] and not charge["refunded"],
        "charge": charge.id,
        "created": unix(world.clock.now()),
        "fraud_type": fraud_type,
        "livemode": charge["livemode"],
        "payment_intent": charge["payment_intent"],
    }
    row = world.store.warnings.put(Resource(id=str(body["id"]), body=body))
    world.emit("radar.early_fraud_warning.created", row)
    return row


def warn_later(world: World, due: Due) -> None:
    warn(world, world.store.charges[due.ref])


def no_longer_actionable(world: World, charge: Resource) -> None:
    """After a full refund or a dispute there is nothing left to do about a warning."""
    if not charge["refunded"] and not charge["disputed"]:
        return
    for row in world.store.warnings:
        if row["charge"] == charge.id:
            world.change(
                world.store.warnings,
                row,
                "radar.early_fraud_warning.updated",
                actionable=False,
            )


def retrieve(world: World, request: Request) -> Resource:
    return find(world.store.warnings, request.names["id"], "early fraud warning", request)


def list_(world: World, request: Request) -> dict[str, Any]:
    given = request.given
    rows = [
        row
        for row in world.store.warnings
        if all(given.get(name) in (None, row[name]) for name in ("charge", "payment_intent"))
    ]
    return lists.page(world, request, rows)


def open_review(world: World, charge: Resource) -> Resource:
    """The money is taken, and somebody is to look at it."""
    body = {
        "id": world.new_id("prv"),
        "object": "review",
        "billing_zip": None,
        "charge": charge.id,
        "closed_reason": None,
        "created": unix(world.clock.now()),
        "ip_address": None,
        "ip_address_location": None,
        "livemode": charge["livemode"],
        "open": True,
        "opened_reason": "rule",
        "payment_intent": charge["payment_intent"],
        "reason": "rule",
        "session": None,
    }
    row = world.store.reviews.put(Resource(id=str(body["id"]), body=body))
    world.change(world.store.charges, charge, review=row.id)
    intent = world.store.payment_intents.get(charge["payment_intent"])
    if intent is not None:
        world.change(world.store.payment_intents, intent, review=row.id)
    world.emit("review.opened", row)
    return row


def close_review(world: World, row: Resource, reason: str) -> None:
    world.change(
        world.store.reviews,
        row,
        "review.closed",
        open=False,
        closed_reason=reason,
        reason=reason,
    )


def retrieve_review(world: World, request: Request) -> Resource:
    return find(world.store.reviews, request.names["id"], "review", request)

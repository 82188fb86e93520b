"""Events, as they are read again: the last 30 days."""

from datetime import timedelta
from typing import Any

from stripe_sandbox import lists
from stripe_sandbox.find import find
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, missing, refused, unix
from stripe_sandbox.world import World

KEPT_FOR = timedelta(days=30)
MOST_TYPES = 20


def retrieve(world: World, request: Request) -> Resource:
    row = find(world.store.events, request.names["id"], "event", request)
    if not _is_kept(row, request):
        raise missing("event", row.id)
    return row


def _is_kept(row: Resource, request: Request) -> bool:
    return bool(row["created"] >= unix(request.now - KEPT_FOR))


def list_(world: World, request: Request) -> dict[str, Any]:
    given = request.given
    types = given.get("types", [])
    if "type" in given:
        if types:
            raise refused("You may pass either type or types, but not both.", None, "types")
        types = [given["type"]]
    if len(types) > MOST_TYPES:
        raise refused(f"types may have at most {MOST_TYPES} names.", None, "types")
    wanted = given.get("delivery_success")
    undelivered = (
        {
            row.about
            for row in world.store.deliveries
            if row.status is None or not 200 <= row.status <= 299
        }
        if wanted is not None
        else set()
    )
    rows = [
        row
        for row in world.store.events
        if _is_kept(row, request)
        and (not types or any(_fits(row["type"], pattern) for pattern in types))
        and (wanted is None or wanted == (row.id not in undelivered))
    ]
    return lists.page(world, request, rows)


def _fits(kind: str, pattern: str) -> bool:
    """A name, or the beginning of one before a star: `charge.*`."""
    if pattern.endswith("*"):
        return kind.startswith(pattern[:-1])
    return kind == pattern

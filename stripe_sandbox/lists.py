"""Lists: newest first, by cursor, and filtered by when their objects were created."""

from collections.abc import Iterable
from typing import Any

from stripe_sandbox.find import is_of_mode
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, missing, refused
from stripe_sandbox.world import World

DEFAULT_LIMIT, MOST = 10, 100


def limit_of(request: Request) -> int:
    limit = int(request.given.get("limit", DEFAULT_LIMIT))
    if not 1 <= limit <= MOST:
        noun = "too large" if limit > MOST else "too small"
        raise refused(
            f"This value must be between 1 and {MOST} (was {limit}; {noun}).",
            "parameter_invalid_integer",
            "limit",
        )
    return limit


def was_created_when(row: Resource, wanted: Any) -> bool:
    """`created` as a moment or as {gt, gte, lt, lte}."""
    created = row["created"]
    if wanted is None:
        return True
    if isinstance(wanted, int):
        return bool(created == wanted)
    return bool(
        ("gt" not in wanted or created > wanted["gt"])
        and ("gte" not in wanted or created >= wanted["gte"])
        and ("lt" not in wanted or created < wanted["lt"])
        and ("lte" not in wanted or created <= wanted["lte"])
    )


def page(world: World, request: Request, rows: Iterable[Resource]) -> dict[str, Any]:
    """One page of the rows of the request's mode, newest first.

    A cursor is an object's place in time, so it holds even if the object no longer fits."""
    given = request.given
    limit = limit_of(request)
    ordered = sorted(
        (
            row
            for row in rows
            if is_of_mode(row, request) and was_created_when(row, given.get("created"))
        ),
        key=lambda row: row.seq,
        reverse=True,
    )
    if "starting_after" in given and "ending_before" in given:
        raise refused("You can't use both starting_after and ending_before.")
    if "ending_before" in given:
        seq = _place(world, given["ending_before"], "ending_before")
        newer = [row for row in ordered if row.seq > seq]
        shown, has_more = newer[-limit:], len(newer) > limit
    else:
        if "starting_after" in given:
            seq = _place(world, given["starting_after"], "starting_after")
            ordered = [row for row in ordered if row.seq < seq]
        shown, has_more = ordered[:limit], len(ordered) > limit
    return {"object": "list", "data": shown, "has_more": has_more, "url": request.path}


def _place(world: World, row_id: str, param: str) -> int:
    row = world.store.by_id(row_id)
    if row is None:
        raise missing("object", row_id, param=param, status=400)
    return row.seq

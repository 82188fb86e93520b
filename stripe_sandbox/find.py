"""Finding objects for a request: of its mode, and of the right kind."""

from typing import Any

from metronome_sandbox.kit.store import Table
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import Request, missing


def is_of_mode(row: Resource, request: Request) -> bool:
    live = row.body.get("livemode", row.hidden.get("livemode", False))
    return bool(live) == request.livemode


def find(
    table: Table[Resource],
    row_id: Any,
    what: str,
    request: Request,
    *,
    param: str | None = None,
) -> Resource:
    """Raises ApiError 404 for an id in the path that nothing has, 400 for one in a parameter."""
    row = table.get(str(row_id))
    status = 404 if param is None else 400
    if row is None:
        raise missing(what, str(row_id), param=param or "id", status=status)
    if not is_of_mode(row, request):
        other, mode = ("live", "test") if not request.livemode else ("test", "live")
        error = missing(what, str(row_id), param=param or "id", status=status)
        error.error["message"] += (
            f"; a similar object exists in {other} mode, "
            f"but a {mode} mode key was used to make this request."
        )
        raise error
    return row


def customer(table: Table[Resource], row_id: Any, request: Request, param: str | None) -> Resource:
    """A customer that is not deleted."""
    row = find(table, row_id, "customer", request, param=param)
    if row.body.get("deleted"):
        raise missing(
            "customer", row.id, param=param or "id", status=400 if param is not None else 404
        )
    return row

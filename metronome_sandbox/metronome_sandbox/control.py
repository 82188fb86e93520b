"""`/_sandbox/`: what Metronome does not have. Clock, reset, state, deliveries, settings, faults."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metronome_sandbox import gated_commits, moments, notifications, thresholds
from metronome_sandbox.kit import control, delivery
from metronome_sandbox.version import VERSION
from metronome_sandbox.wire import Request, find, invalid, missing

if TYPE_CHECKING:
    from metronome_sandbox.app import Sandbox


def get_clock(sandbox: "Sandbox", request: Request) -> Any:
    return control.show_clock(sandbox.clock)


def move_clock(sandbox: "Sandbox", request: Request) -> Any:
    """Move the clock: {"advance_seconds": n} or {"now": moment}.

    Everything due until then happens before the answer."""
    try:
        control.move_clock(sandbox.clock, request.body)
    except ValueError as error:
        raise invalid(str(error)) from None
    sandbox.world.keep_clock()
    moments.run(sandbox.world, sandbox.clock.now())
    return get_clock(sandbox, request)


def reset(sandbox: "Sandbox", request: Request) -> Any:
    """Start over where the clock began, or, with {"now": moment}, at that moment."""
    try:
        now = control.first_moment(request.body)
    except ValueError as error:
        raise invalid(str(error)) from None
    sandbox.reset(now)
    return {"reset": True}


def state(sandbox: "Sandbox", request: Request) -> Any:
    world = sandbox.world
    return {
        "version": VERSION,
        "counts": {name: len(table) for name, table in world.store.tables().items()},
        "unknown_fields": dict(world.unknown_fields),
        "unread_fields": dict(world.unread_fields),
        "calls": dict(world.calls),
        "settings": vars(world.settings),
        "webhooks": [url for url, _ in world.webhooks],
        "pending_deliveries": len(world.outbox),
        "open_workflows": [
            {
                "id": row.id,
                "contract_id": row.contract_id,
                "amount": row.amount,
                "invoice_id": row.invoice_id,
            }
            for row in world.store.workflows
            if row.state == "COMMITTING"
        ],
        "faults": sandbox.faults.show(),
        "clock": get_clock(sandbox, request),
    }


def settle_workflow(sandbox: "Sandbox", request: Request) -> Any:
    """The customer has confirmed a charge through Stripe, or failed to: {"outcome": "paid"}."""
    workflow = find(sandbox.world.store.workflows, request.params["workflow_id"], "Workflow")
    outcome = (request.body or {}).get("outcome")
    if outcome not in ("paid", "failed") or workflow.state != "COMMITTING":
        raise invalid("outcome must be paid or failed, and the workflow open")
    settle = thresholds.settle if workflow.is_recharge else gated_commits.settle
    settle(sandbox.world, workflow, outcome, request.now)
    return {"settled": workflow.id}


def list_deliveries(sandbox: "Sandbox", request: Request) -> Any:
    return {"data": sandbox.deliveries}


def replay(sandbox: "Sandbox", request: Request) -> Any:
    """To where it went, or, if it had no destination, to all there are now."""
    world = sandbox.world
    row = find(world.store.deliveries, request.params["delivery_id"], "Delivery")
    if row.url:
        delivery.replay(world, row)
    elif world.webhooks:
        row = notifications.send_body(world, row.body, request.now)[0]
    else:
        raise invalid("There is no destination: add one by POST /_sandbox/webhooks")
    return {"data": delivery.show(row)}


def list_destinations(sandbox: "Sandbox", request: Request) -> Any:
    return {"data": [{"url": url} for url, _ in sandbox.world.webhooks]}


def add_destination(sandbox: "Sandbox", request: Request) -> Any:
    try:
        control.add_destination(sandbox.world.webhooks, request.body)
    except ValueError as error:
        raise invalid(str(error)) from None
    sandbox.world.keep_webhooks()
    return list_destinations(sandbox, request)


def remove_destinations(sandbox: "Sandbox", request: Request) -> Any:
    """The one of ?url=, or all."""
    url = request.query.get("url")
    world = sandbox.world
    if url is not None and url not in dict(world.webhooks):
        raise missing("Destination")
    world.webhooks[:] = [one for one in world.webhooks if url not in (None, one[0])]
    world.keep_webhooks()
    return list_destinations(sandbox, request)


def test_webhook(sandbox: "Sandbox", request: Request) -> Any:
    notifications.send(sandbox.world, {"type": "webhooks.test"}, request.now)
    return {"sent": len(sandbox.world.webhooks)}


def set_settings(sandbox: "Sandbox", request: Request) -> Any:
    try:
        sandbox.world.settings.change(request.body)
    except ValueError as error:
        raise invalid(str(error)) from None
    return vars(sandbox.world.settings)


def get_settings(sandbox: "Sandbox", request: Request) -> Any:
    return vars(sandbox.world.settings)


def list_faults(sandbox: "Sandbox", request: Request) -> Any:
    return {"data": sandbox.faults.show()}


def add_fault(sandbox: "Sandbox", request: Request) -> Any:
    """One rule, or {"data": [rules]}."""
    try:
        return {"data": control.add_faults(sandbox.faults, request.body)}
    except ValueError as error:
        raise invalid(str(error)) from None


def clear_faults(sandbox: "Sandbox", request: Request) -> Any:
    sandbox.faults.clear()
    return {"data": []}


CONTROLS: dict[tuple[str, str], Callable[["Sandbox", Request], Any]] = {
    ("GET", "/_sandbox/clock"): get_clock,
    ("POST", "/_sandbox/clock"): move_clock,
    ("POST", "/_sandbox/reset"): reset,
    ("GET", "/_sandbox/state"): state,
    ("POST", "/_sandbox/workflows/{workflow_id}/settle"): settle_workflow,
    ("GET", "/_sandbox/deliveries"): list_deliveries,
    ("POST", "/_sandbox/deliveries/{delivery_id}/replay"): replay,
    ("GET", "/_sandbox/webhooks"): list_destinations,
    ("POST", "/_sandbox/webhooks"): add_destination,
    ("DELETE", "/_sandbox/webhooks"): remove_destinations,
    ("POST", "/_sandbox/webhooks/test"): test_webhook,
    ("GET", "/_sandbox/settings"): get_settings,
    ("POST", "/_sandbox/settings"): set_settings,
    ("GET", "/_sandbox/faults"): list_faults,
    ("POST", "/_sandbox/faults"): add_fault,
    ("DELETE", "/_sandbox/faults"): clear_faults,
}

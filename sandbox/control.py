"""`/_sandbox/`: what Metronome does not have. Clock, reset, state, deliveries, settings, faults."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox import moments, notifications
from sandbox.wire import Request, find, invalid
from sandbox_kit import control, delivery

if TYPE_CHECKING:
    from sandbox.app import Sandbox


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
    sandbox.reset()
    return {"reset": True}


def state(sandbox: "Sandbox", request: Request) -> Any:
    world = sandbox.world
    return {
        "counts": {name: len(table) for name, table in world.store.tables().items()},
        "unknown_fields": dict(world.unknown_fields),
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


def list_deliveries(sandbox: "Sandbox", request: Request) -> Any:
    return {"data": sandbox.deliveries}


def replay(sandbox: "Sandbox", request: Request) -> Any:
    row = find(sandbox.world.store.deliveries, request.params["delivery_id"], "Delivery")
    delivery.replay(sandbox.world, row)
    return {"data": delivery.show(row)}


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
    ("GET", "/_sandbox/deliveries"): list_deliveries,
    ("POST", "/_sandbox/deliveries/{delivery_id}/replay"): replay,
    ("POST", "/_sandbox/webhooks/test"): test_webhook,
    ("GET", "/_sandbox/settings"): get_settings,
    ("POST", "/_sandbox/settings"): set_settings,
    ("GET", "/_sandbox/faults"): list_faults,
    ("POST", "/_sandbox/faults"): add_fault,
    ("DELETE", "/_sandbox/faults"): clear_faults,
}

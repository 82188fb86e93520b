"""`/_sandbox/`: what Stripe does not have. Clock, faults, declines, disputes by hand."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metronome_sandbox.kit import control, delivery
from metronome_sandbox.kit.store import Table
from stripe_sandbox import declining, disputes, refunds, warnings
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import ApiError, Request

if TYPE_CHECKING:
    from stripe_sandbox.app import Sandbox

Handler = Callable[["Sandbox", Request], Any]


def get_clock(sandbox: "Sandbox", request: Request) -> Any:
    return control.show_clock(sandbox.clock)


def move_clock(sandbox: "Sandbox", request: Request) -> Any:
    """Everything due until then happens before the answer."""
    control.move_clock(sandbox.clock, request.given)
    sandbox.world.keep_clock()
    sandbox.catch_up()
    return get_clock(sandbox, request)


def reset(sandbox: "Sandbox", request: Request) -> Any:
    sandbox.reset()
    return {"reset": True}


def state(sandbox: "Sandbox", request: Request) -> Any:
    world = sandbox.world
    return {
        "counts": {name: len(table) for name, table in world.store.tables().items()},
        "calls": dict(world.calls),
        "settings": vars(world.settings),
        "webhooks": [url for url, _ in world.webhooks],
        "pending_deliveries": len(world.outbox),
        "keys": [{"key": one.secret, "rights": one.rights} for one in sandbox.keys.keys.values()],
        "declines": declining.orders(world),
        "faults": sandbox.faults.show(),
        "clock": get_clock(sandbox, request),
    }


def list_deliveries(sandbox: "Sandbox", request: Request) -> Any:
    return {"data": sandbox.deliveries}


def replay(sandbox: "Sandbox", request: Request) -> Any:
    row = sandbox.world.store.deliveries.get(request.names["id"])
    if row is None:
        raise ApiError(404, f"There is no delivery {request.names['id']}")
    delivery.replay(sandbox.world, row)
    return {"data": delivery.show(row)}


def resend(sandbox: "Sandbox", request: Request) -> Any:
    """All deliveries of an event once more."""
    rows = [row for row in sandbox.world.store.deliveries if row.about == request.names["id"]]
    for row in rows:
        delivery.replay(sandbox.world, row)
    return {"data": [delivery.show(row) for row in rows]}


def get_settings(sandbox: "Sandbox", request: Request) -> Any:
    return vars(sandbox.world.settings)


def set_settings(sandbox: "Sandbox", request: Request) -> Any:
    sandbox.world.settings.change(request.given)
    return vars(sandbox.world.settings)


def list_faults(sandbox: "Sandbox", request: Request) -> Any:
    return {"data": sandbox.faults.show()}


def add_fault(sandbox: "Sandbox", request: Request) -> Any:
    return {"data": control.add_faults(sandbox.faults, request.given)}


def clear_faults(sandbox: "Sandbox", request: Request) -> Any:
    sandbox.faults.clear()
    return {"data": []}


def list_declines(sandbox: "Sandbox", request: Request) -> Any:
    return {"data": declining.orders(sandbox.world)}


def add_decline(sandbox: "Sandbox", request: Request) -> Any:
    declining.add(sandbox.world, request.given)
    return list_declines(sandbox, request)


def clear_declines(sandbox: "Sandbox", request: Request) -> Any:
    declining.clear(sandbox.world)
    return {"data": []}


def set_key(sandbox: "Sandbox", request: Request) -> Any:
    """{"key": "rk_test_…", "rights": {"customer": "write", …}}; without rights it may do all."""
    given = request.given
    rights = given.get("rights")
    if not isinstance(given.get("key"), str) or not isinstance(rights, dict | None):
        raise ValueError('give {"key": "rk_test_…", "rights": {"customer": "write"} or null}')
    key = sandbox.keys.add(given["key"], rights)
    return {"key": key.secret, "rights": key.rights}


def _row(table: Table[Resource], request: Request) -> Resource:
    row = table.get(request.names["id"])
    if row is None:
        raise ApiError(404, f"There is no {request.names['id']}")
    return row


def dispute(sandbox: "Sandbox", request: Request) -> Any:
    """{"reason": "fraudulent", "inquiry": false}"""
    charge = _row(sandbox.world.store.charges, request)
    reason = str(request.given.get("reason", "fraudulent"))
    is_inquiry = bool(request.given.get("inquiry", False))
    return disputes.open_(sandbox.world, charge, reason=reason, is_inquiry=is_inquiry).body


def decide(sandbox: "Sandbox", request: Request) -> Any:
    """{"status": "won"}"""
    row = _row(sandbox.world.store.disputes, request)
    disputes.move_on(sandbox.world, row, str(request.given.get("status")))
    return row.body


def warn(sandbox: "Sandbox", request: Request) -> Any:
    charge = _row(sandbox.world.store.charges, request)
    if charge["status"] != "succeeded":
        raise ValueError(f"{charge.id} took no money, so nobody warns of it")
    return warnings.warn(sandbox.world, charge).body


def review(sandbox: "Sandbox", request: Request) -> Any:
    return warnings.open_review(sandbox.world, _row(sandbox.world.store.charges, request)).body


def close_review(sandbox: "Sandbox", request: Request) -> Any:
    """{"reason": "approved"}"""
    row = _row(sandbox.world.store.reviews, request)
    if not row["open"]:
        raise ValueError(f"{row.id} is closed already")
    reason = request.given.get("reason", "approved")
    if reason not in ("approved", "disputed", "refunded", "refunded_as_fraud"):
        raise ValueError("reason must be approved, disputed, refunded or refunded_as_fraud")
    warnings.close_review(sandbox.world, row, reason)
    return row.body


def fail_refund(sandbox: "Sandbox", request: Request) -> Any:
    """{"reason": "expired_or_canceled_card"}"""
    row = _row(sandbox.world.store.refunds, request)
    reason = request.given.get("reason", refunds.FAILURES[0])
    if reason not in refunds.FAILURES:
        raise ValueError(f"reason must be one of {', '.join(refunds.FAILURES)}")
    refunds.fail(sandbox.world, row, reason)
    return row.body


def renew_card(sandbox: "Sandbox", request: Request) -> Any:
    """The card network reports a new expiry: two years later."""
    row = _row(sandbox.world.store.payment_methods, request)
    card = row["card"] | {"exp_year": row["card"]["exp_year"] + 2}
    sandbox.world.change(
        sandbox.world.store.payment_methods, row, "payment_method.automatically_updated", card=card
    )
    return row.body


CONTROLS: dict[tuple[str, str], Handler] = {
    ("GET", "/_sandbox/clock"): get_clock,
    ("POST", "/_sandbox/clock"): move_clock,
    ("POST", "/_sandbox/reset"): reset,
    ("GET", "/_sandbox/state"): state,
    ("GET", "/_sandbox/settings"): get_settings,
    ("POST", "/_sandbox/settings"): set_settings,
    ("POST", "/_sandbox/keys"): set_key,
    ("GET", "/_sandbox/deliveries"): list_deliveries,
    ("POST", "/_sandbox/deliveries/{id}/replay"): replay,
    ("POST", "/_sandbox/events/{id}/resend"): resend,
    ("GET", "/_sandbox/faults"): list_faults,
    ("POST", "/_sandbox/faults"): add_fault,
    ("DELETE", "/_sandbox/faults"): clear_faults,
    ("GET", "/_sandbox/declines"): list_declines,
    ("POST", "/_sandbox/declines"): add_decline,
    ("DELETE", "/_sandbox/declines"): clear_declines,
    ("POST", "/_sandbox/charges/{id}/dispute"): dispute,
    ("POST", "/_sandbox/charges/{id}/warning"): warn,
    ("POST", "/_sandbox/charges/{id}/review"): review,
    ("POST", "/_sandbox/reviews/{id}/close"): close_review,
    ("POST", "/_sandbox/disputes/{id}"): decide,
    ("POST", "/_sandbox/refunds/{id}/fail"): fail_refund,
    ("POST", "/_sandbox/payment_methods/{id}/renew"): renew_card,
}

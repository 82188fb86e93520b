"""Threshold notifications ("alerts"):
measured for each customer, sent when a customer enters the alarm."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from metronome_sandbox import alert_days, alert_scopes, notifications
from metronome_sandbox.alert_scopes import Measure
from metronome_sandbox.catalog import show_unit, unit
from metronome_sandbox.metering import values
from metronome_sandbox.pricing import ZERO, billing_period, customer_contracts
from metronome_sandbox.rating import balance, rate
from metronome_sandbox.records import USD_ID, Alert, AlertState
from metronome_sandbox.wire import Request, find, invalid, page, present, stamp, unsupported
from metronome_sandbox.world import World

FOREVER = datetime.max.replace(tzinfo=UTC)


def _balance_of(*kinds: str) -> Callable[[World, Alert, str, datetime], Measure]:
    def measure(world: World, alert: Alert, customer_id: str, at: datetime) -> Measure:
        rows = alert_scopes.counted(world, alert, customer_id, at, kinds)
        if not rows:
            return None
        left = sum((balance(world, row, at) for row in rows), ZERO)
        extra = {"credit_type_id": alert.credit_type_id, "remaining_balance": left}
        return left, left <= alert.threshold, extra

    return measure


def _percentage_of(*kinds: str) -> Callable[[World, Alert, str, datetime], Measure]:
    def measure(world: World, alert: Alert, customer_id: str, at: datetime) -> Measure:
        rows = alert_scopes.counted(world, alert, customer_id, at, kinds)
        granted = sum(
            (
                one.amount
                for row in rows
                for one in row.segments
                if one.starting_at <= at < one.ending_before
            ),
            ZERO,
        )
        if not rows:
            return None
        left = sum((balance(world, row, at) for row in rows), ZERO)
        percentage = left * 100 / granted if granted else ZERO
        return percentage, percentage <= alert.threshold, {"remaining_percentage": percentage}

    return measure


def _lowest_commit(world: World, alert: Alert, customer_id: str, at: datetime) -> Measure:
    rows = alert_scopes.counted(world, alert, customer_id, at, ("PREPAID",))
    if not rows:
        return None
    left, commit_id = min((balance(world, row, at), row.id) for row in rows)
    return left, left <= alert.threshold, {"commit_id": commit_id, "remaining_balance": left}


def _spend(world: World, alert: Alert, customer_id: str, at: datetime) -> Measure:
    """Usage of the current billing period before any balance is drawn."""
    spend = ZERO
    for contract in customer_contracts(world, customer_id):
        if not all(alert_scopes.is_filtered(contract, rule) for rule in alert.custom_field_filters):
            continue
        start = billing_period(contract, max(at, contract.starting_at))[0]
        for draw in rate(world, customer_id).draws.get((contract.id, start), []):
            if (
                draw.converted is None
                and draw.credit_type_id == alert.credit_type_id
                and alert_scopes.spends(alert, draw)
            ):
                spend += draw.amount
    return (
        spend,
        spend >= alert.threshold,
        {"credit_type_id": alert.credit_type_id, "current_spend": spend},
    )


def _usage(world: World, alert: Alert, customer_id: str, at: datetime) -> Measure:
    metric = world.store.metrics.get(alert.billable_metric_id or "")
    if metric is None:
        return None
    contracts = customer_contracts(world, customer_id)
    start = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if contracts:
        start = billing_period(contracts[0], max(at, contracts[0].starting_at))[0]
    cells = world.metering.hours(metric, world.subjects(customer_id))
    used = values(metric, cells, (start, FOREVER), []).get((), ZERO)
    return used, used >= alert.threshold, {"billable_metric_id": metric.id, "current_usage": used}


MEASURES: dict[str, Callable[[World, Alert, str, datetime], Measure]] = {
    "low_remaining_contract_credit_and_commit_balance_reached": _balance_of("PREPAID", "CREDIT"),
    "low_remaining_contract_credit_balance_reached": _balance_of("CREDIT"),
    "low_remaining_commit_balance_reached": _lowest_commit,
    "low_remaining_contract_credit_and_commit_percentage_reached": _percentage_of(
        "PREPAID", "CREDIT"
    ),
    "low_remaining_contract_credit_percentage_reached": _percentage_of("CREDIT"),
    "low_remaining_commit_percentage_reached": _percentage_of("PREPAID"),
    "low_remaining_days_for_commit_segment_reached": alert_days.measure_of("PREPAID"),
    "low_remaining_days_for_contract_credit_segment_reached": alert_days.measure_of("CREDIT"),
    "spend_threshold_reached": _spend,
    "usage_threshold_reached": _usage,
}
OF_BALANCES = "use low_remaining_contract_credit_and_commit_balance_reached"
OF_SPEND = "use spend_threshold_reached"
# For the types that there are not; those of plans are of balances.
INSTEAD = {
    "invoice_total_reached": f"{OF_SPEND}, or read the invoice when it is final",
    "monthly_invoice_total_spend_threshold_reached": OF_SPEND,
    "low_remaining_seat_balance_reached": OF_BALANCES,
}


def evaluate(world: World, customer_id: str, at: datetime) -> None:
    customer = world.store.customers[customer_id]
    if customer.archived_at is not None:
        return
    for alert in world.store.alerts:
        if alert.archived_at is None and alert.customer_id in (None, customer_id):
            _evaluate_one(world, alert, customer_id, at)


def _evaluate_one(world: World, alert: Alert, customer_id: str, at: datetime) -> None:
    state_id = f"{alert.id}:{customer_id}"
    measure = MEASURES[alert.alert_type]
    parts = alert_scopes.by_value(world, alert, customer_id)
    if parts is None:
        _move(world, alert, state_id, measure(world, alert, customer_id, at), at)
        return
    worst: Measure = None
    for value, part in parts.items():
        measured = measure(world, part, customer_id, at)
        _move(world, part, f"{state_id}:{value}", measured, at)
        if measured is not None and (worst is None or measured[1] > worst[1]):
            worst = measured
    # Of the whole a spend alert says nothing, and a balance alert no figure.
    whole = (
        None if worst is None else (worst[0], worst[1], {"credit_type_id": alert.credit_type_id})
    )
    _move(world, alert, state_id, whole, at, silent=bool(alert.group_values))


def _move(
    world: World,
    alert: Alert,
    state_id: str,
    measured: Measure,
    at: datetime,
    *,
    silent: bool = False,
) -> None:
    """Bring a state to what was measured, and tell of an alarm that begins."""
    state = world.store.alert_states.get(state_id) or AlertState(id=state_id, status="evaluating")
    alarmed = measured is not None and measured[1]
    status = "in_alarm" if alarmed else "ok"
    if status == state.status:
        return
    was = state.status
    state.status = status
    state.triggered_by = "usage" if alarmed else None
    world.store.alert_states.put(state)
    resolved = was == "in_alarm" and world.settings.resolved_alerts
    if measured is not None and not silent and (alarmed or resolved):
        customer_id = state_id.split(":")[1]
        _send(world, alert, customer_id, measured[2], at, resolved=not alarmed)


def _send(
    world: World,
    alert: Alert,
    customer_id: str,
    extra: dict[str, Any],
    at: datetime,
    *,
    resolved: bool,
) -> None:
    type_ = alert.alert_type.removesuffix("_reached") + ("_resolved" if resolved else "_reached")
    properties = {
        "customer_id": customer_id,
        "alert_id": alert.id,
        "timestamp": stamp(at),
        "threshold": alert.threshold,
        "alert_name": alert.name,
        **extra,
        **alert_scopes.shown(alert),
        "triggered_by": "usage",
    }
    notifications.send_wrapped(world, f"alerts.{type_}", properties, at)


# API


def create(world: World, request: Request) -> Any:
    body = request.body
    if body["alert_type"] not in MEASURES:
        instead = INSTEAD.get(body["alert_type"], OF_BALANCES)
        raise unsupported(f"alerts of type {body['alert_type']}", instead)
    if body.get("seat_filter"):
        raise unsupported("alerts with seat_filter", OF_BALANCES)
    alert_scopes.check(body)
    entities = {rule["entity"] for rule in body.get("custom_field_filters") or []}
    if body["alert_type"] == "usage_threshold_reached" and entities:
        raise unsupported(
            "usage alerts with custom_field_filters", "name the customer by customer_id"
        )
    if body["alert_type"] == "spend_threshold_reached" and entities - {"Contract"}:
        raise invalid("A spend alert can be filtered by custom fields of the entity Contract only")
    if body["threshold"] < 0:
        raise invalid("threshold must not be negative")
    if body.get("customer_id") is not None:
        find(world.store.customers, body["customer_id"], "Customer")
    if body["alert_type"] == "usage_threshold_reached":
        find(world.store.metrics, body.get("billable_metric_id"), "Billable metric")
    world.refuse_taken("alert", body.get("uniqueness_key"))
    alert = Alert(
        id=world.new_id(),
        name=body["name"],
        alert_type=body["alert_type"],
        threshold=body["threshold"],
        credit_type_id=unit(world, body.get("credit_type_id"), USD_ID),
        updated_at=request.now,
        any_unit=body["alert_type"] in alert_scopes.OF_DAYS and body.get("credit_type_id") is None,
        customer_id=body.get("customer_id"),
        billable_metric_id=body.get("billable_metric_id"),
        custom_field_filters=body.get("custom_field_filters") or [],
        alert_specifiers=body.get("alert_specifiers") or [],
        group_values=body.get("group_values") or [],
        uniqueness_key=body.get("uniqueness_key"),
    )
    world.store.alerts.put(alert)
    world.take("alert", alert.uniqueness_key, alert.id)
    if body.get("evaluate_on_create") is not False:
        for customer in world.store.customers:
            if alert.customer_id in (None, customer.id) and customer.archived_at is None:
                _evaluate_one(world, alert, customer.id, request.now)
    return {"data": {"id": alert.id}}


def archive(world: World, request: Request) -> Any:
    alert = find(world.store.alerts, request.body["id"], "Alert")
    alert.archived_at = alert.archived_at or request.now
    if request.body.get("release_uniqueness_key") and alert.uniqueness_key is not None:
        world.store.taken.remove(f"alert:{alert.uniqueness_key}")
    world.store.alerts.put(alert)
    return {"data": {"id": alert.id}}


def list_for_customer(world: World, request: Request) -> Any:
    body = request.body
    customer = find(world.store.customers, body["customer_id"], "Customer")
    wanted = {str(status).lower() for status in body.get("alert_statuses") or ["ENABLED"]}
    rows = [
        row
        for row in world.store.alerts
        if row.customer_id in (None, customer.id)
        and ("archived" if row.archived_at else "enabled") in wanted
    ]
    return page(
        request, rows, show=lambda row: _show(world, row, customer.id), cap=world.settings.page_size
    )


def get_for_customer(world: World, request: Request) -> Any:
    customer = find(world.store.customers, request.body["customer_id"], "Customer")
    alert = find(world.store.alerts, request.body["alert_id"], "Alert")
    value = alert_scopes.asked_value(alert, request.body)
    if value is None:
        return {"data": _show(world, alert, customer.id)}
    part = alert_scopes.of_value(alert, value)
    return {"data": _show(world, part, f"{customer.id}:{value}")}


def reset_for_customer(world: World, request: Request) -> Any:
    """Evaluate again as if new: a customer still in alarm is reported again."""
    customer = find(world.store.customers, request.body["customer_id"], "Customer")
    alert = find(world.store.alerts, request.body["alert_id"], "Alert")
    own = f"{alert.id}:{customer.id}"
    for state in world.store.alert_states:
        if state.id == own or state.id.startswith(f"{own}:"):
            world.store.alert_states.remove(state.id)
    if alert.archived_at is None:
        _evaluate_one(world, alert, customer.id, request.now)
    return None


def _show(world: World, alert: Alert, whose: str) -> dict[str, Any]:
    """`whose`: a customer's id, with a value of the alert's key behind a colon if it is of one."""
    state = world.store.alert_states.get(f"{alert.id}:{whose}")
    status: str | None = state.status if state else "evaluating"
    return {
        "customer_status": None if alert.archived_at else status,
        "triggered_by": state.triggered_by if state else None,
        "alert": present(
            {
                "id": alert.id,
                "name": alert.name,
                "type": alert.alert_type,
                "status": "archived" if alert.archived_at else "enabled",
                "threshold": alert.threshold,
                "updated_at": alert.updated_at,
                "credit_type": None if alert.any_unit else show_unit(world, alert.credit_type_id),
                "custom_field_filters": alert.custom_field_filters,
                "uniqueness_key": alert.uniqueness_key,
                **alert_scopes.shown(alert),
            }
        ),
    }

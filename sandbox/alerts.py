"""Threshold notifications ("alerts"):
measured for each customer, sent when a customer enters the alarm."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox import notifications
from sandbox.catalog import show_unit, unit
from sandbox.pricing import ZERO, billing_period, charges, customer_contracts
from sandbox.rating import balance, customer_commits
from sandbox.records import USD_ID, Alert, AlertState, Commit
from sandbox.wire import Request, find, invalid, page, present, stamp, unsupported
from sandbox.world import World

# (value to report, is it in alarm, further properties), or None when the customer has nothing to
# measure.
Measure = tuple[Decimal, bool, dict[str, Any]] | None


def _counted(
    world: World, alert: Alert, customer_id: str, at: datetime, kinds: tuple[str, ...]
) -> list[Commit]:
    """The customer's balances an alert looks at, once they have started."""
    return [
        row
        for row in customer_commits(world, customer_id)
        if row.type in kinds
        and row.credit_type_id == alert.credit_type_id
        and any(segment.starting_at <= at for segment in row.segments)
        and all(_matches(row, one) for one in alert.custom_field_filters)
    ]


def _matches(commit: Commit, rule: dict[str, Any]) -> bool:
    entities = {"ContractCreditOrCommit", "ContractCredit" if commit.is_credit else "Commit"}
    return rule["entity"] in entities and commit.custom_fields.get(rule["key"]) == rule["value"]


def _balance_of(*kinds: str) -> Callable[[World, Alert, str, datetime], Measure]:
    def measure(world: World, alert: Alert, customer_id: str, at: datetime) -> Measure:
        rows = _counted(world, alert, customer_id, at, kinds)
        if not rows:
            return None
        left = sum((balance(world, row, at) for row in rows), ZERO)
        extra = {"credit_type_id": alert.credit_type_id, "remaining_balance": left}
        return left, left <= alert.threshold, extra

    return measure


def _percentage_of(*kinds: str) -> Callable[[World, Alert, str, datetime], Measure]:
    def measure(world: World, alert: Alert, customer_id: str, at: datetime) -> Measure:
        rows = _counted(world, alert, customer_id, at, kinds)
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
    rows = _counted(world, alert, customer_id, at, ("PREPAID",))
    if not rows:
        return None
    left, commit_id = min((balance(world, row, at), row.id) for row in rows)
    return left, left <= alert.threshold, {"commit_id": commit_id, "remaining_balance": left}


def _spend(world: World, alert: Alert, customer_id: str, at: datetime) -> Measure:
    """Usage of the current billing period before any balance is drawn."""
    spend = ZERO
    for contract in customer_contracts(world, customer_id):
        start, end = billing_period(contract, max(at, contract.starting_at))
        for charge in charges(world, contract, world.subjects(customer_id)):
            if charge.credit_type_id == alert.credit_type_id and start <= charge.hour < end:
                spend += charge.cost
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
    used = sum(
        (
            part
            for hour, _, part in world.metering.quantities(metric, world.subjects(customer_id))
            if hour >= start
        ),
        ZERO,
    )
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
    "spend_threshold_reached": _spend,
    "usage_threshold_reached": _usage,
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
    state = world.store.alert_states.get(state_id) or AlertState(id=state_id, status="evaluating")
    measured = MEASURES[alert.alert_type](world, alert, customer_id, at)
    alarmed = measured is not None and measured[1]
    status = "in_alarm" if alarmed else "ok"
    if status == state.status:
        return
    was = state.status
    state.status = status
    state.triggered_by = "usage" if alarmed else None
    world.store.alert_states.put(state)
    resolved = was == "in_alarm" and world.settings.resolved_alerts
    if measured is not None and (alarmed or resolved):
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
        "triggered_by": "usage",
    }
    notifications.send_wrapped(world, f"alerts.{type_}", properties, at)


# API


def create(world: World, request: Request) -> Any:
    body = request.body
    if body["alert_type"] not in MEASURES:
        raise unsupported(f"alerts of type {body['alert_type']}")
    for name in ("alert_specifiers", "group_values", "seat_filter"):
        if body.get(name):
            raise unsupported(f"alerts with {name}")
    if body["threshold"] < 0:
        raise invalid("threshold must not be negative")
    if body.get("customer_id"):
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
        customer_id=body.get("customer_id"),
        billable_metric_id=body.get("billable_metric_id"),
        custom_field_filters=body.get("custom_field_filters") or [],
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
    return {"data": _show(world, alert, customer.id)}


def reset_for_customer(world: World, request: Request) -> Any:
    """Evaluate again as if new: a customer still in alarm is reported again."""
    customer = find(world.store.customers, request.body["customer_id"], "Customer")
    alert = find(world.store.alerts, request.body["alert_id"], "Alert")
    world.store.alert_states.remove(f"{alert.id}:{customer.id}")
    if alert.archived_at is None:
        _evaluate_one(world, alert, customer.id, request.now)
    return None


def _show(world: World, alert: Alert, customer_id: str) -> dict[str, Any]:
    state = world.store.alert_states.get(f"{alert.id}:{customer_id}")
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
                "credit_type": show_unit(world, alert.credit_type_id),
                "custom_field_filters": alert.custom_field_filters,
                "uniqueness_key": alert.uniqueness_key,
            }
        ),
    }

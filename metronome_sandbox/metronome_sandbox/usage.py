"""Usage: events in, quantities out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from metronome_sandbox.metering import Cell, values
from metronome_sandbox.pricing import ZERO, billing_period, customer_contracts
from metronome_sandbox.records import Event, Metric, Record
from metronome_sandbox.wire import ApiError, Request, find, invalid, page, stamp
from metronome_sandbox.world import World

MOST_EVENTS = 100
FUTURE = timedelta(hours=24)
PAST = timedelta(days=34)
FIELDS = frozenset(("transaction_id", "customer_id", "event_type", "timestamp", "properties"))


def ingest(world: World, request: Request) -> Any:
    """All or nothing: one bad event refuses the batch.

    An event whose transaction_id came in the last 34 days is passed over in silence, whatever
    else it says."""
    items = request.body
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_EVENTS:
        raise invalid(f"The body must be a list of 1 to {MOST_EVENTS} events")
    now = request.now
    events = [_event(item, index, now) for index, item in enumerate(items)]
    extra = {name for item in items for name in item if name not in FIELDS}
    if extra and world.settings.strict:
        raise invalid(f"Unknown fields: {', '.join(sorted(extra))}")
    world.unknown_fields.update(f"/v1/ingest {name}" for name in extra)
    table = world.store.events
    for event in events:
        known = table.get(event.id)
        if known is not None:
            if now - known.received_at < PAST:
                continue
            table.remove(known.id)
            known.id = f"{known.id}#{known.seq}"
            table.put(known)
        table.put(event)
        world.metering.add(event, world.visible_at(event))
    for subject in {event.subject for event in events}:
        customer_id = world.customer_of(subject)
        if customer_id is not None:
            world.schedule_evaluation(customer_id, now)
    world.show_usage(now)
    return None


def _event(item: Any, index: int, now: datetime) -> Event:
    if not isinstance(item, dict):
        raise invalid(f"Event {index} must be an object")
    for name, longest in (
        ("transaction_id", 128),
        ("customer_id", 128),
        ("event_type", 1024),
        ("timestamp", 64),
    ):
        value = item.get(name)
        if not isinstance(value, str) or not 1 <= len(value) <= longest:
            raise invalid(f"Event {index}: {name} must be a string of 1 to {longest} characters")
    properties = item.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise invalid(f"Event {index}: properties must be an object")
    timestamp = _timestamp(item["timestamp"], index)
    if timestamp > now + FUTURE:
        raise invalid(f"Event {index}: timestamp is more than 24 hours in the future")
    if timestamp < now - PAST:
        raise invalid(f"Event {index}: timestamp is more than 34 days in the past")
    return Event(
        id=item["transaction_id"],
        subject=item["customer_id"],
        event_type=item["event_type"],
        timestamp=timestamp,
        received_at=now,
        properties=properties or {},
    )


def _timestamp(value: str, index: int) -> datetime:
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None or len(value) < 20 or value[10] not in "Tt ":
        raise invalid(f"Event {index}: timestamp must be RFC 3339, such as 2025-01-23T01:23:45Z")
    return parsed.astimezone(UTC)


def search(world: World, request: Request) -> Any:
    wanted = request.body["transactionIds"]
    if not 1 <= len(wanted) <= 100:
        raise invalid("transactionIds must have 1 to 100 items")
    return [
        _show_event(world, event)
        for event in map(world.store.events.get, wanted)
        if event is not None
    ]


def _show_event(world: World, event: Event) -> dict[str, Any]:
    customer_id = world.customer_of(event.subject)
    shown: dict[str, Any] = {
        "id": event.id,
        "transaction_id": event.id,
        "customer_id": event.subject,
        "event_type": event.event_type,
        "timestamp": event.timestamp,
        "processed_at": event.received_at,
        "properties": event.properties,
        "is_duplicate": False,
        "matched_billable_metrics": [
            {"id": metric.id, "name": metric.name} for metric in world.metering.matching(event)
        ],
    }
    if customer_id is not None:
        shown["matched_customer"] = {
            "id": customer_id,
            "name": world.store.customers[customer_id].name,
        }
    return shown


# Quantities


@dataclass(kw_only=True)
class Line(Record):
    """One item of a usage list, so that it can be paged like stored rows.
    Only what is on the page is summed up."""

    show: Callable[[], dict[str, Any]]


def _page(
    world: World, request: Request, items: Sequence[Callable[[], dict[str, Any]]]
) -> dict[str, Any]:
    rows = [Line(id="", seq=number, show=item) for number, item in enumerate(items, start=1)]
    return page(request, rows, show=lambda row: row.show(), cap=world.settings.page_size)


def list_(world: World, request: Request) -> Any:
    """Per customer, metric and window, windows without usage included."""
    body = request.body
    start, end = _range(body["starting_on"], body["ending_before"])
    metrics = [
        (find(world.store.metrics, item["id"], "Billable metric"), item.get("group_by"))
        for item in body.get("billable_metrics") or []
    ] or [(metric, None) for metric in world.store.metrics if metric.archived_at is None]
    customer_ids = body.get("customer_ids") or [row.id for row in world.store.customers]
    items = []
    for customer_id in customer_ids:
        find(world.store.customers, customer_id, "Customer")
        for metric, group_by in metrics:
            cells = world.metering.hours(metric, world.subjects(customer_id))
            for window in windows(start, end, body["window_size"]):
                items.append(partial(_usage_item, cells, customer_id, metric, window, group_by))
    return _page(world, request, items)


def _usage_item(
    cells: list[Cell],
    customer_id: str,
    metric: Metric,
    window: tuple[datetime, datetime],
    group_by: dict[str, Any] | None,
) -> dict[str, Any]:
    item: dict[str, Any] = {
        "billable_metric_id": metric.id,
        "billable_metric_name": metric.name,
        "customer_id": customer_id,
        "start_timestamp": window[0],
        "end_timestamp": window[1],
        "value": values(metric, cells, window, []).get((), ZERO),
    }
    if group_by:
        split = values(metric, cells, window, [group_by["key"]])
        wanted = group_by.get("values")
        groups = {key[0]: value for key, value in split.items() if key[0] is not None}
        item["groups"] = {
            key: value for key, value in groups.items() if not wanted or key in wanted
        }
    return item


def list_with_groups(world: World, request: Request) -> Any:
    body = request.body
    metric = find(world.store.metrics, body["billable_metric_id"], "Billable metric")
    customer = find(world.store.customers, body["customer_id"], "Customer")
    keys, filters = _grouping(body)
    if not any(set(keys) <= set(group) for group in metric.group_keys) and keys:
        raise invalid("The group keys must be together in one group key of the billable metric")
    cells = world.metering.hours(metric, world.subjects(customer.id))
    items: list[Callable[[], dict[str, Any]]] = []
    for start, end in windows(*_groups_range(world, request, customer.id), body["window_size"]):
        for found, amount in sorted(
            values(metric, cells, (start, end), keys).items(), key=lambda item: str(item[0])
        ):
            group = {
                key: value for key, value in zip(keys, found, strict=True) if value is not None
            }
            if any(wanted and group.get(key) not in wanted for key, wanted in filters.items()):
                continue
            item = {
                "starting_on": start,
                "ending_before": end,
                "group": group,
                "group_key": keys[0] if len(keys) == 1 else None,
                "group_value": group.get(keys[0]) if len(keys) == 1 else None,
                "value": amount,
            }
            items.append(partial(dict, item))
    return _page(world, request, items)


def _grouping(body: dict[str, Any]) -> tuple[list[str], dict[str, list[str]]]:
    if body.get("group_by"):
        key = body["group_by"]["key"]
        return [key], {key: body["group_by"].get("values") or []}
    keys = body.get("group_key") or []
    filters = body.get("group_filters") or {}
    if set(filters) - set(keys):
        raise invalid("group_filters may only name keys of group_key")
    if sum(map(len, filters.values())) > 200:
        raise invalid("group_filters may have at most 200 values")
    return keys, filters


def _groups_range(world: World, request: Request, customer_id: str) -> tuple[datetime, datetime]:
    body = request.body
    if not body.get("current_period"):
        if body.get("starting_on") is None or body.get("ending_before") is None:
            raise invalid("Give starting_on and ending_before, or current_period")
        return _range(body["starting_on"], body["ending_before"])
    if body.get("starting_on") or body.get("ending_before"):
        raise invalid("Give current_period, or starting_on and ending_before, not both")
    for contract in customer_contracts(world, customer_id):
        ended = contract.ending_before and contract.ending_before <= request.now
        if contract.starting_at <= request.now and not ended:
            return billing_period(contract, request.now)
    raise ApiError(400, "The customer has no active contract")


def _range(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    for name, value in (("starting_on", start), ("ending_before", end)):
        if (value.hour, value.minute, value.second, value.microsecond) != (0, 0, 0, 0):
            raise invalid(f"{name} must be at midnight UTC, got {stamp(value)}")
    if end - start < timedelta(days=1):
        raise invalid("ending_before must be at least one day after starting_on")
    return start, end


def windows(start: datetime, end: datetime, size: str) -> Iterable[tuple[datetime, datetime]]:
    step = {"HOUR": timedelta(hours=1), "DAY": timedelta(days=1)}.get(size.upper())
    if step is None:
        yield start, end
        return
    while start < end:
        yield start, min(start + step, end)
        start += step

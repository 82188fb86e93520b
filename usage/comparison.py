"""Usage here against usage at Metronome: by customer, closed hour and voice type, with the events that make a difference.

An event counts in the hour of its reservation, and may be captured as long as the reservation lives: an hour is closed
when nothing new can come into it and what came has had its time on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import QuerySet

from accounts.models import Customer
from billing import catalogue, metronome_operations, metronome_setup
from billing.contracts import floor_hour
from billing.ledger import RESERVATION_SECONDS, SETTLING_SECONDS
from billing.metronome_setup import Metric
from jobs.operation import Refused

from .models import UsageEvent
from .reporter import WINDOW

CLOSED_AFTER = timedelta(seconds=RESERVATION_SECONDS + SETTLING_SECONDS)
METRICS = {metric.event_types[0]: metric for metric in catalogue.METRICS}  # by the one event type each counts
READ_AHEAD = 2_000


class Cell(NamedTuple):
    hour_at: datetime
    event_type: str
    voice_type: str  # empty where the price does not depend on it

    def __str__(self) -> str:
        return f"{self.hour_at:%Y-%m-%d %H:00} {self.event_type} {self.voice_type}".rstrip()


@dataclass(frozen=True, slots=True)
class Difference:
    """`missing` were sent or given up and are not at Metronome; `uncounted` are there, but match no customer or metric;
    `waiting` are on their way. `unexplained`: units there beyond the events here; negative: counted for less."""

    cell: Cell
    here: int
    there: Decimal
    missing: tuple[UsageEvent, ...]
    uncounted: tuple[UsageEvent, ...]
    waiting: tuple[UsageEvent, ...]

    @property
    def unexplained(self) -> Decimal:
        explained = sum(quantity(event) for event in (*self.missing, *self.uncounted, *self.waiting))
        return self.there - (self.here - explained)


def closed_hours(since: datetime, until: datetime, *, now: datetime) -> tuple[datetime, datetime]:
    """The closed hours between two moments, both floored. Raises Refused for what Metronome takes no events of."""
    if since < now - WINDOW:
        raise Refused(
            f"Metronome takes events of the last {WINDOW.days} days, so since {now - WINDOW:%Y-%m-%dT%H:%M}. Usage older "
            "than that can no longer be sent; settle it with the customer by hand (grant_credits)."
        )
    first, last = floor_hour(since), floor_hour(min(until, now - CLOSED_AFTER))
    if first >= last:
        raise Refused(f"There is no closed hour in that time; the last one ended at {floor_hour(now - CLOSED_AFTER)}.")
    return first, last


def metric_ids() -> dict[str, str]:
    """Ids at Metronome of what we count, by event type."""
    ids = {metric.name: metric.id for metric in metronome_setup.metrics()}
    if lacking := [metric.name for metric in METRICS.values() if metric.name not in ids]:
        raise Refused(f"Metronome has no billable metric {', '.join(lacking)}: run bootstrap_metronome.")
    return {event_type: ids[metric.name] for event_type, metric in METRICS.items()}


def differences(
    customer: Customer, *, since: datetime, until: datetime, metric_ids: dict[str, str]
) -> Iterator[Difference]:
    """What differs between two full hours, by hour. The customer is at Metronome. Changes nothing."""
    here = _here(customer, since, until)
    there = _there(customer, since, until, metric_ids)
    for cell in sorted(here.keys() | there.keys()):
        if here[cell] != there.get(cell, 0):
            yield _explained(customer, cell, here[cell], there.get(cell, Decimal(0)))


def quantity(event: UsageEvent) -> int:
    return _quantity(METRICS[event.event_type], event.properties)


def _quantity(metric: Metric, properties: dict[str, Any]) -> int:
    return int(properties.get(metric.aggregation_key, 0)) if metric.aggregation_key else 1


def _group_key(metric: Metric) -> str:
    return metric.group_keys[0][0] if metric.group_keys else ""


def _here(customer: Customer, since: datetime, until: datetime) -> Counter[Cell]:
    sums: Counter[Cell] = Counter()
    events = UsageEvent.objects.filter(customer=customer, happened_at__gte=since, happened_at__lt=until)
    columns = events.values_list("happened_at", "event_type", "properties")
    for happened_at, event_type, properties in columns.iterator(chunk_size=READ_AHEAD):
        if metric := METRICS.get(event_type):
            group = str(properties.get(_group_key(metric), ""))
            sums[Cell(floor_hour(happened_at), event_type, group)] += _quantity(metric, properties)
    return sums


def _there(customer: Customer, since: datetime, until: datetime, metric_ids: dict[str, str]) -> dict[Cell, Decimal]:
    midnight = since.replace(hour=0)
    day = timedelta(days=1)
    return {
        Cell(usage.starts_at, event_type, usage.group): usage.quantity
        for event_type, metric_id in metric_ids.items()
        for usage in metronome_operations.usage(
            customer_id=customer.metronome_id or "",
            metric_id=metric_id,
            starting_on=midnight,
            ending_before=(until - timedelta(hours=1)).replace(hour=0) + day,
            group_key=_group_key(METRICS[event_type]),
        )
        if since <= usage.starts_at < until
    }


def _explained(customer: Customer, cell: Cell, here: int, there: Decimal) -> Difference:
    missing: list[UsageEvent] = []
    uncounted: list[UsageEvent] = []
    waiting: list[UsageEvent] = []
    events = list(_events(customer, cell))
    sent = [event for event in events if event.sent_at]
    for at in range(0, len(sent), metronome_operations.SEARCH_EVENTS_MAX):
        part = sent[at : at + metronome_operations.SEARCH_EVENTS_MAX]
        found = metronome_operations.find_events([event.transaction_id for event in part])
        for event in part:
            if event.transaction_id not in found:
                missing.append(event)
            elif not found[event.transaction_id].is_counted:
                uncounted.append(event)
    for event in events:
        if not event.sent_at:
            (missing if event.dead_at or event.due_at is None else waiting).append(event)
    return Difference(cell, here, there, tuple(missing), tuple(uncounted), tuple(waiting))


def _events(customer: Customer, cell: Cell) -> QuerySet[UsageEvent]:
    hour = (cell.hour_at, cell.hour_at + timedelta(hours=1))
    events = UsageEvent.objects.filter(
        customer=customer, event_type=cell.event_type, happened_at__gte=hour[0], happened_at__lt=hour[1]
    )
    key = _group_key(METRICS[cell.event_type])
    return events.filter(**{f"properties__{key}": cell.voice_type}) if key else events

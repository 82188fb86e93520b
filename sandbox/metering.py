"""Turns usage events into hourly quantities per metric and dimension, one event at a time.

Quantities are kept under the name the event was sent with (customer id or ingest alias), not under
the customer: an alias claimed later, or moved, brings its usage with it and nothing is computed
again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal, InvalidOperation
from heapq import heappop, heappush
from typing import Any

from sandbox.periods import floor_hour
from sandbox.records import Event, Metric

Dimensions = tuple[str | None, ...]
CellKey = tuple[datetime, Dimensions]


class Metering:
    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], dict[CellKey, Any]] = defaultdict(dict)
        self._by_event_type: dict[str | None, list[Metric]] = defaultdict(list)
        self._waiting: list[tuple[datetime, int, Event]] = []

    def add_metric(self, metric: Metric) -> None:
        """Events count for a metric from its creation on, never backwards."""
        for event_type in (metric.event_type_filter or {}).get("in_values") or [None]:
            self._by_event_type[event_type].append(metric)

    def matching(self, event: Event) -> list[Metric]:
        candidates = self._by_event_type.get(event.event_type, []) + self._by_event_type.get(
            None, []
        )
        return [metric for metric in candidates if _matches(metric, event)]

    def add(self, event: Event, visible_at: datetime) -> None:
        """Counts the event once `show` reaches visible_at."""
        heappush(self._waiting, (visible_at, event.seq, event))

    def show(self, now: datetime) -> set[str]:
        """Counts what has become visible; returns the names whose usage changed."""
        changed: set[str] = set()
        while self._waiting and self._waiting[0][0] <= now:
            event = heappop(self._waiting)[2]
            for metric in self.matching(event):
                self._count(metric, event)
            changed.add(event.subject)
        return changed

    @contextmanager
    def supposing(self, events: list[Event]) -> Iterator[None]:
        """Count events of one name nobody else uses, and forget them afterwards."""
        for event in events:
            for metric in self.matching(event):
                self._count(metric, event)
        try:
            yield
        finally:
            for subject, metric_id in [key for key in self.cells if key[0] == events[0].subject]:
                del self.cells[(subject, metric_id)]

    def _count(self, metric: Metric, event: Event) -> None:
        kind = metric.aggregation_type
        value: Any = Decimal(1)
        if kind != "COUNT":
            raw = event.properties.get(metric.aggregation_key or "")
            value = text(raw) if kind == "UNIQUE" else numeric(raw)
            if value is None:
                return
        cells = self.cells[(event.subject, metric.id)]
        dimensions = tuple(text(event.properties.get(name)) for name in metric.dimensions)
        key = (floor_hour(event.timestamp), dimensions)
        cells[key] = _fold(kind, cells.get(key), value, event.timestamp)

    def quantities(
        self, metric: Metric, subjects: Iterable[str]
    ) -> Iterator[tuple[datetime, Dimensions, Decimal]]:
        """(hour, dimensions, quantity) in order of time, over several names of one customer."""
        merged: dict[CellKey, Any] = {}
        for subject in subjects:
            for key, cell in self.cells.get((subject, metric.id), {}).items():
                merged[key] = (
                    _merge(metric.aggregation_type, merged[key], cell) if key in merged else cell
                )
        # MAX, LATEST and UNIQUE do not add up over hours. An hour counts with what it adds to the
        # maximum or the set of its calendar month; of LATEST, only the last hour of a month counts.
        state: dict[tuple[Dimensions, int, int], Any] = {}
        ordered = sorted(merged, key=lambda key: (key[0], tuple(str(part) for part in key[1])))
        if metric.aggregation_type == "LATEST":
            last = {
                (dimensions, hour.year, hour.month): (hour, dimensions)
                for hour, dimensions in ordered
            }
            ordered = list(last.values())
        for hour, dimensions in ordered:
            group = (dimensions, hour.year, hour.month)
            quantity, state[group] = _increase(
                metric.aggregation_type, state.get(group), merged[(hour, dimensions)]
            )
            if quantity:
                yield hour, dimensions, quantity


def text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def numeric(value: Any) -> Decimal | None:
    """Numbers and numeric strings alike; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        result = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return result if result.is_finite() else None


def _matches(metric: Metric, event: Event) -> bool:
    if metric.archived_at or metric.created_at > event.received_at:
        return False
    types = metric.event_type_filter or {}
    if types.get("in_values") and event.event_type not in types["in_values"]:
        return False
    if event.event_type in (types.get("not_in_values") or ()):
        return False
    return all(_passes(rule, event.properties) for rule in metric.property_filters)


def _passes(rule: dict[str, Any], properties: dict[str, Any]) -> bool:
    value = text(properties.get(rule["name"]))
    if rule.get("exists") is False:
        return value is None
    if value is None:
        return not (rule.get("exists") or rule.get("in_values"))
    if rule.get("in_values") and value not in rule["in_values"]:
        return False
    return value not in (rule.get("not_in_values") or ())


def _fold(kind: str, cell: Any, value: Any, at: datetime) -> Any:
    if kind == "UNIQUE":
        return (cell or frozenset()) | {value}
    if kind == "LATEST":
        return (at, value) if cell is None or at >= cell[0] else cell
    if cell is None:
        return value
    return max(cell, value) if kind == "MAX" else cell + value


def _merge(kind: str, one: Any, other: Any) -> Any:
    if kind == "UNIQUE":
        return one | other
    return max(one, other) if kind in ("MAX", "LATEST") else one + other


def _increase(kind: str, state: Any, cell: Any) -> tuple[Decimal, Any]:
    if kind == "UNIQUE":
        known = state or frozenset()
        return Decimal(len(cell - known)), known | cell
    if kind == "LATEST":
        return cell[1], None
    if kind == "MAX":
        return max(cell - (state or Decimal(0)), Decimal(0)), max(cell, state or Decimal(0))
    return cell, None

"""Turns usage events into hourly quantities per metric and dimension, one event at a time.

Quantities are kept under the name the event was sent with (customer id or ingest alias), not under
the customer: an alias claimed later, or moved, brings its usage with it and nothing is computed
again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal, InvalidOperation
from heapq import heappop, heappush
from typing import Any

from metronome_sandbox.periods import floor_hour
from metronome_sandbox.records import Event, Metric

MOST_DIGITS = 24  # of a number in a property, before or after the point

Dimensions = tuple[str | None, ...]
CellKey = tuple[datetime, Dimensions]
Cell = tuple[datetime, Dimensions, Any]  # what it holds depends on the aggregation


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

    def hours(self, metric: Metric, subjects: Iterable[str]) -> list[Cell]:
        """What was counted in each hour, in order of time, over several names of one customer."""
        merged: dict[CellKey, Any] = {}
        for subject in subjects:
            for key, cell in self.cells.get((subject, metric.id), {}).items():
                merged[key] = (
                    _merge(metric.aggregation_type, merged[key], cell) if key in merged else cell
                )
        ordered = sorted(merged, key=lambda key: (key[0], tuple(str(part) for part in key[1])))
        return [(*key, merged[key]) for key in ordered]

    def quantities(
        self,
        metric: Metric,
        subjects: Iterable[str],
        period: Callable[[datetime], datetime | None],
        keys: tuple[str, ...],
    ) -> Iterator[tuple[datetime, Dimensions, Decimal]]:
        """(hour, values of the group keys, quantity) in order of time. The quantities of a period
        add up to the period's value; hours whose `period` is None are left out.

        MAX, LATEST and UNIQUE do not add up over hours. An hour counts with what it adds to the
        maximum or the set of its period; of LATEST, only the last hour of a period counts."""
        kind = metric.aggregation_type
        cells: dict[tuple[datetime, Dimensions], tuple[Any, datetime]] = {}
        group_of = _grouping(metric, keys)
        for hour, dimensions, cell in self.hours(metric, subjects):
            start = period(hour)
            if start is None:
                continue
            key = (hour, group_of(dimensions))
            cells[key] = (_merge(kind, cells[key][0], cell) if key in cells else cell, start)
        if kind == "LATEST":
            last = {(group, start): (hour, group) for (hour, group), (_, start) in cells.items()}
            cells = {key: cells[key] for key in last.values()}
        state: dict[tuple[Dimensions, datetime], Any] = {}
        for (hour, group), (cell, start) in cells.items():
            quantity, state[(group, start)] = _increase(kind, state.get((group, start)), cell)
            if quantity:
                yield hour, group, quantity


def values(
    metric: Metric, cells: Iterable[Cell], window: tuple[datetime, datetime], keys: Iterable[str]
) -> dict[Dimensions, Decimal]:
    """The metric's value in a window of time, by the values of the given group keys."""
    kind = metric.aggregation_type
    group_of = _grouping(metric, keys)
    found: dict[Dimensions, Any] = {}
    for hour, dimensions, cell in cells:
        if window[0] <= hour < window[1]:
            group = group_of(dimensions)
            found[group] = _merge(kind, found[group], cell) if group in found else cell
    return {group: _increase(kind, None, cell)[0] for group, cell in found.items()}


def _grouping(metric: Metric, keys: Iterable[str]) -> Callable[[Dimensions], Dimensions]:
    """From the values of all the metric's dimensions to those of some keys."""
    names = metric.dimensions
    positions = [names.index(key) if key in names else None for key in keys]

    def pick(dimensions: Dimensions) -> Dimensions:
        return tuple(
            dimensions[position] if position is not None else None for position in positions
        )

    return pick


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
    if not result.is_finite() or abs(result.adjusted()) > MOST_DIGITS:
        return None
    return result


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
        highest = cell if state is None else max(cell, state)
        return highest - (state or Decimal(0)), highest
    return cell, None

"""Usage: events to Metronome, and what it made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import httpx
from metronome import RequestOptions

from . import client
from .client import READ_TIMEOUT_SECONDS, all_pages, named, nothing, reader, remember, talk, to_decimal

SEARCH_EVENTS_MAX = 100  # ids in one search, which is heavily rate limited


class Usage(NamedTuple):
    """What Metronome counted in one window. `group` is the value of the key it was asked to group by, if there was one."""

    customer_id: str
    metric_id: str
    starts_at: datetime
    group: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """A usage event as Metronome has it. `is_counted`: a customer and a metric matched it."""

    transaction_id: str
    is_counted: bool


def ingest(events: Sequence[dict[str, Any]]) -> None:
    """Send up to 100 usage events, all or none. Metronome ignores a transaction_id it has seen within 34 days.

    Sends what `client.v1.usage.ingest` sends, without its walk through every key of every event: for a full batch that
    took twice as long as the call itself.
    """
    options: RequestOptions = {"timeout": READ_TIMEOUT_SECONDS, "headers": {"Accept": "*/*"}}
    with talk("ingest"):
        nothing(client.client().post("/v1/ingest", cast_to=httpx.Response, body=list(events), options=options))


def metric_id(name: str) -> str:
    """Id of the billable metric of this name. NotFound until bootstrap_metronome has made it."""
    return remember(f"metric {name}", lambda: named("billable metric", name, reader().v1.billable_metrics.list))


def usage(
    *,
    customer_ids: Sequence[str],
    group_keys: Mapping[str, str],
    starting_on: datetime,
    ending_before: datetime,
    window: Literal["HOUR", "DAY"] = "HOUR",
) -> list[Usage]:
    """Usage of these customers by window, windows without any left out. Both ends are midnights UTC, a day apart or more.

    `group_keys`: the metrics by their ids, each with the property to group by, or empty.
    """
    metrics: list[Any] = [
        {"id": metric_id} | ({"group_by": {"key": key}} if key else {}) for metric_id, key in group_keys.items()
    ]
    with talk("read usage"):
        found = all_pages(
            reader().v1.usage.list(
                customer_ids=list(customer_ids),
                billable_metrics=metrics,
                window_size=window,
                starting_on=starting_on,
                ending_before=ending_before,
            )
        )
        return [
            Usage(item.customer_id, item.billable_metric_id, item.start_timestamp, group, quantity)
            for item in found
            for group, quantity in _by_group(item).items()
            if quantity
        ]


def _by_group(item: Any) -> dict[str, Decimal]:
    """Quantities by group; under the empty name what is in none."""
    groups = {name: to_decimal(value) for name, value in (item.groups or {}).items() if value}
    return groups | {"": to_decimal(item.value or 0) - sum(groups.values())}


def find_events(transaction_ids: Sequence[str]) -> dict[str, FoundEvent]:
    """Those of up to SEARCH_EVENTS_MAX events that Metronome has, by transaction id. It looks back 34 days."""
    with talk("find events"):
        found = reader().v1.usage.search(transaction_ids=list(transaction_ids))
        if not isinstance(found, list):
            raise TypeError("a list was expected")
        return {
            item.transaction_id: FoundEvent(
                item.transaction_id, bool(item.matched_customer and item.matched_billable_metrics)
            )
            for item in found
            if not item.is_duplicate
        }

"""Usage at Metronome: sending events, and reading what it counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import httpx
from metronome import RequestOptions

from . import client
from .client import (
    READ_TIMEOUT_SECONDS,
    all_pages,
    cached,
    find_id_by_name,
    reader,
    require_empty,
    to_decimal,
    translate_errors,
)

SEARCH_EVENTS_MAX = 100  # ids in one search, an endpoint with a low rate limit


class Usage(NamedTuple):
    """What Metronome counted in one window, in the unit of the metric.

    `group` is the value of the property grouped by, "" without one.
    """

    customer_id: str
    metric_id: str
    starts_at: datetime
    group: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """A usage event at Metronome. `is_counted`: it matched a customer and a metric."""

    transaction_id: str
    is_counted: bool


def ingest(events: Sequence[dict[str, Any]]) -> None:
    """Send up to 100 usage events, all or none.

    Safe to repeat: Metronome ignores a transaction_id it received in the last 34 days.

    Sends the same request as the SDK's `v1.usage.ingest`. That method transforms every key of every
    event, which for a full batch took twice as long as the call.
    """
    options: RequestOptions = {"timeout": READ_TIMEOUT_SECONDS, "headers": {"Accept": "*/*"}}
    with translate_errors("ingest"):
        answer = client.client().post(
            "/v1/ingest", cast_to=httpx.Response, body=list(events), options=options
        )
        require_empty(answer)


def metric_id(name: str) -> str:
    """Id of the billable metric of this name. NotFound until bootstrap_metronome creates it."""
    return cached(
        f"metric {name}",
        lambda: find_id_by_name("billable metric", name, reader().v1.billable_metrics.list),
    )


def usage(
    *,
    customer_ids: Sequence[str],
    group_keys: Mapping[str, str],
    starting_on: datetime,
    ending_before: datetime,
    window: Literal["HOUR", "DAY"] = "HOUR",
) -> list[Usage]:
    """Usage of these customers by window. Windows without usage are left out.

    `starting_on` and `ending_before` are midnights UTC, at least a day apart. `group_keys` maps
    metric ids to the property to group by, or "".
    """
    metrics: list[Any] = [
        {"id": metric_id} | ({"group_by": {"key": key}} if key else {})
        for metric_id, key in group_keys.items()
    ]
    with translate_errors("read usage"):
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
            Usage(
                item.customer_id,
                item.billable_metric_id,
                item.start_timestamp,
                group,
                quantity,
            )
            for item in found
            for group, quantity in _by_group(item).items()
            if quantity
        ]


def _by_group(item: Any) -> dict[str, Decimal]:
    """Quantities by group, with usage outside all groups under ""."""
    groups = {name: to_decimal(value) for name, value in (item.groups or {}).items() if value}
    return groups | {"": to_decimal(item.value or 0) - sum(groups.values())}


def find_events(transaction_ids: Sequence[str]) -> dict[str, FoundEvent]:
    """The events that Metronome received in the last 34 days, by transaction id.

    Takes up to SEARCH_EVENTS_MAX ids. Ids it does not know are missing in the result.
    """
    with translate_errors("find events"):
        found = reader().v1.usage.search(transaction_ids=list(transaction_ids))
        if not isinstance(found, list):
            raise TypeError("expected a list")
        return {
            item.transaction_id: FoundEvent(
                item.transaction_id,
                bool(item.matched_customer and item.matched_billable_metrics),
            )
            for item in found
            if not item.is_duplicate
        }

"""The words to Metronome that only operators' work needs: usage as it was counted, single events, a new name.

Like `billing.metronome` it decides nothing and raises only its two kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from .metronome import all_pages, reader, talk, to_decimal, writer

SEARCH_EVENTS_MAX = 100  # ids in one search, which is heavily rate limited


class Usage(NamedTuple):
    """What Metronome counted in one window. `group` is the value of the key it was asked to group by."""

    starts_at: datetime
    group: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """A usage event as Metronome has it. `is_counted`: a customer and a metric matched it."""

    transaction_id: str
    is_counted: bool


def usage(
    *,
    customer_id: str,
    metric_id: str,
    starting_on: datetime,
    ending_before: datetime,
    window: Literal["HOUR", "DAY", "NONE"] = "HOUR",
    group_key: str = "",
) -> list[Usage]:
    """Usage of a metric by window, windows without any left out. Both ends are midnights UTC, a day apart or more."""
    group: dict[str, Any] = {"group_key": [group_key]} if group_key else {}
    with talk("read usage"):
        found = all_pages(
            reader().v1.usage.list_with_groups(
                customer_id=customer_id,
                billable_metric_id=metric_id,
                window_size=window,
                starting_on=starting_on,
                ending_before=ending_before,
                **group,
            )
        )
        return [
            Usage(item.starting_on, (item.group or {}).get(group_key) or item.group_value or "", to_decimal(item.value))
            for item in found
            if item.value
        ]


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


def rename_customer(*, customer_id: str, name: str) -> None:
    with talk("rename a customer"):
        if writer().v1.customers.set_name(customer_id=customer_id, name=name).data.name != name:
            raise TypeError("the new name was expected")

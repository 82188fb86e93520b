"""Compare our usage with Metronome's by customer, closed hour and voice type, and find the events
that differ.

An event counts in the hour of its reservation, and may be captured as long as the reservation is
open. So an hour is closed when no reservation of it can be open any more and its events have had
time to be sent and counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple
from uuid import UUID

from django.db.models import BigIntegerField, Count, QuerySet, Sum, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Trunc

from accounts.models import Customer
from billing.hours import floor_hour
from billing.ledger import BALANCE_LAG_SECONDS, RESERVATION_SECONDS
from billing.metronome import catalogue
from billing.metronome import usage as metronome_usage
from billing.metronome.setup import Metric
from usage.models import UsageEvent

from .reporter import WINDOW

CLOSED_AFTER = timedelta(seconds=RESERVATION_SECONDS + BALANCE_LAG_SECONDS)
STARTING = timedelta(minutes=1)  # `--since 34d` is a little older by the time the command compares
# By the one event type each counts.
METRICS = {metric.event_types[0]: metric for metric in catalogue.METRICS}
NAMED_MAX = 20  # events named in the admin


class NotComparable(ValueError):
    """There is nothing to compare in that time. The text says why."""


Window = Literal["HOUR", "DAY"]


class Bucket(NamedTuple):
    hour_at: datetime
    event_type: str
    voice_type: str  # empty where the price does not depend on it

    def __str__(self) -> str:
        return f"{self.hour_at:%Y-%m-%d %H:00} {self.event_type} {self.voice_type}".rstrip()


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A bucket whose units differ, with the events that explain it.

    `missing`: sent or given up, and not at Metronome. `uncounted`: there, but matched to no
    customer or metric. `waiting`: still to be sent. `unexplained`: units at Metronome beyond our
    events; negative if it counts less.
    """

    bucket: Bucket
    local: int
    remote: Decimal
    missing: tuple[UsageEvent, ...]
    uncounted: tuple[UsageEvent, ...]
    waiting: tuple[UsageEvent, ...]

    @property
    def unexplained(self) -> Decimal:
        explained = sum(
            quantity(event) for event in (*self.missing, *self.uncounted, *self.waiting)
        )
        return self.remote - (self.local - explained)

    @property
    def is_in_transit(self) -> bool:
        return not (self.missing or self.uncounted or self.unexplained)

    def __str__(self) -> str:
        return self.described(named_max=NAMED_MAX)

    def described(self, *, named_max: int | None = None) -> str:
        parts = [f"Vocalis {self.local:,}, Metronome {_number(self.remote)}"]
        for events, what in (
            (self.missing, "missing at Metronome"),
            (
                self.uncounted,
                "at Metronome, but counted for nobody (backfill_customers, bootstrap_metronome)",
            ),
            (self.waiting, "still on their way"),
        ):
            if events:
                names = ", ".join(event.transaction_id for event in events[:named_max])
                more = (
                    f" and {len(events) - named_max:,} more"
                    if named_max and len(events) > named_max
                    else ""
                )
                parts.append(f"{what}: {names}{more}")
        if self.unexplained > 0:
            parts.append(f"{_number(self.unexplained)} at Metronome that no event of ours explains")
        elif self.unexplained < 0:
            parts.append(f"{_number(-self.unexplained)} fewer at Metronome than its events say")
        return "; ".join(parts)


def _number(amount: Decimal) -> str:
    return f"{amount.normalize():,f}"


def closed_hours(since: datetime, until: datetime, *, now: datetime) -> tuple[datetime, datetime]:
    """The closed hours between two moments: start of the first, end of the last.

    Raises NotComparable.
    """
    if since < now - WINDOW - STARTING:
        raise NotComparable(
            f"Metronome takes events of the last {WINDOW.days} days, so since "
            f"{now - WINDOW:%Y-%m-%dT%H:%M}. Usage older than that can no longer "
            "be sent; settle it with the customer by hand (grant_credits)."
        )
    first, last = floor_hour(since), floor_hour(min(until, now - CLOSED_AFTER))
    if first >= last:
        raise NotComparable(
            "There is no closed hour in that time; "
            f"the last one ended at {floor_hour(now - CLOSED_AFTER)}."
        )
    return first, last


def differing(
    customers: Sequence[Customer], *, since: datetime, until: datetime, window: Window = "HOUR"
) -> Iterator[tuple[Customer, Bucket, int, Decimal]]:
    """Buckets whose units differ between two full hours, or days.

    Yields (customer, bucket, local units, remote units).

    One request to Metronome for all customers, who must exist there. Changes nothing.
    """
    local = _local_units(customers, since, until, window)
    remote = _remote_units(customers, since, until, window)
    for customer in customers:
        ours, theirs = local[customer.pk], remote[customer.metronome_id or ""]
        for bucket in sorted(ours.keys() | theirs.keys()):
            local_units, remote_units = ours.get(bucket, 0), theirs.get(bucket, Decimal(0))
            if local_units != remote_units:
                yield customer, bucket, local_units, remote_units


def discrepancies(customer: Customer, *, since: datetime, until: datetime) -> Iterator[Discrepancy]:
    """What differs between two full hours, by hour, with the events.

    The customer must exist at Metronome.
    """
    for _, bucket, local, remote in differing([customer], since=since, until=until):
        yield explained(customer, bucket, local, remote)


def quantity(event: UsageEvent) -> int:
    metric = METRICS[event.event_type]
    return int(event.properties.get(metric.aggregation_key, 0)) if metric.aggregation_key else 1


def _group_key(metric: Metric) -> str:
    return metric.group_keys[0][0] if metric.group_keys else ""


def _local_units(
    customers: Sequence[Customer], since: datetime, until: datetime, window: Window
) -> defaultdict[UUID, dict[Bucket, int]]:
    sums: defaultdict[UUID, dict[Bucket, int]] = defaultdict(dict)
    text: TextField[str, str] = TextField()
    for event_type, metric in METRICS.items():
        key, counted = _group_key(metric), metric.aggregation_key
        group = (
            Coalesce(KT(f"properties__{key}"), Value(""), output_field=text)
            if key
            else Value("", output_field=text)
        )
        number = (
            Sum(Cast(KT(f"properties__{counted}"), BigIntegerField()), default=0)
            if counted
            else Count("pk")
        )
        events = UsageEvent.objects.filter(
            customer__in=customers,
            event_type=event_type,
            happened_at__gte=since,
            happened_at__lt=until,
        ).annotate(window_at=Trunc("happened_at", window.lower(), tzinfo=UTC), group=group)
        rows = events.values_list("customer_id", "window_at", "group").annotate(number=number)
        for customer_id, window_at, voice_type, units in rows:
            sums[customer_id][Bucket(window_at, event_type, voice_type)] = units
    return sums


def _remote_units(
    customers: Sequence[Customer], since: datetime, until: datetime, window: Window
) -> defaultdict[str, dict[Bucket, Decimal]]:
    event_types = {metronome_usage.metric_id(metric.name): name for name, metric in METRICS.items()}
    found = metronome_usage.usage(
        customer_ids=[customer.metronome_id or "" for customer in customers],
        group_keys={
            metric_id: _group_key(METRICS[event_type])
            for metric_id, event_type in event_types.items()
        },
        starting_on=since.replace(hour=0),
        ending_before=(until - timedelta(hours=1)).replace(hour=0) + timedelta(days=1),
        window=window,
    )
    sums: defaultdict[str, dict[Bucket, Decimal]] = defaultdict(dict)
    for usage in found:
        if since <= usage.starts_at < until:
            bucket = Bucket(usage.starts_at, event_types[usage.metric_id], usage.group)
            sums[usage.customer_id][bucket] = usage.quantity
    return sums


def explained(
    customer: Customer,
    bucket: Bucket,
    local: int,
    remote: Decimal,
    *,
    searched_max: int | None = None,
) -> Discrepancy:
    """The difference with its events.

    If more than `searched_max` events were sent, none of them is looked up: Metronome limits
    searches heavily.
    """
    missing: list[UsageEvent] = []
    uncounted: list[UsageEvent] = []
    waiting: list[UsageEvent] = []
    events = list(_events(customer, bucket))
    sent = [event for event in events if event.sent_at]
    searched = sent if searched_max is None or len(sent) <= searched_max else []
    for at in range(0, len(searched), metronome_usage.SEARCH_EVENTS_MAX):
        part = searched[at : at + metronome_usage.SEARCH_EVENTS_MAX]
        found = metronome_usage.find_events([event.transaction_id for event in part])
        for event in part:
            if event.transaction_id not in found:
                missing.append(event)
            elif not found[event.transaction_id].is_counted:
                uncounted.append(event)
    for event in events:
        if not event.sent_at:
            (missing if event.dead_at or event.due_at is None else waiting).append(event)
    return Discrepancy(bucket, local, remote, tuple(missing), tuple(uncounted), tuple(waiting))


def _events(customer: Customer, bucket: Bucket) -> QuerySet[UsageEvent]:
    hour = (bucket.hour_at, bucket.hour_at + timedelta(hours=1))
    events = UsageEvent.objects.filter(
        customer=customer,
        event_type=bucket.event_type,
        happened_at__gte=hour[0],
        happened_at__lt=hour[1],
    ).order_by("pk")
    key = _group_key(METRICS[bucket.event_type])
    return events.filter(**{f"properties__{key}": bucket.voice_type}) if key else events

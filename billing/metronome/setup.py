"""What stands at Metronome before anybody can buy: the ids of what everything stands on, and what set-up and health
read and make. `billing.metronome.catalogue` says what ought to be.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.conf import settings

from billing import plans

from .client import (
    AlreadyDone,
    NotFound,
    all_pages,
    an_id,
    named,
    oldest_first,
    once_a_minute,
    reader,
    remember,
    talk,
    to_decimal,
    writer,
)

CREDITS_PRODUCT_NAME = "Vocalis Credits"


@dataclass(frozen=True, slots=True)
class PricingUnit:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    id: str
    name: str
    type: str
    metric_id: str
    pricing_group_key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RateCard:
    """`cents_per_unit`: what one credit of a pricing unit is worth in cents, by the unit's id."""

    id: str
    name: str
    cents_per_unit: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Metric:
    id: str
    name: str
    aggregation: str
    aggregation_key: str
    event_types: tuple[str, ...]
    group_keys: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Rate:
    product_id: str
    group_values: dict[str, str]
    price: Decimal
    pricing_unit_id: str


def credit_type_id() -> str:
    """Id of the pricing unit: VOCALIS_CREDIT_TYPE_ID, else found by name."""
    return settings.VOCALIS_CREDIT_TYPE_ID or remember(
        "pricing unit", lambda: named("pricing unit", plans.PRICING_UNIT_NAME, reader().v1.pricing_units.list)
    )


def rate_card_id() -> str:
    cards = functools.partial(reader().v1.contracts.rate_cards.list, body={})
    return remember("rate card", lambda: named("rate card", settings.METRONOME_RATE_CARD_NAME, cards))


def credits_product_id() -> str:
    """Id of the FIXED product all credits are sold as, made if it is missing."""

    def find() -> str:
        try:
            return named("product", CREDITS_PRODUCT_NAME, reader().v1.contracts.products.list)
        except NotFound:
            return create_product(name=CREDITS_PRODUCT_NAME, type="FIXED")

    return remember("credits product", find)


def create_product(
    *, name: str, type: Literal["FIXED", "USAGE"], metric_id: str = "", pricing_group_key: Sequence[str] = ()
) -> str:
    change: dict[str, Any] = {"billable_metric_id": metric_id} if metric_id else {}
    if pricing_group_key:
        change["pricing_group_key"] = list(pricing_group_key)
    with talk("create a product"):
        made = writer().v1.contracts.products.create(
            name=name, type=type, **change, extra_headers=once_a_minute("product", name)
        )
        return an_id(made.data)


def pricing_units() -> list[PricingUnit]:
    with talk("list pricing units"):
        return [PricingUnit(an_id(unit), unit.name) for unit in all_pages(reader().v1.pricing_units.list())]


def create_pricing_unit(*, name: str) -> str:
    with talk("create a pricing unit"):
        return an_id(writer().v1.pricing_units.create(name=name, extra_headers=once_a_minute("unit", name)).data)


def metrics() -> list[Metric]:
    with talk("list billable metrics"):
        return [
            Metric(
                id=an_id(metric),
                name=metric.name,
                aggregation=metric.aggregation_type or "",
                aggregation_key=metric.aggregation_key or "",
                event_types=tuple((metric.event_type_filter and metric.event_type_filter.in_values) or ()),
                group_keys=tuple(tuple(key) for key in metric.group_keys or ()),
            )
            for metric in all_pages(reader().v1.billable_metrics.list())
        ]


def create_metric(metric: Metric) -> str:
    """Make the metric described, whose id is ignored. Every key it reads must be present in an event."""
    keys = {metric.aggregation_key, *(key for group in metric.group_keys for key in group)} - {""}
    change: dict[str, Any] = {
        "name": metric.name,
        "aggregation_type": metric.aggregation,
        "event_type_filter": {"in_values": list(metric.event_types)},
        "property_filters": [{"name": key, "exists": True} for key in sorted(keys)],
    }
    if metric.aggregation_key:
        change["aggregation_key"] = metric.aggregation_key
    if metric.group_keys:
        change["group_keys"] = [list(group) for group in metric.group_keys]
    with talk("create a billable metric"):
        made = writer().v1.billable_metrics.create(**change, extra_headers=once_a_minute("metric", metric.name))
        return an_id(made.data)


def products() -> list[Product]:
    with talk("list products"):
        found = all_pages(reader().v1.contracts.products.list(archive_filter="NOT_ARCHIVED"))
        return [
            Product(
                id=an_id(product),
                name=product.current.name,
                type=product.type,
                metric_id=product.current.billable_metric_id or "",
                pricing_group_key=tuple(product.current.pricing_group_key or ()),
            )
            for product in oldest_first(found)
        ]


def rate_cards() -> list[RateCard]:
    with talk("list rate cards"):
        return [
            RateCard(
                id=an_id(card),
                name=card.name,
                cents_per_unit={
                    conversion.custom_credit_type.id: to_decimal(conversion.fiat_per_custom_credit)
                    for conversion in card.credit_type_conversions or ()
                },
            )
            for card in oldest_first(all_pages(reader().v1.contracts.rate_cards.list(body={})))
        ]


def create_rate_card(*, name: str, unit_id: str, cents_per_unit: Decimal) -> str:
    conversions: Any = [{"custom_credit_type_id": unit_id, "fiat_per_custom_credit": float(cents_per_unit)}]
    with talk("create a rate card"):
        made = writer().v1.contracts.rate_cards.create(
            name=name, credit_type_conversions=conversions, extra_headers=once_a_minute("rate-card", name)
        )
        return an_id(made.data)


def add_conversion(*, rate_card_id: str, unit_id: str, cents_per_unit: Decimal) -> None:
    """Give a card a conversion it lacks; Metronome does not change one that is there."""
    conversions: Any = [{"custom_credit_type_id": unit_id, "fiat_per_custom_credit": float(cents_per_unit)}]
    with talk("add a conversion"):
        an_id(
            writer()
            .v1.contracts.rate_cards.update(rate_card_id=rate_card_id, add_credit_type_conversions=conversions)
            .data
        )


def rates(*, rate_card_id: str, at: datetime) -> list[Rate]:
    """The flat rates of a card at a moment."""
    with talk("list rates"):
        found = all_pages(reader().v1.contracts.rate_cards.rates.list(rate_card_id=rate_card_id, at=at))
        return [
            Rate(
                product_id=item.product_id,
                group_values=dict(item.pricing_group_values or {}),
                price=to_decimal(item.rate.price or 0),
                pricing_unit_id=item.rate.credit_type.id if item.rate.credit_type else "",
            )
            for item in found
            if item.entitled and item.rate.rate_type == "FLAT"
        ]


def add_rate(*, rate_card_id: str, rate: Rate, starts_at: datetime) -> None:
    """Set a price from `starts_at` (on the hour). The same product, values and start again replaces it."""
    groups: dict[str, Any] = {"pricing_group_values": rate.group_values} if rate.group_values else {}
    with talk("add a rate"):
        answer = writer().v1.contracts.rate_cards.rates.add(
            rate_card_id=rate_card_id,
            product_id=rate.product_id,
            entitled=True,
            rate_type="FLAT",
            price=float(rate.price),
            credit_type_id=rate.pricing_unit_id,
            starting_at=starts_at,
            **groups,
        )
        if answer.data.rate_type != "FLAT":
            raise TypeError("a flat rate was expected")


def some_customer() -> str | None:
    """Any customer's id: Metronome lists alerts, even those for all customers, only by customer."""
    with talk("list customers"):
        page = reader().v1.customers.list(limit=1)
        return next((an_id(customer) for customer in page.data), None)


def alerts(*, customer_id: str) -> list[tuple[str, Decimal, str]]:
    """Type, threshold and pricing unit of the enabled alerts that watch this customer."""
    with talk("list alerts"):
        found = (item.alert for item in all_pages(reader().v1.customers.alerts.list(customer_id=customer_id)))
        return [
            (alert.type, to_decimal(alert.threshold), alert.credit_type.id if alert.credit_type else "")
            for alert in found
            if alert.status == "enabled"
        ]


def create_alert(*, key: str, name: str, type: str, threshold: int, unit_id: str) -> str:
    """Make an alert for all customers. AlreadyDone if the key was used."""
    with talk("create an alert", conflict=AlreadyDone):
        made = writer().v1.alerts.create(
            alert_type=type,  # type: ignore[arg-type]  # one of the SDK's literals
            name=name,
            threshold=threshold,
            credit_type_id=unit_id,
            uniqueness_key=key,
        )
        return an_id(made.data)


def enabled_notifications() -> set[str]:
    """The system notification types that are switched on."""
    with talk("list system notifications"):
        found: list[Any] = []
        cursor: dict[str, Any] = {}
        while True:  # not one of the SDK's page classes
            page = reader().v2.notifications.system.list(extra_body=cursor or None)
            found += page.data
            if not page.cursor:
                return {item.policy.type for item in found if item.is_enabled}
            cursor = {"cursor": page.cursor}


def enable_notification(type: str) -> None:
    with talk("enable a notification"):
        edited = writer().v2.notifications.offset.edit(policy={"type": type}, is_enabled=True)
        if edited.data.policy.type != type:
            raise TypeError(f"{type} was expected")


def offset_notifications() -> set[tuple[str, str]]:
    """Type and offset of the offset notifications in force, such as ("commit.segment.end", "-P3D")."""
    with talk("list offset notifications"):
        page = reader().v2.notifications.offset.list(archive_filter="NOT_ARCHIVED")
        return {(item.policy.type, item.policy.offset) for item in all_pages(page)}


def create_offset_notification(*, key: str, name: str, type: str, offset: str) -> None:
    """Have Metronome tell of an event before (negative offset) or after it. AlreadyDone if the key was used."""
    with talk("create an offset notification", conflict=AlreadyDone):
        made = writer().v2.notifications.offset.create(
            name=name, policy={"type": type, "offset": offset}, uniqueness_key=key
        )
        an_id(made.data)

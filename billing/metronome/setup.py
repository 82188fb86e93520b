"""The objects at Metronome that all customers share: pricing unit, metrics, products, rate card.

Provides the ids that other calls need, and the reads and writes of set-up and health.
`billing.metronome.catalogue` defines what these objects should be.
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
    NotFound,
    all_pages,
    cached,
    find_id_by_name,
    idempotency_header,
    oldest_first,
    reader,
    require_id,
    to_decimal,
    translate_errors,
    writer,
)

CREDITS_PRODUCT_NAME = "Vocalis Credits"


@dataclass(frozen=True, slots=True)
class PricingUnit:
    """A custom pricing unit of the account; ours is the credit."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """A product. `type` is "FIXED" or "USAGE"; a usage product has a metric."""

    id: str
    name: str
    type: str
    metric_id: str
    pricing_group_key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RateCard:
    """A rate card. `cents_per_unit` is the value of one unit in cents, by pricing unit id."""

    id: str
    name: str
    cents_per_unit: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Metric:
    """A billable metric: how usage events of `event_types` are added up."""

    id: str
    name: str
    aggregation: str
    aggregation_key: str
    event_types: tuple[str, ...]
    group_keys: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """A flat price of a product in a pricing unit, for usage with these group values."""

    product_id: str
    group_values: dict[str, str]
    price: Decimal
    pricing_unit_id: str


def credit_type_id() -> str:
    """Id of our pricing unit: VOCALIS_CREDIT_TYPE_ID, or else found by name. Raises NotFound."""
    configured: str = settings.VOCALIS_CREDIT_TYPE_ID
    if configured:
        return configured
    units = reader().v1.pricing_units.list
    return cached(
        "pricing unit", lambda: find_id_by_name("pricing unit", plans.PRICING_UNIT_NAME, units)
    )


def rate_card_id() -> str:
    """Id of the rate card named METRONOME_RATE_CARD_NAME. NotFound until it is created."""
    name = settings.METRONOME_RATE_CARD_NAME
    cards = functools.partial(reader().v1.contracts.rate_cards.list, body={})
    return cached("rate card", lambda: find_id_by_name("rate card", name, cards))


def credits_product_id() -> str:
    """Id of the FIXED product as which all credits are sold, created if missing."""

    def find() -> str:
        products = reader().v1.contracts.products.list
        try:
            return find_id_by_name("product", CREDITS_PRODUCT_NAME, products)
        except NotFound:
            return create_product(name=CREDITS_PRODUCT_NAME, type="FIXED")

    return cached("credits product", find)


def create_product(
    *,
    name: str,
    type: Literal["FIXED", "USAGE"],
    metric_id: str = "",
    pricing_group_key: Sequence[str] = (),
) -> str:
    """Create a product. Returns its id."""
    change: dict[str, Any] = {"billable_metric_id": metric_id} if metric_id else {}
    if pricing_group_key:
        change["pricing_group_key"] = list(pricing_group_key)
    with translate_errors("create a product"):
        made = writer().v1.contracts.products.create(
            name=name, type=type, **change, extra_headers=idempotency_header("product", name)
        )
        return require_id(made.data)


def pricing_units() -> list[PricingUnit]:
    with translate_errors("list pricing units"):
        found = all_pages(reader().v1.pricing_units.list())
        return [PricingUnit(require_id(unit), unit.name) for unit in found]


def create_pricing_unit(*, name: str) -> str:
    with translate_errors("create a pricing unit"):
        made = writer().v1.pricing_units.create(
            name=name, extra_headers=idempotency_header("unit", name)
        )
        return require_id(made.data)


def metrics() -> list[Metric]:
    with translate_errors("list billable metrics"):
        found = all_pages(reader().v1.billable_metrics.list())
        return [_metric(item) for item in found]


def _metric(item: Any) -> Metric:
    types = item.event_type_filter and item.event_type_filter.in_values
    return Metric(
        id=require_id(item),
        name=item.name,
        aggregation=item.aggregation_type or "",
        aggregation_key=item.aggregation_key or "",
        event_types=tuple(types or ()),
        group_keys=tuple(tuple(key) for key in item.group_keys or ()),
    )


def create_metric(metric: Metric) -> str:
    """Create this metric, ignoring its id. Returns the new id.

    The metric counts only events that have all properties it reads.
    """
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
    with translate_errors("create a billable metric"):
        headers = idempotency_header("metric", metric.name)
        made = writer().v1.billable_metrics.create(**change, extra_headers=headers)
        return require_id(made.data)


def products() -> list[Product]:
    with translate_errors("list products"):
        found = all_pages(reader().v1.contracts.products.list(archive_filter="NOT_ARCHIVED"))
        return [
            Product(
                id=require_id(product),
                name=product.current.name,
                type=product.type,
                metric_id=product.current.billable_metric_id or "",
                pricing_group_key=tuple(product.current.pricing_group_key or ()),
            )
            for product in oldest_first(found)
        ]


def rate_cards() -> list[RateCard]:
    with translate_errors("list rate cards"):
        return [
            RateCard(
                id=require_id(card),
                name=card.name,
                cents_per_unit={
                    conversion.custom_credit_type.id: to_decimal(conversion.fiat_per_custom_credit)
                    for conversion in card.credit_type_conversions or ()
                },
            )
            for card in oldest_first(all_pages(reader().v1.contracts.rate_cards.list(body={})))
        ]


def create_rate_card(*, name: str, unit_id: str, cents_per_unit: Decimal) -> str:
    """Create a rate card on which one unit of a pricing unit has a value. Returns its id."""
    with translate_errors("create a rate card"):
        made = writer().v1.contracts.rate_cards.create(
            name=name,
            credit_type_conversions=_conversions(unit_id, cents_per_unit),
            extra_headers=idempotency_header("rate-card", name),
        )
        return require_id(made.data)


def add_conversion(*, rate_card_id: str, unit_id: str, cents_per_unit: Decimal) -> None:
    """Add a missing conversion to a rate card. Metronome cannot change an existing one."""
    conversions = _conversions(unit_id, cents_per_unit)
    with translate_errors("add a conversion"):
        updated = writer().v1.contracts.rate_cards.update(
            rate_card_id=rate_card_id, add_credit_type_conversions=conversions
        )
        require_id(updated.data)


def _conversions(unit_id: str, cents_per_unit: Decimal) -> Any:
    return [{"custom_credit_type_id": unit_id, "fiat_per_custom_credit": float(cents_per_unit)}]


def rates(*, rate_card_id: str, at: datetime) -> list[Rate]:
    """The flat rates of a rate card in force at `at`."""
    with translate_errors("list rates"):
        page = reader().v1.contracts.rate_cards.rates.list(rate_card_id=rate_card_id, at=at)
        found = all_pages(page)
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
    """Set a price from `starts_at`, which must be on the hour.

    A rate of the same product, group values and start is replaced.
    """
    groups: dict[str, Any] = {}
    if rate.group_values:
        groups["pricing_group_values"] = rate.group_values
    with translate_errors("add a rate"):
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
            raise TypeError("expected a flat rate")

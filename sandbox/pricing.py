"""Prices usage: what each product's use in each hour costs under a contract."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox import periods
from sandbox.records import Contract, Metric, Product, Rate
from sandbox.world import World

ZERO = Decimal(0)


@dataclass(slots=True)
class Charge:
    """Usage of one product in one hour at one price."""

    hour: datetime
    product: Product
    groups: tuple[tuple[str, str], ...]  # pricing group values
    presentation: tuple[tuple[str, str | None], ...]
    quantity: Decimal
    price: Decimal
    credit_type_id: str

    @property
    def cost(self) -> Decimal:
        return self.quantity * self.price


def customer_contracts(world: World, customer_id: str) -> list[Contract]:
    return [
        row for row in world.store.contracts.of_customer(customer_id) if row.archived_at is None
    ]


def billing_period(contract: Contract, moment: datetime) -> tuple[datetime, datetime]:
    """The period of the contract's usage invoice, cut to the contract's own time."""
    start, end = periods.period_of(contract.anchor_at, contract.frequency, moment)
    start = max(start, contract.starting_at)
    return start, min(end, contract.ending_before) if contract.ending_before else end


def charges(world: World, contract: Contract, subjects: list[str]) -> Iterator[Charge]:
    card = world.store.rate_cards.get(contract.rate_card_id or "")
    if card is None:
        return
    by_product: dict[str, list[Rate]] = defaultdict(list)
    for row in world.store.rates:
        if row.rate_card_id == card.id:
            by_product[row.product_id].append(row)
    for product_id, product_rates in by_product.items():
        product = world.store.products[product_id]
        metric = world.store.metrics.get(str(product.current.get("billable_metric_id")))
        if product.type == "USAGE" and metric is not None:
            yield from _product_charges(world, contract, product, metric, product_rates, subjects)


def _product_charges(
    world: World,
    contract: Contract,
    product: Product,
    metric: Metric,
    rates: list[Rate],
    subjects: list[str],
) -> Iterator[Charge]:
    state = product.current
    names = metric.dimensions
    # Quantity so far per period and group, for tiers.
    used: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    frozen = set(contract.frozen_periods)
    for hour, values, raw in world.metering.quantities(metric, subjects):
        if hour < contract.starting_at or (
            contract.ending_before and hour >= contract.ending_before
        ):
            continue
        start = billing_period(contract, hour)[0]
        if start in frozen:
            continue
        given = dict(zip(names, values, strict=True))
        pricing = {key: given.get(key) for key in state.get("pricing_group_key") or ()}
        rate_row = effective_rate(rates, pricing, hour)
        if rate_row is None or not rate_row.entitled:
            continue
        groups = tuple((key, value or "") for key, value in pricing.items())
        presentation = tuple(
            (key, given.get(key)) for key in state.get("presentation_group_key") or ()
        )
        quantity = _convert(state.get("quantity_conversion"), raw)
        before = used[(start, groups)]
        used[(start, groups)] += quantity
        for part, price in _tiered(rate_row, before, quantity):
            due = _overridden(contract, product, groups, hour, price)
            if due is not None:
                yield Charge(
                    hour, product, groups, presentation, part, due, rate_row.credit_type_id
                )


def effective_rate(rates: list[Rate], pricing: dict[str, Any], at: datetime) -> Rate | None:
    """The rate of these group values in force at a moment: the one that started last."""
    best: Rate | None = None
    for row in rates:
        if (
            row.starting_at > at
            or (row.ending_before and at >= row.ending_before)
            or row.pricing_group_values != pricing
        ):
            continue
        if best is None or (row.starting_at, row.seq) >= (best.starting_at, best.seq):
            best = row
    return best


def _convert(conversion: dict[str, Any] | None, quantity: Decimal) -> Decimal:
    if not conversion:
        return quantity
    factor = Decimal(conversion["conversion_factor"])
    return quantity * factor if conversion["operation"] == "MULTIPLY" else quantity / factor


def _tiered(row: Rate, before: Decimal, quantity: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    """(quantity, price) parts; tiers fill up over the billing period."""
    if row.rate_type != "TIERED":
        yield quantity, row.price
        return
    floor = ZERO
    for tier in row.tiers:
        ceiling = (
            floor + Decimal(tier["size"]) if tier.get("size") is not None else before + quantity
        )
        part = min(before + quantity, ceiling) - max(before, floor)
        if part > 0:
            yield part, Decimal(tier["price"])
        floor = ceiling


def _overridden(
    contract: Contract,
    product: Product,
    groups: tuple[tuple[str, str], ...],
    hour: datetime,
    price: Decimal,
) -> Decimal | None:
    """The price after the contract's overrides, of which a later one wins; None: not entitled."""
    for override in contract.overrides:
        if hour < override["starting_at"] or (
            override.get("ending_before") and hour >= override["ending_before"]
        ):
            continue
        if not _override_applies(override, product, dict(groups)):
            continue
        if override.get("entitled") is False:
            return None
        if override.get("type") == "MULTIPLIER":
            price *= override["multiplier"]
        elif override.get("overwrite_rate"):
            price = override["overwrite_rate"]["price"]
    return price


def _override_applies(override: dict[str, Any], product: Product, groups: dict[str, str]) -> bool:
    tags = set(product.current.get("tags") or ())
    specifiers = override.get("override_specifiers") or [
        {
            "product_id": override.get("product_id"),
            "product_tags": override.get("applicable_product_tags"),
        }
    ]
    return any(
        (not one.get("product_id") or one["product_id"] == product.id)
        and set(one.get("product_tags") or ()) <= tags
        and (one.get("pricing_group_values") or {}).items() <= groups.items()
        for one in specifiers
    )

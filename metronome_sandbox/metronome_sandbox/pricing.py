"""Prices usage: what each product's use in each hour costs under a contract."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

from metronome_sandbox import overrides, periods
from metronome_sandbox.records import Contract, Fee, Metric, Product, Rate
from metronome_sandbox.world import World

ZERO = Decimal(0)
EXACT = Context(prec=200)
EVER, NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
METERED = {"billable_metric_id", "pricing_group_key", "presentation_group_key"}  # of a product


@dataclass(slots=True)
class Charge:
    """Usage of one product in one hour at one price, or the fee of a subscription.

    `price` is what it costs when no commit or credit pays. Those that pay may have a price of their
    own (`commit_prices`), made of the rate card's prices of this tier."""

    hour: datetime
    product: Product
    groups: tuple[tuple[str, str], ...]  # pricing group values
    presentation: tuple[tuple[str, str | None], ...]
    quantity: Decimal
    price: Decimal
    credit_type_id: str
    list_price: Decimal  # of the rate card, without overrides
    commit_price: Decimal | None  # likewise; None: the rate card has no commit rate
    card_credit_type_id: str  # of both
    used: Decimal = ZERO  # of the product and these pricing groups in the period, before
    fee: Fee | None = None

    @property
    def cost(self) -> Decimal:
        return self.quantity * self.price


def customer_contracts(world: World, customer_id: str) -> list[Contract]:
    return [
        row for row in world.store.contracts.of_customer(customer_id) if row.archived_at is None
    ]


def billing_period(contract: Contract, moment: datetime) -> tuple[datetime, datetime]:
    """The period of the contract's usage invoice, cut to the contract's own time. What was billed
    before the contract was made longer is a period of its own."""
    start, end = periods.period_of(contract.anchor_at, contract.frequency, moment)
    start = max(start, contract.starting_at)
    for at in contract.resumed_at:
        start, end = (max(start, at), end) if at <= moment else (start, min(end, at))
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
        if product.type == "USAGE":
            yield from _product_charges(world, contract, product, product_rates, subjects)


def _product_charges(
    world: World,
    contract: Contract,
    product: Product,
    rates: list[Rate],
    subjects: list[str],
) -> Iterator[Charge]:
    count = _Count()
    # Quantity so far per period and group, for tiers.
    used: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    for hour, pricing, presentation, raw in _quantities(world, contract, product, subjects):
        rate_row = effective_rate(rates, pricing, hour)
        if rate_row is None:
            continue
        groups = tuple((key, value or "") for key, value in pricing.items())
        in_force = overrides.in_force(contract, product, groups, presentation, hour)
        override = overrides.without_commit(contract, in_force)
        entitled = rate_row.entitled if override.entitled is None else override.entitled
        if not entitled:
            continue
        start = billing_period(contract, hour)[0]
        quantity = count.add((start, groups, presentation), raw, product.at(hour))
        if not quantity:
            continue
        before = used[(start, groups)]
        used[(start, groups)] += quantity
        edges = overrides.edges(in_force)
        for position, part, list_price, commit_price in _tiered(rate_row, before, quantity, edges):
            price, unit_id = override.applied(list_price, rate_row.credit_type_id, position)
            yield Charge(
                hour,
                product,
                groups,
                presentation,
                part,
                price,
                unit_id,
                list_price,
                commit_price,
                rate_row.credit_type_id,
                position,
            )


def _quantities(
    world: World, contract: Contract, product: Product, subjects: list[str]
) -> Iterator[tuple[datetime, dict[str, str | None], overrides.Presentation, Decimal]]:
    """What the metric counted in each hour that the contract bills, by the values of the product's
    group keys. An update of metric or keys counts from its hour on."""
    changes = {one["starting_at"] for one in product.updates if METERED & one.keys()}
    for since, until in pairwise([EVER, *sorted(changes), NEVER]):
        state = product.at(since)
        metric: Metric = world.store.metrics[state["billable_metric_id"]]
        pricing_keys = tuple(state.get("pricing_group_key") or ())
        presentation_keys = tuple(state.get("presentation_group_key") or ())
        names = tuple(dict.fromkeys(pricing_keys + presentation_keys))
        period = partial(_open_period, contract, since, until)
        for hour, values, raw in world.metering.quantities(metric, subjects, period, names):
            given = dict(zip(names, values, strict=True))
            pricing = {key: given[key] for key in pricing_keys}
            yield hour, pricing, tuple((key, given[key]) for key in presentation_keys), raw


def _open_period(
    contract: Contract, since: datetime, until: datetime, hour: datetime
) -> datetime | None:
    """The start of the billing period an hour between two moments is in;
    None if it is not between them, or the contract does not bill the hour, or no more."""
    if not since <= hour < until:
        return None
    if hour < contract.starting_at or (contract.ending_before and hour >= contract.ending_before):
        return None
    start = billing_period(contract, hour)[0]
    return None if start in contract.frozen_periods else start


class _Count:
    """Turns raw quantities into priced ones, by the product's conversion and rounding.

    The quantity of a whole line is converted and rounded, not that of each hour: an hour counts
    with what it adds to the line. Where the product is updated a new line begins."""

    def __init__(self) -> None:
        self._raw: dict[Any, Decimal] = defaultdict(Decimal)

    def add(self, line: tuple[Any, ...], raw: Decimal, state: dict[str, Any]) -> Decimal:
        conversion, rounding = state.get("quantity_conversion"), state.get("quantity_rounding")
        if not rounding:
            return _converted(raw, conversion)
        key = (*line, str(conversion), str(rounding))
        before = self._raw[key]
        self._raw[key] += raw
        return _rounded(before + raw, conversion, rounding) - _rounded(before, conversion, rounding)


def _converted(quantity: Decimal, conversion: dict[str, Any] | None) -> Decimal:
    if not conversion:
        return quantity
    factor = Decimal(conversion["conversion_factor"])
    return quantity * factor if conversion["operation"] == "MULTIPLY" else quantity / factor


def _rounded(
    quantity: Decimal, conversion: dict[str, Any] | None, rounding: dict[str, Any]
) -> Decimal:
    return _converted(quantity, conversion).quantize(
        Decimal(1).scaleb(-int(rounding["decimal_places"])),
        rounding=rounding["rounding_method"],
        context=EXACT,
    )


def effective_rate(
    rates: list[Rate], pricing: dict[str, Any], at: datetime, frequency: str | None = None
) -> Rate | None:
    """The rate of these group values, or of this billing frequency, in force at a moment: the one
    that started last."""
    best: Rate | None = None
    for row in rates:
        if (
            row.starting_at > at
            or (row.ending_before and at >= row.ending_before)
            or row.pricing_group_values != pricing
            or row.billing_frequency != frequency
        ):
            continue
        if best is None or (row.starting_at, row.seq) >= (best.starting_at, best.seq):
            best = row
    return best


def _tiered(
    row: Rate, before: Decimal, quantity: Decimal, others: list[Decimal]
) -> Iterator[tuple[Decimal, Decimal, Decimal, Decimal | None]]:
    """(used before, quantity, list price, commit rate) of parts. Tiers fill up over the billing
    period, those of both prices by all usage. `others` are the edges of further tiers."""
    end = before + quantity
    ends = [*_edges(row.tiers), *_edges((row.commit_rate or {}).get("tiers") or []), *others]
    start = before
    for edge in [*sorted({edge for edge in ends if before < edge < end}), end]:
        yield start, edge - start, _at(row.price, row.tiers, start), _commit_rate(row, start)
        start = edge


def overridden_tiers(row: Rate, override: overrides.Override) -> Iterator[dict[str, Any]]:
    """A rate and an override of it as tiers."""
    edges = sorted({*_edges(row.tiers[:-1]), *override.edges()})
    start = ZERO
    for edge in edges:
        price, _ = override.applied(_at(row.price, row.tiers, start), row.credit_type_id, start)
        yield {"price": price, "size": edge - start}
        start = edge
    price, _ = override.applied(_at(row.price, row.tiers, start), row.credit_type_id, start)
    yield {"price": price}


def _edges(tiers: list[dict[str, Any]]) -> Iterator[Decimal]:
    sizes = [Decimal(tier["size"]) for tier in tiers if tier.get("size") is not None]
    return accumulate(sizes)


def _at(price: Decimal, tiers: list[dict[str, Any]], position: Decimal) -> Decimal:
    """The price of what comes next after this much usage. The last tier has no end."""
    for tier, edge in zip(tiers, _edges(tiers), strict=False):
        if position < edge:
            return Decimal(tier["price"])
    return Decimal(tiers[-1]["price"]) if tiers else price


def _commit_rate(row: Rate, position: Decimal) -> Decimal | None:
    rate = row.commit_rate
    if rate is None:
        return None
    return _at(rate.get("price") or ZERO, rate.get("tiers") or [], position)

"""Prices usage and draws it from commits and credits, exactly.

Usage is priced by metric, pricing group and hour. Each hour's charges are then drawn, in order of time, from the
segments that cover the hour, in Metronome's published order
(https://docs.metronome.com/guides/pricing-packaging/apply-credits-and-commits/prioritization-rules). Usage of a custom
pricing unit draws balances of that unit first; the rest is converted to the rate card's fiat unit and may draw balances
of that. Whatever nothing covers stays on the usage invoice: it never makes a balance negative.

A rating covers every billing period whose usage invoice is not final; what final invoices took is stored on the commit.
It depends on usage and contracts only, not on the time of asking, and is cached until one of them changes.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox import periods
from sandbox.records import Commit, Contract, Metric, Product, Rate, RateCard, Segment
from sandbox.world import World

ZERO = Decimal(0)
_KIND_RANK = {"PREPAID": 1, "CREDIT": 1, "POSTPAID": 2}


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


@dataclass(slots=True)
class Draw:
    """A part of a charge: paid from a segment, or (commit is None) by nothing. `amount` is in the charge's unit,
    or in fiat once converted; `converted` then says how much of the charge's unit became it."""

    charge: Charge
    amount: Decimal
    quantity: Decimal
    commit: Commit | None = None
    segment: Segment | None = None
    converted: Decimal | None = None


@dataclass(slots=True)
class Rating:
    draws: dict[tuple[str, datetime], list[Draw]] = field(default_factory=lambda: defaultdict(list))
    taken: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))  # by segment id


def rate(world: World, customer_id: str) -> Rating:
    rating = world.ratings.get(customer_id)
    if rating is None:
        rating = world.ratings[customer_id] = _rate(world, customer_id)
    return rating


def _rate(world: World, customer_id: str) -> Rating:
    rating = Rating()
    left: dict[str, Decimal] = {}
    for commit in customer_commits(world, customer_id):
        for segment in commit.segments:
            left[segment.id] = segment.amount + settled(commit, segment)
    work: list[tuple[tuple, Contract, Charge]] = []
    for contract in customer_contracts(world, customer_id):
        for charge in charges(world, contract):
            order = (charge.hour, -charge.price, charge.product.name, charge.groups)
            work.append((order, contract, charge))
    work.sort(key=lambda item: item[0])
    pools: dict[tuple[str, str], list[tuple[Commit, Segment]]] = {}
    for _, contract, charge in work:
        start = billing_period(contract, charge.hour)[0]
        rating.draws[(contract.id, start)] += _draw(world, contract, charge, left, pools, rating.taken)
    return rating


def customer_contracts(world: World, customer_id: str) -> list[Contract]:
    return [row for row in world.store.contracts.of_customer(customer_id) if row.archived_at is None]


def customer_commits(world: World, customer_id: str) -> list[Commit]:
    return [row for row in world.store.commits.of_customer(customer_id) if row.archived_at is None]


def billing_period(contract: Contract, moment: datetime) -> tuple[datetime, datetime]:
    """The period of the contract's usage invoice, cut to the contract's own time."""
    start, end = periods.period_of(contract.anchor_at, contract.frequency, moment)
    start = max(start, contract.starting_at)
    return start, min(end, contract.ending_before) if contract.ending_before else end


def settled(commit: Commit, segment: Segment) -> Decimal:
    """What final invoices, manual entries and rollovers changed about a segment."""
    taken = sum((entry.amount for entry in commit.deductions if entry.segment_id == segment.id), ZERO)
    adjusted = sum((entry.amount for entry in commit.adjustments if entry.segment_id == segment.id), ZERO)
    return adjusted - taken


# Charges


def charges(world: World, contract: Contract) -> Iterator[Charge]:
    card = world.store.rate_cards.get(contract.rate_card_id or "")
    if card is None:
        return
    subjects = world.subjects(contract.customer_id)
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
    world: World, contract: Contract, product: Product, metric: Metric, rates: list[Rate], subjects: list[str]
) -> Iterator[Charge]:
    state = product.current
    names = metric.dimensions
    used: dict[tuple, Decimal] = defaultdict(Decimal)  # quantity so far per period and group, for tiers
    frozen = set(contract.frozen_periods)
    for hour, values, raw in world.metering.quantities(metric, subjects):
        if hour < contract.starting_at or (contract.ending_before and hour >= contract.ending_before):
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
        presentation = tuple((key, given.get(key)) for key in state.get("presentation_group_key") or ())
        quantity = _convert(state.get("quantity_conversion"), raw)
        before = used[(start, groups)]
        used[(start, groups)] += quantity
        for part, price in _tiered(rate_row, before, quantity):
            price = _overridden(contract, product, groups, hour, price)
            if price is not None:
                yield Charge(hour, product, groups, presentation, part, price, rate_row.credit_type_id)


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
        ceiling = floor + Decimal(tier["size"]) if tier.get("size") is not None else before + quantity
        part = min(before + quantity, ceiling) - max(before, floor)
        if part > 0:
            yield part, Decimal(tier["price"])
        floor = ceiling


def _overridden(
    contract: Contract, product: Product, groups: tuple[tuple[str, str], ...], hour: datetime, price: Decimal
) -> Decimal | None:
    """The price after the contract's overrides (a later one wins over an earlier one); None: not entitled."""
    for override in contract.overrides:
        if hour < override["starting_at"] or (override.get("ending_before") and hour >= override["ending_before"]):
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
        {"product_id": override.get("product_id"), "product_tags": override.get("applicable_product_tags")}
    ]
    return any(
        (not one.get("product_id") or one["product_id"] == product.id)
        and set(one.get("product_tags") or ()) <= tags
        and (one.get("pricing_group_values") or {}).items() <= groups.items()
        for one in specifiers
    )


# Drawdown


def _draw(
    world: World,
    contract: Contract,
    charge: Charge,
    left: dict[str, Decimal],
    pools: dict[tuple[str, str], list[tuple[Commit, Segment]]],
    taken: dict[str, Decimal],
) -> list[Draw]:
    draws: list[Draw] = []
    open_amount, open_quantity = charge.cost, charge.quantity
    for commit, segment in _covering(world, contract, charge, charge.credit_type_id, left, pools):
        if open_amount <= 0:
            break
        amount = min(open_amount, left[segment.id])
        quantity = open_quantity if amount == open_amount else amount / charge.price
        left[segment.id] -= amount
        taken[segment.id] += amount
        open_amount -= amount
        open_quantity -= quantity
        draws.append(Draw(charge, amount, quantity, commit, segment))
    if open_amount == 0 and draws:
        return draws
    draws.append(Draw(charge, open_amount, open_quantity))
    card = world.store.rate_cards[contract.rate_card_id or ""]
    if charge.credit_type_id != card.fiat_credit_type_id and open_amount > 0:
        draws += _draw_fiat(world, contract, card, charge, open_amount, left, pools, taken)
    return draws


def _draw_fiat(
    world: World,
    contract: Contract,
    card: RateCard,
    charge: Charge,
    units: Decimal,
    left: dict[str, Decimal],
    pools: dict[tuple[str, str], list[tuple[Commit, Segment]]],
    taken: dict[str, Decimal],
) -> list[Draw]:
    fiat = units * card.conversions[charge.credit_type_id]
    draws = [Draw(charge, fiat, ZERO, converted=units)]
    for commit, segment in _covering(world, contract, charge, card.fiat_credit_type_id, left, pools):
        if fiat <= 0:
            break
        amount = min(fiat, left[segment.id])
        left[segment.id] -= amount
        taken[segment.id] += amount
        fiat -= amount
        draws.append(Draw(charge, amount, ZERO, commit, segment, converted=ZERO))
    return draws


def _covering(
    world: World,
    contract: Contract,
    charge: Charge,
    credit_type_id: str,
    left: dict[str, Decimal],
    pools: dict[tuple[str, str], list[tuple[Commit, Segment]]],
) -> Iterator[tuple[Commit, Segment]]:
    key = (contract.id, credit_type_id)
    if key not in pools:
        pools[key] = usable_segments(world, contract, credit_type_id)
    pool = pools[key]
    if any(left[segment.id] <= 0 for _, segment in pool):
        pool[:] = [item for item in pool if left[item[1].id] > 0]
    for commit, segment in list(pool):
        if segment.starting_at <= charge.hour < segment.ending_before and _covers(commit, charge):
            yield commit, segment


def usable_on(commit: Commit, contract: Contract) -> bool:
    if commit.contract_id is not None:
        return commit.contract_id == contract.id
    return not commit.applicable_contract_ids or contract.id in commit.applicable_contract_ids


def usable_segments(world: World, contract: Contract, credit_type_id: str) -> list[tuple[Commit, Segment]]:
    """Every segment of a unit the contract may draw from, in drawdown order."""
    found = [
        (commit, segment)
        for commit in customer_commits(world, contract.customer_id)
        if commit.credit_type_id == credit_type_id and usable_on(commit, contract)
        for segment in commit.segments
    ]
    return sorted(found, key=lambda item: _drawdown_order(*item))


def _drawdown_order(commit: Commit, segment: Segment) -> tuple:
    return (
        0 if commit.rolled_over_from else _KIND_RANK[commit.type],
        commit.priority,
        0 if cost_basis(commit) == 0 else 1,
        len(commit.applicable_product_ids) or 10**6,
        -sum(len(one.get("pricing_group_values") or ()) for one in commit.specifiers),
        segment.ending_before,
        segment.starting_at,
        len(commit.applicable_contract_ids) or (1 if commit.contract_id else 10**6),
        0 if commit.contract_id else 1,
        commit.seq,
    )


def cost_basis(commit: Commit) -> Decimal:
    """Money per unit of access; zero for credits and complimentary commits."""
    access = sum((segment.amount for segment in commit.segments), ZERO)
    paid = sum((item.amount for item in commit.invoice_items), ZERO)
    return paid / access if access and not commit.do_not_invoice else ZERO


def _covers(commit: Commit, charge: Charge) -> bool:
    state = charge.product.current
    if commit.specifiers:
        groups, presentation = dict(charge.groups), dict(charge.presentation)
        return any(
            (not one.get("product_id") or one["product_id"] == charge.product.id)
            and set(one.get("product_tags") or ()) <= set(state.get("tags") or ())
            and (one.get("pricing_group_values") or {}).items() <= groups.items()
            and (one.get("presentation_group_values") or {}).items() <= presentation.items()
            for one in commit.specifiers
        )
    if not commit.applicable_product_ids and not commit.applicable_product_tags:
        return True
    return charge.product.id in commit.applicable_product_ids or bool(
        set(commit.applicable_product_tags) & set(state.get("tags") or ())
    )


# Balances


def remaining(world: World, commit: Commit, segment: Segment, *, drafts: bool = True) -> Decimal:
    """What is left of a segment, whether or not it can be used now."""
    left = segment.amount + settled(commit, segment)
    return left - (rate(world, commit.customer_id).taken.get(segment.id, ZERO) if drafts else ZERO)


def balance(world: World, commit: Commit, at: datetime, *, drafts: bool = True) -> Decimal:
    """What can be used at a moment: segments open then, less what usage took from them."""
    if commit.archived_at:
        return ZERO
    return sum(
        (
            remaining(world, commit, segment, drafts=drafts)
            for segment in commit.segments
            if segment.starting_at <= at < segment.ending_before
        ),
        ZERO,
    )


def contract_balance(world: World, contract: Contract, credit_type_id: str, at: datetime) -> Decimal:
    return sum((balance(world, commit, at) for commit in contract_commits(world, contract, credit_type_id)), ZERO)


def contract_commits(world: World, contract: Contract, credit_type_id: str) -> list[Commit]:
    """Prepaid commits and credits of a unit that the contract may draw from."""
    return [
        commit
        for commit in customer_commits(world, contract.customer_id)
        if commit.credit_type_id == credit_type_id and commit.type != "POSTPAID" and usable_on(commit, contract)
    ]

"""Draws priced usage from commits and credits, exactly.

Each hour's charges are drawn, in order of time, from the segments that cover the hour, in
Metronome's published order
(https://docs.metronome.com/guides/pricing-packaging/apply-credits-and-commits/prioritization-rules).
Usage of a custom pricing unit draws balances of that unit first; the rest is converted to the rate
card's fiat unit and may draw balances of that. Whatever nothing covers stays on the usage invoice:
it never makes a balance negative.

A rating covers every billing period whose usage invoice is not final; what final invoices took is
stored on the commit. It depends on usage and contracts only, not on the time of asking, and is
cached until one of them changes.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.pricing import ZERO, Charge, billing_period, charges, customer_contracts
from sandbox.records import Commit, Contract, RateCard, Segment
from sandbox.world import World

_KIND_RANK = {"PREPAID": 1, "CREDIT": 1, "POSTPAID": 2}


@dataclass(slots=True)
class Draw:
    """A part of a charge: paid from a segment, or (commit is None) by nothing.

    `amount` is in the charge's unit, or in fiat once converted; `converted` then says how much
    of the charge's unit became it."""

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
        rating = world.ratings[customer_id] = rate_subjects(
            world, customer_id, world.subjects(customer_id)
        )
    return rating


def rate_subjects(world: World, customer_id: str, subjects: list[str]) -> Rating:
    """The rating of a customer as if its usage were what was reported under these names."""
    rating = Rating()
    left: dict[str, Decimal] = {}
    for commit in customer_commits(world, customer_id):
        for segment in commit.segments:
            left[segment.id] = segment.amount + settled(commit, segment)
    work: list[tuple[tuple[Any, ...], Contract, Charge]] = []
    for contract in customer_contracts(world, customer_id):
        for charge in charges(world, contract, subjects):
            order = (charge.hour, -charge.price, charge.product.name, charge.groups)
            work.append((order, contract, charge))
    work.sort(key=lambda item: item[0])
    pools: dict[tuple[str, str], list[tuple[Commit, Segment]]] = {}
    for _, contract, charge in work:
        start = billing_period(contract, charge.hour)[0]
        rating.draws[(contract.id, start)] += _draw(
            world, contract, charge, left, pools, rating.taken
        )
    return rating


def customer_commits(world: World, customer_id: str) -> list[Commit]:
    return [row for row in world.store.commits.of_customer(customer_id) if row.archived_at is None]


def settled(commit: Commit, segment: Segment) -> Decimal:
    """What final invoices, manual entries and rollovers changed about a segment."""
    taken = sum(
        (entry.amount for entry in commit.deductions if entry.segment_id == segment.id), ZERO
    )
    adjusted = sum(
        (entry.amount for entry in commit.adjustments if entry.segment_id == segment.id), ZERO
    )
    return adjusted - taken


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
    for commit, segment in _covering(
        world, contract, charge, card.fiat_credit_type_id, left, pools
    ):
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


def usable_segments(
    world: World, contract: Contract, credit_type_id: str
) -> list[tuple[Commit, Segment]]:
    """Every segment of a unit the contract may draw from, in drawdown order."""
    found = [
        (commit, segment)
        for commit in customer_commits(world, contract.customer_id)
        if commit.credit_type_id == credit_type_id and usable_on(commit, contract)
        for segment in commit.segments
    ]
    return sorted(found, key=lambda item: _drawdown_order(*item))


def _drawdown_order(commit: Commit, segment: Segment) -> tuple[Any, ...]:
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


def contract_balance(
    world: World, contract: Contract, credit_type_id: str, at: datetime
) -> Decimal:
    return sum(
        (
            balance(world, commit, at)
            for commit in contract_commits(world, contract, credit_type_id)
        ),
        ZERO,
    )


def contract_commits(world: World, contract: Contract, credit_type_id: str) -> list[Commit]:
    """Prepaid commits and credits of a unit that the contract may draw from."""
    return [
        commit
        for commit in customer_commits(world, contract.customer_id)
        if commit.credit_type_id == credit_type_id
        and commit.type != "POSTPAID"
        and usable_on(commit, contract)
    ]

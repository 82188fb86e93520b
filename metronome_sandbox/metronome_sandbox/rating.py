"""Draws priced usage from commits and credits, exactly.

Each hour's charges, usage before fees of subscriptions, are drawn, in order of time, from the
segments that cover the hour, in Metronome's published order (`drawdown`), at the price of
each (`commit_prices`).
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

from metronome_sandbox import drawdown, overrides, subscription_fees
from metronome_sandbox.commit_prices import CommitPrices
from metronome_sandbox.pricing import (
    EXACT,
    ZERO,
    Charge,
    billing_period,
    charges,
    customer_contracts,
)
from metronome_sandbox.records import Commit, Contract, RateCard, Segment
from metronome_sandbox.subscription_fees import Key
from metronome_sandbox.world import World


@dataclass(slots=True)
class Draw:
    """A part of a charge: paid from a segment, or (commit is None) by nothing.

    `amount` is in the unit of the price, or in fiat once converted; `converted` then says how much
    of that unit became it."""

    charge: Charge
    price: Decimal  # the charge's own, or that of a commit
    credit_type_id: str  # of the price
    amount: Decimal
    quantity: Decimal
    commit: Commit | None = None
    segment: Segment | None = None
    converted: Decimal | None = None


@dataclass(slots=True)
class Rating:
    draws: dict[tuple[str, datetime], list[Draw]] = field(default_factory=lambda: defaultdict(list))
    # Of subscriptions, by their invoice
    fees: dict[Key, list[Draw]] = field(default_factory=lambda: defaultdict(list))
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
    work: list[tuple[tuple[Any, ...], Charge, Payers, list[Draw]]] = []
    for contract in customer_contracts(world, customer_id):
        payers = Payers(world, contract, left, rating.taken)
        for charge in charges(world, contract, subjects):
            start = billing_period(contract, charge.hour)[0]
            order = (charge.hour, 0, -payers.highest(charge), charge.product.name, charge.groups)
            work.append((order, charge, payers, rating.draws[(contract.id, start)]))
        for key, charge in subscription_fees.charges(world, contract):  # paid after usage
            order = (charge.hour, 1, -charge.price, charge.product.name, charge.groups)
            work.append((order, charge, payers, rating.fees[key]))
    work.sort(key=lambda item: item[0])
    for _, charge, payers, draws in work:
        draws += payers.draw(charge)
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


class Payers:
    """What pays for the usage of one contract: the segments it may draw from, in drawdown order.

    `left` is what each segment of the customer has left; `taken` what was drawn from it."""

    def __init__(
        self, world: World, contract: Contract, left: dict[str, Decimal], taken: dict[str, Decimal]
    ) -> None:
        self.contract = contract
        self._left, self._taken = left, taken
        self._card: RateCard | None = world.store.rate_cards.get(contract.rate_card_id or "")
        self._prices = CommitPrices(contract)
        self._pool = usable_segments(world, contract)
        self._commits = list({commit.id: commit for commit, _ in self._pool}.values())

    def highest(self, charge: Charge) -> Decimal:
        return self._prices.highest(charge, self._commits)

    def draw(self, charge: Charge) -> list[Draw]:
        """Payers in the unit of their price first; then fiat, converted; the rest stays."""
        draws: list[Draw] = []
        open_ = charge.quantity
        for converted in (False, True):
            open_ = self._draw(charge, open_, draws, converted=converted)
        if open_ != 0 or not draws:
            amount = +EXACT.multiply(open_, charge.price)
            draws += self._unpaid(charge, charge.price, charge.credit_type_id, amount, open_)
        return draws

    def _draw(
        self, charge: Charge, open_: Decimal, draws: list[Draw], *, converted: bool
    ) -> Decimal:
        """Draw from payers in the unit of their price or, `converted`, from fiat ones of another
        price. Returns the quantity that is left."""
        assert self._card is not None
        fiat_id = self._card.fiat_credit_type_id
        for commit, segment in self._covering(charge):
            if open_ <= 0:
                break
            price, unit_id = self._prices.of(charge, commit)
            if converted:
                if commit.credit_type_id != fiat_id or unit_id == fiat_id:
                    continue
                factor = self._card.conversions[unit_id]
            elif commit.credit_type_id != unit_id:
                continue
            else:
                factor = Decimal(1)
            if price == 0:  # paid for, with nothing
                draws.append(Draw(charge, price, unit_id, ZERO, open_))
                return ZERO
            quantity, amount = _afford(open_, price * factor, self._left[segment.id])
            open_ = EXACT.subtract(open_, quantity)
            self._left[segment.id] -= amount
            self._taken[segment.id] += amount
            if not converted:
                draws.append(Draw(charge, price, unit_id, amount, +quantity, commit, segment))
                continue
            units = +EXACT.multiply(quantity, price)
            draws += self._unpaid(charge, price, unit_id, units, quantity)
            draws.append(Draw(charge, price, unit_id, amount, ZERO, commit, segment, ZERO))
        return open_

    def _unpaid(
        self, charge: Charge, price: Decimal, unit_id: str, amount: Decimal, quantity: Decimal
    ) -> list[Draw]:
        """Usage that nothing in its unit pays, with what becomes of it in fiat."""
        assert self._card is not None
        draws = [Draw(charge, price, unit_id, amount, +quantity)]
        if unit_id != self._card.fiat_credit_type_id and amount > 0:
            fiat = amount * self._card.conversions[unit_id]
            draws.append(Draw(charge, price, unit_id, fiat, ZERO, converted=amount))
        return draws

    def _covering(self, charge: Charge) -> Iterator[tuple[Commit, Segment]]:
        if any(self._left[segment.id] <= 0 for _, segment in self._pool):
            self._pool = [item for item in self._pool if self._left[item[1].id] > 0]
        for commit, segment in list(self._pool):
            if (
                segment.starting_at <= charge.hour < segment.ending_before
                and self._left[segment.id] > 0
                and _covers(commit, charge)
            ):
                yield commit, segment


def _afford(quantity: Decimal, price: Decimal, left: Decimal) -> tuple[Decimal, Decimal]:
    """How much of a quantity can be paid, and what that costs."""
    cost = +EXACT.multiply(quantity, price)
    return (quantity, cost) if cost <= left else (EXACT.divide(left, price), left)


def usable_on(commit: Commit, contract: Contract) -> bool:
    if commit.contract_id is not None:
        return commit.contract_id == contract.id
    return not commit.applicable_contract_ids or contract.id in commit.applicable_contract_ids


def usable_segments(world: World, contract: Contract) -> list[tuple[Commit, Segment]]:
    """Every segment the contract may draw from, in drawdown order."""
    found = [
        (commit, segment)
        for commit in customer_commits(world, contract.customer_id)
        if usable_on(commit, contract)
        for segment in commit.segments
    ]
    return sorted(found, key=lambda item: drawdown.order(world, *item))


def _covers(commit: Commit, charge: Charge) -> bool:
    if commit.specifiers:
        groups, presentation = dict(charge.groups), dict(charge.presentation)
        return any(
            overrides.fits(one, charge.product, groups, presentation, charge.hour)
            for one in commit.specifiers
        )
    if not commit.applicable_product_ids and not commit.applicable_product_tags:
        return True
    return charge.product.id in commit.applicable_product_ids or bool(
        set(commit.applicable_product_tags) & charge.product.tags(charge.hour)
    )


# Balances


def remaining(world: World, commit: Commit, segment: Segment, *, drafts: bool = True) -> Decimal:
    """What is left of a segment, whether or not it can be used now."""
    left = segment.amount + settled(commit, segment)
    return left - (rate(world, commit.customer_id).taken.get(segment.id, ZERO) if drafts else ZERO)


def balance(world: World, commit: Commit, at: datetime, *, drafts: bool = True) -> Decimal:
    """What can be used at a moment: segments open then, less what usage took from them. A segment
    that entries by hand made negative counts as empty."""
    if commit.archived_at:
        return ZERO
    return sum(
        (
            max(remaining(world, commit, segment, drafts=drafts), ZERO)
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

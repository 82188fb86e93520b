"""Renewals: a contract ends where the next one starts, and a share of its commits moves over."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox import commits, endings, periods
from metronome_sandbox.pricing import ZERO
from metronome_sandbox.rating import remaining
from metronome_sandbox.records import Adjustment, Commit, Contract, Segment
from metronome_sandbox.wire import find, invalid, missing
from metronome_sandbox.world import World

MONTHS = 12  # of access to what was rolled over, from the new contract's start


def checked(world: World, transition: dict[str, Any] | None, contract: Contract) -> Contract | None:
    """The contract to be renewed, or None. Raises ApiError."""
    if not transition:
        return None
    if transition["type"].upper() != "RENEWAL":
        raise invalid("The transition type must be RENEWAL")
    old = find(world.store.contracts, transition["from_contract_id"], "Contract")
    if old.customer_id != contract.customer_id:
        raise missing("Contract")
    if old.archived_at is not None:
        raise invalid("An archived contract cannot be renewed")
    if old.ending_before is not None and old.ending_before > contract.starting_at:
        raise invalid("The old contract must not end after the new one starts")
    if contract.starting_at <= old.starting_at:
        raise invalid("The new contract must start after the old one")
    return old


def renew(world: World, old: Contract, new: Contract, now: datetime) -> None:
    """End the old contract; roll over when the new one starts, at once if it has."""
    link = {"type": "RENEWAL", "from_contract_id": old.id, "to_contract_id": new.id}
    for contract in (old, new):
        contract.transitions.append(link)
        world.store.contracts.put(contract)
    if old.ending_before is None:
        endings.set_end(world, old, new.starting_at, now)
    if new.starting_at <= now:
        roll_over(world, old.id, new.id, now)
    else:
        world.schedule(new.starting_at, "rollover", old.id, new.id)


def roll_over(world: World, old_id: str, new_id: str, now: datetime) -> None:
    old, new = world.store.contracts[old_id], world.store.contracts[new_id]
    if old.archived_at or new.archived_at:
        return
    for commit in list(world.store.commits.of_customer(old.customer_id)):
        if commit.contract_id == old.id and commit.rollover_fraction and not commit.archived_at:
            for segment in list(commit.segments):
                _roll_over(world, commit, segment, old, new, now)


def _roll_over(
    world: World, commit: Commit, segment: Segment, old: Contract, new: Contract, now: datetime
) -> None:
    """Of a segment that lasted to the old contract's end: what had expired before stays expired."""
    if old.ending_before is None or segment.ending_before < old.ending_before:
        return
    cap = segment.amount * (commit.rollover_fraction or ZERO)
    amount = min(remaining(world, commit, segment), cap)
    if amount <= 0 or segment.starting_at >= old.ending_before:
        return
    commit.adjustments.append(
        Adjustment(
            segment_id=segment.id,
            amount=-amount,
            at=new.starting_at,
            type="ROLLOVER",
            new_contract_id=new.id,
        )
    )
    world.store.commits.put(commit)
    commits.add(world, _rolled(world, commit, amount, old, new, now), now)


def _rolled(
    world: World, commit: Commit, amount: Decimal, old: Contract, new: Contract, now: datetime
) -> Commit:
    end = periods.add_months(new.starting_at, MONTHS)
    return Commit(
        id=world.new_id(),
        customer_id=commit.customer_id,
        contract_id=new.id,
        type=commit.type,
        product_id=commit.product_id,
        created_at=now,
        credit_type_id=commit.credit_type_id,
        segments=[
            Segment(
                id=world.new_id(),
                amount=amount,
                starting_at=new.starting_at,
                ending_before=min(end, new.ending_before) if new.ending_before else end,
            )
        ],
        name=commit.name,
        description=commit.description,
        priority=commit.priority,
        rate_type=commit.rate_type,
        applicable_product_ids=commit.applicable_product_ids,
        applicable_product_tags=commit.applicable_product_tags,
        specifiers=commit.specifiers,
        rolled_over_from={
            "credit_id" if commit.is_credit else "commit_id": commit.id,
            "contract_id": old.id,
        },
    )

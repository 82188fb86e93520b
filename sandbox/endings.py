"""Contracts end: at a date, by renewal, or archived."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox import commits, invoices, notifications, thresholds
from sandbox.rating import remaining
from sandbox.records import Adjustment, Commit, Contract, Segment
from sandbox.wire import find, invalid, missing, on_the_hour
from sandbox.world import World


def checked_transition(
    world: World, transition: dict[str, Any] | None, contract: Contract
) -> Contract | None:
    if not transition:
        return None
    if transition["type"].upper() != "RENEWAL":
        raise invalid("The transition type must be RENEWAL")
    old = find(world.store.contracts, transition["from_contract_id"], "Contract")
    if old.customer_id != contract.customer_id:
        raise missing("Contract")
    if old.ending_before is not None and old.ending_before > contract.starting_at:
        raise invalid("The old contract must not end after the new one starts")
    if contract.starting_at <= old.starting_at:
        raise invalid("The new contract must start after the old one")
    return old


def renew(world: World, old: Contract, new: Contract, now: datetime) -> None:
    """The old contract ends where the new one starts.

    A share of its unused prepaid commits moves over."""
    link = {"type": "RENEWAL", "from_contract_id": old.id, "to_contract_id": new.id}
    for contract in (old, new):
        contract.transitions.append(link)
    if old.ending_before is None:
        set_end(world, old, new.starting_at, now)
    for commit in list(world.store.commits.of_customer(old.customer_id)):
        if commit.contract_id == old.id and commit.rollover_fraction and not commit.archived_at:
            _roll_over(world, commit, old, new, now)
    world.store.contracts.put(old)
    world.store.contracts.put(new)


def _roll_over(world: World, commit: Commit, old: Contract, new: Contract, now: datetime) -> None:
    for segment in list(commit.segments):
        cap = segment.amount * (commit.rollover_fraction or Decimal(0))
        amount = min(remaining(world, commit, segment), cap)
        if amount <= 0 or segment.starting_at > new.starting_at:
            continue
        duration = segment.ending_before - segment.starting_at
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
        fresh = Segment(
            id=world.new_id(),
            amount=amount,
            starting_at=new.starting_at,
            ending_before=new.ending_before or new.starting_at + duration,
        )
        rolled = Commit(
            id=world.new_id(),
            customer_id=commit.customer_id,
            contract_id=new.id,
            type=commit.type,
            product_id=commit.product_id,
            created_at=now,
            credit_type_id=commit.credit_type_id,
            segments=[fresh],
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
        commits.add(world, rolled, now)


def set_end(
    world: World, contract: Contract, ending_before: datetime | None, now: datetime
) -> None:
    contract.ending_before = ending_before
    world.store.contracts.put(contract)
    world.changed(contract.customer_id)
    notifications.plan_contract_end(world, contract, now)
    invoices.realign(world, contract)


def check_end(
    world: World, contract: Contract, ending_before: datetime | None, allow: bool
) -> None:
    """Raises ApiError 400."""
    if ending_before is None:
        return
    if on_the_hour(ending_before, "Contract ending_before") <= contract.starting_at:
        raise invalid("Contract ending_before must be after starting_at")
    if allow:
        return
    for invoice in world.store.invoices.of_customer(contract.customer_id):
        final = (
            invoice.contract_id == contract.id
            and invoice.type == "USAGE"
            and invoice.status == "FINALIZED"
        )
        if final and invoice.end_at is not None and invoice.end_at > ending_before:
            raise invalid("The contract cannot end before its finalized invoices")


def archive_contract(
    world: World, contract: Contract, now: datetime, *, void_invoices: bool
) -> None:
    for commit in world.store.commits.of_customer(contract.customer_id):
        if commit.contract_id == contract.id:
            commits.archive(world, commit, now)
    for workflow in thresholds.open_workflows(world, contract):
        thresholds.cancel(world, workflow)
    contract.archived_at = now
    world.store.contracts.put(contract)
    for invoice in world.store.invoices.of_customer(contract.customer_id):
        if invoice.contract_id == contract.id and (
            invoice.status == "DRAFT" or (void_invoices and invoice.status == "FINALIZED")
        ):
            invoices.void_invoice(world, invoice, now)
    notifications.announce(
        world, notifications.contract_happening(world, contract, "archive", now), now
    )
    world.changed(contract.customer_id)
    world.schedule_evaluation(contract.customer_id, now)

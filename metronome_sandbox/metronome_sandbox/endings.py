"""Contracts end: at a date, or archived. What they had left ends with them."""

from datetime import datetime

from metronome_sandbox import (
    commits,
    invoices,
    notifications,
    recurring,
    subscriptions,
    thresholds,
)
from metronome_sandbox.records import Contract
from metronome_sandbox.wire import invalid, on_the_hour
from metronome_sandbox.world import World


def set_end(
    world: World, contract: Contract, ending_before: datetime | None, now: datetime
) -> None:
    """An earlier end cuts everything the contract has left. A later one makes the contract longer,
    and nothing else: what was cut stays cut, and what was billed stays billed."""
    was = contract.ending_before
    contract.ending_before = ending_before
    world.store.contracts.put(contract)
    if ending_before is not None and (was is None or ending_before < was):
        _cut(world, contract, ending_before, now)
    world.changed(contract.customer_id)
    notifications.plan_contract_end(world, contract, now)
    invoices.realign(world, contract, now)


def _cut(world: World, contract: Contract, end: datetime, now: datetime) -> None:
    for template in world.store.recurring.of_customer(contract.customer_id):
        if template.contract_id == contract.id:
            recurring.cut(world, template, contract, end, now)
    for subscription in subscriptions.of_contract(world, contract):
        subscriptions.end(world, subscription, end)
    held = {workflow.invoice_id for workflow in thresholds.charging(world, contract)}
    gone = {
        invoice.id
        for invoice in world.store.invoices.of_customer(contract.customer_id)
        if invoice.contract_id == contract.id
        and invoice.commit_id is not None
        and invoice.status == "DRAFT"
        and invoice.issued_at >= end
        and invoice.id not in held
    }
    for commit in list(world.store.commits.of_customer(contract.customer_id)):
        commit.invoice_items = [
            item for item in commit.invoice_items if item.invoice_id not in gone
        ]
        world.store.commits.put(commit)
        if commit.contract_id == contract.id and commit.archived_at is None:
            commits.cut(world, commit, end, now)
    for invoice_id in gone:
        world.store.invoices.remove(invoice_id)


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
            commits.archive(world, commit, now, with_contract=True)
    for workflow in thresholds.charging(world, contract):
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

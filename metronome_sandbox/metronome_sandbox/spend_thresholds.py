"""Spend thresholds: usage is charged for as soon as it is worth an amount, not only when its
invoice is final.

What a contract's drafts come to, because nothing pays it, is measured. From the threshold on it is
charged through the gate, by a workflow as for a recharge (`thresholds`), and the commit
that is bought pays the usage there was
(https://docs.metronome.com/guides/customers-billing/optimize-customer-experience/set-customer-spend-control).
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox import periods, thresholds
from metronome_sandbox.catalog import fixed_product
from metronome_sandbox.invoice_views import drawn_up, usage_lines
from metronome_sandbox.pricing import ZERO
from metronome_sandbox.rating import rate
from metronome_sandbox.records import Contract
from metronome_sandbox.wire import invalid
from metronome_sandbox.world import World


def checked(world: World, contract: Contract, config: dict[str, Any]) -> dict[str, Any]:
    """A complete configuration, or ApiError. The threshold is in the rate card's currency."""
    fixed_product(world, config["commit"]["product_id"])
    thresholds.check_gate(config)
    if config["threshold_amount"] <= 0:
        raise invalid("threshold_amount must be greater than 0")
    return config


def evaluate(world: World, contract: Contract, at: datetime) -> None:
    """Open a workflow if the unpaid usage is worth the threshold and none is open."""
    config = contract.spend_threshold
    if config is None or not config["is_enabled"] or not thresholds.is_running(contract, at):
        return
    if any(row.is_spend for row in thresholds.open_workflows(world, contract)):
        return
    spend, since = _unpaid(world, contract, at)
    if spend >= config["threshold_amount"]:
        thresholds.start(world, contract, config, spend, at, covers_from=since)


def _unpaid(world: World, contract: Contract, at: datetime) -> tuple[Decimal, datetime]:
    """What the drafts of usage and fees come to, in fiat, and the hour of the first unpaid one."""
    rating = rate(world, contract.customer_id)
    total, since = ZERO, at
    for invoice in world.store.invoices.of_customer(contract.customer_id):
        own = invoice.contract_id == contract.id and invoice.commit_id is None
        if own and invoice.status == "DRAFT":
            draws = drawn_up(rating, invoice)
            total += usage_lines(world, contract, invoice, draws)[1]
            since = min([since, *(draw.charge.hour for draw in draws if draw.commit is None)])
    return total, periods.floor_hour(since)

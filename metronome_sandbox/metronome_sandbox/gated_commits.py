"""Commits of an edit behind the payment gate STRIPE.

The charge is tried while the edit is answered. Declined, the edit is answered with 400 and has done
nothing, but that there is a void invoice. While the customer has to confirm it, there is no commit
yet. https://docs.metronome.com/guides/pricing-packaging/apply-credits-and-commits/manual-payment-gated-commits
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from metronome_sandbox import commits, stripe_gate
from metronome_sandbox.invoices import finalize, purchase
from metronome_sandbox.records import Commit, InvoiceItem, Segment, Workflow
from metronome_sandbox.wire import invalid
from metronome_sandbox.world import World

WORKFLOW_TYPE = "manual_commit"


def charge(
    world: World, items: list[dict[str, Any]], made: list[Commit], now: datetime
) -> list[Commit]:
    """Charge for those of the commits that are gated. Returns the commits that are there now,
    gated or not. Raises ApiError 400 if a charge is declined."""
    there = []
    # `made` begins with the commits of `items`; credits, which have no gate, come behind.
    for position, commit in enumerate(made):
        gate = items[position].get("payment_gate_config") if position < len(items) else None
        if commits.gate_of(gate) == "NONE" or _charge_one(world, commit, gate or {}, now):
            there.append(commit)
    return there


def _charge_one(world: World, commit: Commit, gate: dict[str, Any], now: datetime) -> bool:
    """Whether it is paid, or pending."""
    assert commit.contract_id is not None
    (item,) = commit.invoice_items
    item.timestamp = now
    invoice = purchase(world, commit, item, now, contract_id=commit.contract_id, held=True)
    workflow = Workflow(
        id=world.new_id(),
        contract_id=commit.contract_id,
        customer_id=commit.customer_id,
        state="COMMITTING",
        amount=sum((one.amount for one in commit.segments), start=commit.segments[0].amount * 0),
        credit_type_id=commit.credit_type_id,
        invoice_id=invoice.id,
        commit_id=commit.id,
        config={"payment_gate_config": gate, "held": asdict(commit)},
        created_at=now,
        is_recharge=False,
    )
    world.store.workflows.put(workflow)
    outcome, code = stripe_gate.charge(world, workflow)
    if outcome == "pending":
        stripe_gate.tell_pending(world, workflow, WORKFLOW_TYPE, now)
        return False
    _end(world, workflow, outcome, now, code=code)
    if outcome == "failed":
        raise invalid(f"The payment of the commit failed: {stripe_gate.DECLINED}")
    return True


def settle(world: World, workflow: Workflow, outcome: str, at: datetime) -> None:
    """The customer has confirmed the charge, or failed to."""
    _end(world, workflow, outcome, at, code="card_declined")
    if outcome == "paid":
        held = workflow.config["held"]
        parts = {
            "segments": [Segment(**one) for one in held["segments"]],
            "invoice_items": [InvoiceItem(**one) for one in held["invoice_items"]],
        }
        commit = commits.add(world, Commit(**{**held, **parts}), at)
        end = world.store.contracts[workflow.contract_id].ending_before
        if end is not None:  # it may have moved since the charge began
            commits.cut(world, commit, end, at)


def _end(world: World, workflow: Workflow, outcome: str, at: datetime, *, code: str) -> None:
    workflow.state = "COMMITTED" if outcome == "paid" else "CANCELED"
    world.store.workflows.put(workflow)
    invoice = world.store.invoices[workflow.invoice_id]
    if outcome == "paid":
        invoice.issued_at = at
        finalize(world, invoice.id, at)
    else:
        invoice.status = "VOID"
        world.store.invoices.put(invoice)
    stripe_gate.tell(world, workflow, WORKFLOW_TYPE, outcome, at, code=code)

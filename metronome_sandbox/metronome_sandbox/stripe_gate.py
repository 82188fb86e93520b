"""Charges through the payment gate STRIPE: how they end, and what is told of them.

Metronome charges the customer's default card itself. Here the setting `stripe_gate_outcome` says
what becomes of it, or `World.stripe` charges it; without a billing configuration for Stripe it
fails.
"""

from datetime import datetime
from decimal import ROUND_HALF_UP
from typing import Any

from metronome_sandbox import notifications
from metronome_sandbox.records import Workflow
from metronome_sandbox.wire import stamp
from metronome_sandbox.world import World

DECLINED = "Your card was declined."


def charge(world: World, workflow: Workflow) -> tuple[str, str]:
    """(paid, pending or failed, and the code of Stripe's error)."""
    configurations = world.store.billing_configurations.of_customer(workflow.customer_id)
    at_stripe = [
        str(row.detail["configuration"]["stripe_customer_id"])
        for row in configurations
        if row.archived_at is None and row.detail["billing_provider"] == "stripe"
    ]
    if not at_stripe:
        return "failed", "no_billing_provider"
    outcome = world.settings.stripe_gate_outcome
    if world.stripe:
        total = world.store.invoices[workflow.invoice_id].total
        cents = int(total.to_integral_value(ROUND_HALF_UP))
        outcome, workflow.intent = world.stripe(at_stripe[-1], cents, workflow.invoice_id)
        world.store.workflows.put(workflow)
    if outcome == "pending_action":
        return "pending", ""
    return ("paid", "") if outcome == "paid" else ("failed", "card_declined")


def tell_pending(world: World, workflow: Workflow, kind: str, at: datetime) -> None:
    """`kind` is the workflow_type."""
    properties = _told(workflow, kind) | {
        "error_message": "three_d_secure_redirect",
        "billing_provider": _provider(world, workflow),
    }
    notifications.send_wrapped(
        world, "payment_gate.payment_pending_action_required", properties, at
    )


def tell(
    world: World, workflow: Workflow, kind: str, outcome: str, at: datetime, *, code: str
) -> None:
    provider = _provider(world, workflow)
    properties = _told(workflow, kind) | {
        "payment_status": outcome,
        "timestamp": stamp(at),
        "billing_provider": provider,
    }
    if outcome == "failed":
        properties["error_message"] = DECLINED
        provider["stripe"]["error"] = {"type": "card_error", "code": code, "message": DECLINED}
    notifications.send_wrapped(world, "payment_gate.payment_status", properties, at)


def _told(workflow: Workflow, kind: str) -> dict[str, Any]:
    return {
        "workflow_type": kind,
        "customer_id": workflow.customer_id,
        "contract_id": workflow.contract_id,
        "invoice_id": workflow.invoice_id,
    }


def _provider(world: World, workflow: Workflow) -> dict[str, Any]:
    made_up = f"pi_{workflow.id.replace('-', '')[:24]}"
    intent = workflow.intent or world.settings.stripe_gate_intent or made_up
    return {"type": "stripe", "stripe": {"payment_intent_id": intent}}

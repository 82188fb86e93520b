"""Prepaid balance thresholds: recharge through an external payment gate.

    nothing open --(enabled and balance <= threshold)--> COMMITTING --release paid--> COMMITTED
                                                                   \\-release failed-> CANCELED,
                                                                             is_enabled false

A contract has one open workflow at most. The amount is fixed when it opens.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox import commits, notifications, periods
from sandbox.catalog import fixed_product, unit
from sandbox.invoices import finalize, purchase
from sandbox.pricing import ZERO
from sandbox.rating import balance, contract_commits
from sandbox.records import USD_ID, Commit, Contract, InvoiceItem, Segment, Workflow
from sandbox.wire import Request, find, invalid, stamp, unsupported
from sandbox.world import World

LEAST_THRESHOLD = Decimal(500)  # cents
LEAST_RECHARGE = Decimal(1000)  # cents above the threshold
# The only value the documentation shows for this notification; do not branch on it.
WORKFLOW_TYPE = "spend"


def checked(world: World, contract: Contract, config: dict[str, Any]) -> dict[str, Any]:
    """A complete configuration, or ApiError 400."""
    fixed_product(world, config["commit"]["product_id"])
    gate = config["payment_gate_config"]["payment_gate_type"].upper()
    if gate not in ("EXTERNAL", "NONE"):
        raise unsupported(f"payment gates of type {gate}")
    if (config.get("discount_configuration") or {}).get("cap"):
        raise unsupported("capped discounts")
    per_unit = fiat_per_unit(
        world, contract, unit(world, config.get("custom_credit_type_id"), USD_ID)
    )
    threshold, recharge_to = config["threshold_amount"], config["recharge_to_amount"]
    if threshold * per_unit < LEAST_THRESHOLD:
        raise invalid("threshold_amount must be worth at least $5")
    if (recharge_to - threshold) * per_unit < LEAST_RECHARGE:
        raise invalid("recharge_to_amount must be at least $10 above threshold_amount")
    return config


def merged(config: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = {**config, **{key: value for key, value in change.items() if key != "commit"}}
    result["commit"] = {**config["commit"], **(change.get("commit") or {})}
    return result


def fiat_per_unit(world: World, contract: Contract, credit_type_id: str) -> Decimal:
    card = world.store.rate_cards.get(contract.rate_card_id or "")
    if credit_type_id == (card.fiat_credit_type_id if card else USD_ID):
        return Decimal(1)
    if card is None or credit_type_id not in card.conversions:
        raise invalid("The contract's rate card has no conversion for custom_credit_type_id")
    return card.conversions[credit_type_id]


def evaluate(world: World, contract: Contract, at: datetime) -> None:
    """Open a workflow if the balance is at or under the threshold and none is open."""
    config = contract.threshold
    if (
        config is None
        or not config["is_enabled"]
        or contract.archived_at
        or contract.starting_at > at
    ):
        return
    if contract.ending_before is not None and contract.ending_before <= at:
        return
    if open_workflows(world, contract):
        return
    left = _balance(world, contract, config, at)
    if left <= config["threshold_amount"]:
        _open(world, contract, config, config["recharge_to_amount"] - left, at)


def open_workflows(world: World, contract: Contract) -> list[Workflow]:
    return [
        row
        for row in world.store.workflows.of_customer(contract.customer_id)
        if row.contract_id == contract.id and row.state == "COMMITTING"
    ]


def _balance(world: World, contract: Contract, config: dict[str, Any], at: datetime) -> Decimal:
    credit_type_id = config.get("custom_credit_type_id") or USD_ID
    excluded = [
        rule
        for specifier in config.get("threshold_balance_specifiers") or []
        for rule in specifier.get("exclude") or []
    ]
    rows = contract_commits(world, contract, credit_type_id)
    counted = [row for row in rows if not any(_is_excluded(row, rule) for rule in excluded)]
    return sum((balance(world, row, at) for row in counted), ZERO)


def _is_excluded(commit: Commit, rule: dict[str, Any]) -> bool:
    entities = {"ContractCreditOrCommit", "ContractCredit" if commit.is_credit else "Commit"}
    filters = rule.get("custom_field_filters") or []
    return bool(filters) and all(
        one["entity"] in entities and commit.custom_fields.get(one["key"]) == one["value"]
        for one in filters
    )


def _open(
    world: World, contract: Contract, config: dict[str, Any], amount: Decimal, at: datetime
) -> None:
    workflow_id = world.new_id()
    credit_type_id = config.get("custom_credit_type_id") or USD_ID
    fraction = (config.get("discount_configuration") or {}).get("payment_fraction", Decimal(1))
    total = amount * fiat_per_unit(world, contract, credit_type_id) * fraction
    workflow = Workflow(
        id=workflow_id,
        contract_id=contract.id,
        customer_id=contract.customer_id,
        state="COMMITTING",
        amount=amount,
        credit_type_id=credit_type_id,
        invoice_id="",
        commit_id=world.new_id(),
        config=config,
        created_at=at,
    )
    item = InvoiceItem(
        id=world.new_id(), timestamp=at, unit_price=total, quantity=Decimal(1), amount=total
    )
    invoice = purchase(
        world, _commit(world, workflow, item, at), item, at, contract_id=contract.id, held=True
    )
    workflow.invoice_id = invoice.id
    world.store.workflows.put(workflow)
    if config["payment_gate_config"]["payment_gate_type"].upper() == "NONE":
        _commit_workflow(world, workflow, at)
        return
    ids = {
        "workflow_type": WORKFLOW_TYPE,
        "customer_id": contract.customer_id,
        "contract_id": contract.id,
    }
    notifications.send_wrapped(
        world, "payment_gate.threshold_reached", ids | {"timestamp": stamp(at)}, at
    )
    initiate = {
        "workflow_id": workflow.id,
        "invoice_id": invoice.id,
        "invoice_total": total,
        "invoice_currency": "USD",
    }
    notifications.send_wrapped(world, "payment_gate.external_initiate", ids | initiate, at)


def _commit(world: World, workflow: Workflow, item: InvoiceItem, at: datetime) -> Commit:
    config = workflow.config["commit"]
    starting_at = periods.floor_hour(at)
    duration = config.get("duration") or {"unit": "YEARS", "value": 1}
    ending_before = periods.add_duration(
        starting_at, duration["unit"].upper(), int(duration["value"])
    )
    segment = Segment(
        id=world.new_id(),
        amount=workflow.amount,
        starting_at=starting_at,
        ending_before=periods.floor_hour(ending_before),
    )
    return Commit(
        id=workflow.commit_id,
        customer_id=workflow.customer_id,
        contract_id=workflow.contract_id,
        type="PREPAID",
        product_id=config["product_id"],
        created_at=at,
        credit_type_id=workflow.credit_type_id,
        segments=[segment],
        invoice_items=[item],
        name=config.get("name"),
        description=config.get("description"),
        priority=config["priority"]
        if config.get("priority") is not None
        else commits.DEFAULT_PRIORITY,
        rate_type=config.get("rate_type") or "LIST_RATE",
        rollover_fraction=config.get("rollover_fraction"),
        applicable_product_ids=config.get("applicable_product_ids") or [],
        applicable_product_tags=config.get("applicable_product_tags") or [],
        specifiers=config.get("specifiers") or [],
    )


def _commit_workflow(world: World, workflow: Workflow, at: datetime) -> None:
    invoice = world.store.invoices[workflow.invoice_id]
    item = InvoiceItem(
        id=world.new_id(),
        timestamp=at,
        unit_price=invoice.total,
        quantity=Decimal(1),
        amount=invoice.total,
        invoice_id=invoice.id,
    )
    workflow.state = "COMMITTED"
    world.store.workflows.put(workflow)
    invoice.issued_at = at
    finalize(world, invoice.id, at)
    commits.add(world, _commit(world, workflow, item, at), at)


def release(world: World, request: Request) -> Any:
    """Tell the outcome of the payment.
    A workflow is released once; a second time is refused, saying what it is."""
    body = request.body if isinstance(request.body, dict) else {}
    outcome = str(body.get("outcome") or "").lower()
    if outcome not in ("paid", "failed"):
        raise invalid("outcome must be paid or failed")
    workflow = find(world.store.workflows, body.get("workflow_id"), "Workflow")
    if workflow.state != "COMMITTING":
        raise invalid(
            f"Workflow {workflow.id} is not in COMMITTING state, already in state {workflow.state}"
        )
    if outcome == "paid":
        _commit_workflow(world, workflow, request.now)
    else:
        cancel(world, workflow)
        contract = world.store.contracts[workflow.contract_id]
        if contract.threshold is not None:
            contract.threshold = {**contract.threshold, "is_enabled": False}
            world.store.contracts.put(contract)
    if world.settings.payment_status_after_release:
        _announce_outcome(world, workflow, outcome, request.now)
    return None


def cancel(world: World, workflow: Workflow) -> None:
    workflow.state = "CANCELED"
    world.store.workflows.put(workflow)
    invoice = world.store.invoices[workflow.invoice_id]
    invoice.status = "VOID"
    world.store.invoices.put(invoice)


def _announce_outcome(world: World, workflow: Workflow, outcome: str, at: datetime) -> None:
    properties = {
        "workflow_type": WORKFLOW_TYPE,
        "customer_id": workflow.customer_id,
        "contract_id": workflow.contract_id,
        "invoice_id": workflow.invoice_id,
        "payment_status": outcome,
        "timestamp": stamp(at),
    }
    if outcome == "failed":
        properties["error_message"] = "The external payment failed"
    notifications.send_wrapped(world, "payment_gate.payment_status", properties, at)

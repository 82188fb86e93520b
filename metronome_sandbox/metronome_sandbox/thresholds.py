"""Prepaid balance thresholds: recharge through an external payment gate, or Stripe's. The workflows
of spend thresholds, too.

    nothing open --(enabled and balance <= threshold)--> COMMITTING --release paid--> COMMITTED
                                                                   \\-release failed-> CANCELED,
                                                                             is_enabled false

A contract has one open workflow of each kind at most. The amount is fixed when it opens. Through
the STRIPE gate nothing is released: the setting `stripe_gate_outcome` says what becomes of the
charge.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from metronome_sandbox import (
    commits,
    currencies,
    notifications,
    periods,
    recharge_terms,
    stripe_gate,
)
from metronome_sandbox.catalog import fixed_product, unit
from metronome_sandbox.invoices import fiat_of, finalize, purchase
from metronome_sandbox.pricing import ZERO
from metronome_sandbox.rating import balance, contract_commits
from metronome_sandbox.records import Commit, Contract, InvoiceItem, Segment, Workflow
from metronome_sandbox.wire import Request, find, invalid, stamp, unsupported
from metronome_sandbox.world import World

LEAST_THRESHOLD = 5  # dollars, or what the rate card's currency is
LEAST_RECHARGE = 10  # above the threshold
# The only value the documentation shows for this notification; do not branch on it.
WORKFLOW_TYPE = "spend"


def checked(world: World, contract: Contract, config: dict[str, Any]) -> dict[str, Any]:
    """A complete configuration, or ApiError 400."""
    fixed_product(world, config["commit"]["product_id"])
    check_gate(config)
    fiat_id = fiat_of(world, contract)
    per_unit = fiat_per_unit(
        world, contract, unit(world, config.get("custom_credit_type_id"), fiat_id)
    )
    recharge_terms.check_commit(config["commit"], contract)
    threshold, recharge_to = config["threshold_amount"], config["recharge_to_amount"]
    code = currencies.code(fiat_id)
    if threshold * per_unit < currencies.amount(fiat_id, LEAST_THRESHOLD):
        raise invalid(f"threshold_amount must be worth at least {LEAST_THRESHOLD} {code}")
    if (recharge_to - threshold) * per_unit < currencies.amount(fiat_id, LEAST_RECHARGE):
        raise invalid(
            f"recharge_to_amount must be at least {LEAST_RECHARGE} {code} above threshold_amount"
        )
    return config


def check_gate(config: dict[str, Any]) -> None:
    """Whether charges can be made as a configuration says. Raises ApiError."""
    gate = config["payment_gate_config"]["payment_gate_type"].upper()
    if gate not in ("EXTERNAL", "NONE", "STRIPE"):
        raise invalid(f"payment_gate_type {gate} is not one of NONE, STRIPE, EXTERNAL")
    if config["payment_gate_config"].get("tax_type", "NONE") != "NONE":
        raise unsupported("tax on recharges", "add it to what you charge")
    if (config.get("discount_configuration") or {}).get("cap"):
        raise unsupported("capped discounts", "change payment_fraction when the cap is reached")


def merged(config: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    result = {**config, **{key: value for key, value in change.items() if key != "commit"}}
    result["commit"] = {**config["commit"], **(change.get("commit") or {})}
    return result


def fiat_per_unit(world: World, contract: Contract, credit_type_id: str) -> Decimal:
    card = world.store.rate_cards.get(contract.rate_card_id or "")
    if credit_type_id == fiat_of(world, contract):
        return Decimal(1)
    if card is None or credit_type_id not in card.conversions:
        raise invalid("The contract's rate card has no conversion for custom_credit_type_id")
    return card.conversions[credit_type_id]


def evaluate(world: World, contract: Contract, at: datetime) -> None:
    """Open a workflow if the balance is at or under the threshold and none is open."""
    config = contract.threshold
    if config is None or not config["is_enabled"] or not is_running(contract, at):
        return
    if any(not row.is_spend for row in open_workflows(world, contract)):
        return
    left = _balance(world, contract, config, at)
    if left > config["threshold_amount"]:
        contract.crossed_at_event = None
    elif not world.settings.recharge_on_next_usage or _used_again(world, contract):
        start(world, contract, config, config["recharge_to_amount"] - left, at)
    world.store.contracts.put(contract)


def is_running(contract: Contract, at: datetime) -> bool:
    over = contract.ending_before is not None and contract.ending_before <= at
    return contract.archived_at is None and contract.starting_at <= at and not over


def _used_again(world: World, contract: Contract) -> bool:
    """Whether usage came after the evaluation that found the threshold crossed, or the
    configuration was set since."""
    used = sum(
        world.customer_of(event.subject) == contract.customer_id for event in world.store.events
    )
    if contract.crossed_at_event is None:
        contract.crossed_at_event = used
    return used > contract.crossed_at_event


def open_workflows(world: World, contract: Contract) -> list[Workflow]:
    """Of both kinds of thresholds."""
    return [row for row in charging(world, contract) if row.is_recharge]


def charging(world: World, contract: Contract) -> list[Workflow]:
    """Every charge of a contract that waits for its outcome, also for commits of edits."""
    if world.hears:
        world.hears()
    return [
        row
        for row in world.store.workflows.of_customer(contract.customer_id)
        if row.contract_id == contract.id and row.state == "COMMITTING"
    ]


def _balance(world: World, contract: Contract, config: dict[str, Any], at: datetime) -> Decimal:
    credit_type_id = config.get("custom_credit_type_id") or fiat_of(world, contract)
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


def start(
    world: World,
    contract: Contract,
    config: dict[str, Any],
    amount: Decimal,
    at: datetime,
    *,
    covers_from: datetime | None = None,
) -> None:
    """Charge for an amount. `covers_from`: for a spend threshold, from when on the commit pays."""
    workflow_id = world.new_id()
    credit_type_id = config.get("custom_credit_type_id") or fiat_of(world, contract)
    fraction = (config.get("discount_configuration") or {}).get("payment_fraction")
    total = amount * fiat_per_unit(world, contract, credit_type_id)
    total *= Decimal(1) if fraction is None else fraction
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
        covers_from=covers_from,
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
    if config["payment_gate_config"]["payment_gate_type"].upper() == "STRIPE":
        _charge_through_stripe(world, workflow, at)
        return
    initiate = {
        "workflow_id": workflow.id,
        "invoice_id": invoice.id,
        "invoice_total": total,
        "invoice_currency": currencies.code(fiat_of(world, contract)),
    }
    notifications.send_wrapped(world, "payment_gate.external_initiate", ids | initiate, at)


def _commit(world: World, workflow: Workflow, item: InvoiceItem, at: datetime) -> Commit:
    config = workflow.config["commit"]
    starting_at = workflow.covers_from or periods.floor_hour(at)
    contract = world.store.contracts[workflow.contract_id]
    ending_before = recharge_terms.access_end(contract, config.get("duration"), at)
    if contract.ending_before is not None:
        # A payment may be released after the contract's end; there is nothing left to use it for.
        ending_before = min(ending_before, max(contract.ending_before, starting_at))
    segment = Segment(
        id=world.new_id(),
        amount=workflow.amount,
        starting_at=starting_at,
        ending_before=ending_before,
    )
    return Commit(
        id=workflow.commit_id,
        customer_id=workflow.customer_id,
        contract_id=workflow.contract_id,
        type="PREPAID",
        product_id=config["product_id"],
        created_at=at,
        credit_type_id=workflow.credit_type_id,
        invoice_credit_type_id=fiat_of(world, contract),
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
    if _gate(workflow) == "STRIPE":
        raise invalid(f"Workflow {workflow.id} is not gated by EXTERNAL")
    if workflow.state != "COMMITTING":
        raise invalid(
            f"Workflow {workflow.id} is not in COMMITTING state, already in state {workflow.state}"
        )
    _end(world, workflow, outcome, request.now)
    if world.settings.payment_status_after_release:
        _announce_outcome(world, workflow, outcome, request.now)
    return None


def _end(world: World, workflow: Workflow, outcome: str, at: datetime) -> None:
    if outcome == "paid":
        _commit_workflow(world, workflow, at)
        return
    cancel(world, workflow)
    contract = world.store.contracts[workflow.contract_id]
    if workflow.is_spend and contract.spend_threshold is not None:
        contract.spend_threshold = {**contract.spend_threshold, "is_enabled": False}
    if not workflow.is_spend and contract.threshold is not None:
        contract.threshold = {**contract.threshold, "is_enabled": False}
    world.store.contracts.put(contract)


def _gate(workflow: Workflow) -> str:
    return str(workflow.config["payment_gate_config"]["payment_gate_type"]).upper()


def _charge_through_stripe(world: World, workflow: Workflow, at: datetime) -> None:
    outcome, code = stripe_gate.charge(world, workflow)
    if outcome == "pending":
        stripe_gate.tell_pending(world, workflow, WORKFLOW_TYPE, at)
    else:
        settle(world, workflow, outcome, at, code=code)


def settle(
    world: World, workflow: Workflow, outcome: str, at: datetime, *, code: str = "card_declined"
) -> None:
    """Stripe's answer, at once or after the customer has confirmed it."""
    _end(world, workflow, outcome, at)
    stripe_gate.tell(world, workflow, WORKFLOW_TYPE, outcome, at, code=code)


def cancel(world: World, workflow: Workflow) -> None:
    workflow.state = "CANCELED"
    world.store.workflows.put(workflow)
    invoice = world.store.invoices[workflow.invoice_id]
    invoice.status = "VOID"
    world.store.invoices.put(invoice)
    if world.hears:
        world.hears()


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

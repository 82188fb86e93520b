"""Invoices: one usage invoice per billing period, one scheduled invoice per purchase, and those of
fees of subscriptions.

An invoice of usage or fees is drawn up live until it is final."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from metronome_sandbox import notifications, settled_draws
from metronome_sandbox.catalog import show_unit
from metronome_sandbox.invoice_views import drawn_up, usage_lines
from metronome_sandbox.pricing import ZERO, billing_period
from metronome_sandbox.rating import rate
from metronome_sandbox.records import USD_ID, Commit, Contract, Deduction, Invoice, InvoiceItem
from metronome_sandbox.wire import Request, find, invalid, stamp
from metronome_sandbox.world import World

GRACE = timedelta(hours=24)

# Usage invoices


def open_period(world: World, contract: Contract, start: datetime, now: datetime) -> None:
    """Open the draft usage invoice of the period that starts at `start`, and plan its end."""
    if contract.archived_at or (contract.ending_before and start >= contract.ending_before):
        return
    start, end = billing_period(contract, start)
    invoice = Invoice(
        id=world.new_id(),
        customer_id=contract.customer_id,
        contract_id=contract.id,
        type="USAGE",
        status="DRAFT",
        created_at=now,
        credit_type_id=fiat_of(world, contract),
        start_at=start,
        end_at=end,
        issued_at=end + GRACE,
    )
    world.store.invoices.put(invoice)
    plan_period_end(world, contract, invoice)


def plan_period_end(world: World, contract: Contract, invoice: Invoice) -> None:
    assert invoice.end_at is not None
    world.schedule(invoice.issued_at, "finalize", invoice.id)
    if contract.ending_before is None or invoice.end_at < contract.ending_before:
        world.schedule(invoice.end_at, "period", contract.id, stamp(invoice.end_at))


def has_period(world: World, contract: Contract, start: datetime) -> bool:
    return any(
        row.contract_id == contract.id
        and row.type == "USAGE"
        and row.start_at == start
        and row.status != "VOID"
        for row in world.store.invoices.of_customer(contract.customer_id)
    )


def realign(world: World, contract: Contract, now: datetime) -> None:
    """The contract's end moved: draft usage invoices end with it. Where the last one is final, the
    next begins at its end."""
    rows = [
        row
        for row in world.store.invoices.of_customer(contract.customer_id)
        if row.contract_id == contract.id and row.type == "USAGE"
    ]
    drafts = [row for row in rows if row.status == "DRAFT"]
    for invoice in drafts:
        assert invoice.start_at is not None
        if contract.ending_before and invoice.start_at >= contract.ending_before:
            world.store.invoices.remove(invoice.id)
        else:
            invoice.end_at = billing_period(contract, invoice.start_at)[1]
            invoice.issued_at = invoice.end_at + GRACE
            world.store.invoices.put(invoice)
            plan_period_end(world, contract, invoice)
    replaced = {row.regenerated_from for row in rows}
    ends = [row.end_at for row in rows if row.end_at and row.id not in replaced]
    billed_until = max(ends, default=None)
    if billed_until is not None and not drafts:
        _resume(world, contract, billed_until, now)


def _resume(world: World, contract: Contract, at: datetime, now: datetime) -> None:
    if contract.ending_before is None or at < contract.ending_before:
        if at not in contract.resumed_at:
            contract.resumed_at.append(at)
            world.store.contracts.put(contract)
        world.schedule(max(at, now), "period", contract.id, stamp(at))


def finalize(world: World, invoice_id: str, at: datetime) -> None:
    """Freeze an invoice whose time has come: one of usage or fees takes its deductions for good."""
    invoice = world.store.invoices.get(invoice_id)
    if invoice is None or invoice.status != "DRAFT" or invoice.issued_at > at:
        return
    if invoice.commit_id is None:
        _freeze(world, invoice)
    invoice.status = "FINALIZED"
    world.store.invoices.put(invoice)
    if world.settings.invoice_finalized:
        properties = {
            "invoice_id": invoice.id,
            "customer_id": invoice.customer_id,
            "invoice_finalized_date": stamp(invoice.issued_at),
        }
        notifications.send_wrapped(world, "invoice.finalized", properties, at)


def _freeze(world: World, invoice: Invoice) -> None:
    contract = world.store.contracts[invoice.contract_id]
    draws = drawn_up(rate(world, invoice.customer_id), invoice)
    invoice.lines, invoice.total = usage_lines(world, contract, invoice, draws)
    invoice.draws = [settled_draws.keep(draw) for draw in draws if draw.charge.fee is None]
    amounts: dict[tuple[str, str], Decimal] = {}
    for draw in draws:
        if draw.commit is not None and draw.segment is not None:
            key = (draw.commit.id, draw.segment.id)
            amounts[key] = amounts.get(key, ZERO) + draw.amount
    for (commit_id, segment_id), amount in amounts.items():
        commit = world.store.commits[commit_id]
        commit.deductions.append(
            Deduction(
                segment_id=segment_id,
                amount=amount,
                invoice_id=invoice.id,
                contract_id=contract.id,
                at=invoice.end_at or invoice.issued_at,
            )
        )
        world.store.commits.put(commit)
    if invoice.start_at is not None:
        contract.frozen_periods.append(invoice.start_at)
        world.store.contracts.put(contract)
    world.changed(contract.customer_id)


def fiat_of(world: World, contract: Contract) -> str:
    card = world.store.rate_cards.get(contract.rate_card_id or "")
    return card.fiat_credit_type_id if card else USD_ID


# Scheduled invoices


def of_fees(world: World, contract: Contract, at: datetime) -> Invoice:
    """The invoice of a contract's subscription fees of one date, made if there is none yet."""
    for row in world.store.invoices.of_customer(contract.customer_id):
        own = row.contract_id == contract.id and row.type == "SCHEDULED" and row.commit_id is None
        if own and row.status == "DRAFT" and row.issued_at == at:
            return row
    invoice = Invoice(
        id=world.new_id(),
        customer_id=contract.customer_id,
        contract_id=contract.id,
        type="SCHEDULED",
        status="DRAFT",
        created_at=at,
        credit_type_id=fiat_of(world, contract),
        issued_at=at,
    )
    world.store.invoices.put(invoice)
    world.schedule(at, "finalize", invoice.id)
    return invoice


def purchase(
    world: World,
    commit: Commit,
    item: InvoiceItem,
    now: datetime,
    *,
    contract_id: str,
    held: bool = False,
) -> Invoice:
    """The scheduled invoice of one payment for a commit.

    It is final at its date, or when `held` only when released."""
    product = world.store.products[commit.product_id]
    line = {
        "name": commit.name or product.name,
        "type": "commit_purchase",
        "credit_type": show_unit(world, commit.invoice_credit_type_id),
        "total": item.amount,
        "quantity": item.quantity,
        "unit_price": item.unit_price,
        "product_id": product.id,
        "product_type": "FixedProductListItem",
        "product_custom_fields": product.custom_fields,
        "commit_id": commit.id,
        "commit_type": "PostpaidCommit" if commit.type == "POSTPAID" else "PrepaidCommit",
        "commit_custom_fields": commit.custom_fields,
    }
    invoice = Invoice(
        id=world.new_id(),
        customer_id=commit.customer_id,
        contract_id=contract_id,
        type="SCHEDULED",
        status="DRAFT",
        created_at=now,
        credit_type_id=commit.invoice_credit_type_id,
        issued_at=item.timestamp,
        lines=[line],
        total=item.amount,
        commit_id=commit.id,
    )
    item.invoice_id = invoice.id
    world.store.invoices.put(invoice)
    if not held:
        world.schedule(max(item.timestamp, now), "finalize", invoice.id)
    return invoice


def void_invoice(world: World, invoice: Invoice, now: datetime) -> None:
    """A void usage invoice gives back what it took."""
    invoice.status = "VOID"
    world.store.invoices.put(invoice)
    for commit in world.store.commits.of_customer(invoice.customer_id):
        kept = [entry for entry in commit.deductions if entry.invoice_id != invoice.id]
        if len(kept) != len(commit.deductions):
            commit.deductions = kept
            world.store.commits.put(commit)
    world.changed(invoice.customer_id)
    world.schedule_evaluation(invoice.customer_id, now)


def void(world: World, request: Request) -> Any:
    invoice = find(world.store.invoices, request.body["id"], "Invoice")
    if invoice.status != "FINALIZED":
        raise invalid(f"Only a finalized invoice can be voided, this one is {invoice.status}")
    void_invoice(world, invoice, request.now)
    return {"data": {"id": invoice.id}}


def regenerate(world: World, request: Request) -> Any:
    """Draw up a void invoice again, from what is known now."""
    old = find(world.store.invoices, request.body["id"], "Invoice")
    if old.status != "VOID":
        raise invalid("Only a void invoice can be regenerated")
    if any(row.regenerated_from == old.id and row.status != "VOID" for row in world.store.invoices):
        raise invalid("The invoice is already regenerated")
    contract = world.store.contracts[old.contract_id]
    end_at, issued_at = old.end_at, old.issued_at
    if old.type == "USAGE" and old.start_at is not None:
        # The contract's end may have moved meanwhile.
        end_at = billing_period(contract, old.start_at)[1]
        issued_at = end_at + GRACE
    fresh = Invoice(
        id=world.new_id(),
        customer_id=old.customer_id,
        contract_id=old.contract_id,
        type=old.type,
        status="DRAFT",
        created_at=request.now,
        credit_type_id=old.credit_type_id,
        start_at=old.start_at,
        end_at=end_at,
        issued_at=issued_at,
        lines=[] if old.commit_id is None else old.lines,
        total=old.total,
        commit_id=old.commit_id,
        regenerated_from=old.id,
    )
    if old.type == "USAGE" and old.start_at in contract.frozen_periods:
        contract.frozen_periods.remove(old.start_at)
        world.changed(contract.customer_id)
    world.store.invoices.put(fresh)
    for subscription in world.store.subscriptions.of_customer(old.customer_id):
        for fee in subscription.fees:
            if fee.invoice_id == old.id:
                fee.invoice_id = fresh.id
        world.store.subscriptions.put(subscription)
    world.changed(contract.customer_id)
    finalize(world, fresh.id, request.now)
    return {"data": {"id": fresh.id}}

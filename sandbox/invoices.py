"""Invoices: one usage invoice per billing period, drawn up live until it is final; one scheduled invoice per purchase."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox import notifications
from sandbox.catalog import show_unit
from sandbox.pdf import invoice_pdf
from sandbox.rating import Draw, billing_period, rate
from sandbox.records import USD_ID, Commit, Contract, Deduction, Invoice, InvoiceItem
from sandbox.wire import Answer, Request, find, invalid, missing, moment, page, stamp, truth
from sandbox.world import World

GRACE = timedelta(hours=24)
ZERO = Decimal(0)

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
        row.contract_id == contract.id and row.type == "USAGE" and row.start_at == start and row.status != "VOID"
        for row in world.store.invoices.of_customer(contract.customer_id)
    )


def realign(world: World, contract: Contract) -> None:
    """The contract's end moved: draft usage invoices end with it."""
    for invoice in world.store.invoices.of_customer(contract.customer_id):
        if invoice.contract_id == contract.id and invoice.type == "USAGE" and invoice.status == "DRAFT":
            assert invoice.start_at is not None
            if contract.ending_before and invoice.start_at >= contract.ending_before:
                invoice.status = "VOID"
            else:
                invoice.end_at = billing_period(contract, invoice.start_at)[1]
                invoice.issued_at = invoice.end_at + GRACE
                plan_period_end(world, contract, invoice)
            world.store.invoices.put(invoice)


def finalize(world: World, invoice_id: str, at: datetime) -> None:
    """Freeze an invoice whose time has come: a usage invoice takes its deductions for good."""
    invoice = world.store.invoices.get(invoice_id)
    if invoice is None or invoice.status != "DRAFT" or invoice.issued_at > at:
        return
    if invoice.type == "USAGE":
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
    assert invoice.start_at is not None and invoice.end_at is not None
    contract = world.store.contracts[invoice.contract_id]
    draws = rate(world, invoice.customer_id).draws.get((contract.id, invoice.start_at), [])
    invoice.lines, invoice.total = usage_lines(world, contract, invoice, draws)
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
                at=invoice.end_at,
            )
        )
        world.store.commits.put(commit)
    contract.frozen_periods.append(invoice.start_at)
    world.store.contracts.put(contract)
    world.changed(contract.customer_id)


def usage_lines(
    world: World, contract: Contract, invoice: Invoice, draws: list[Draw]
) -> tuple[list[dict[str, Any]], Decimal]:
    """A usage line per product, group, price and payer; a negative line for what a commit or credit paid; a
    conversion line for what is left of a custom unit. The total is in fiat."""
    sums: dict[tuple, list[Decimal]] = {}
    samples: dict[tuple, Draw] = {}
    for draw in draws:
        charge = draw.charge
        payer = (draw.commit.id, draw.segment.id) if draw.commit and draw.segment else ("", "")
        if draw.converted is None:
            key: tuple = ("usage", charge.product.id, charge.groups, charge.presentation, charge.price, *payer)
        else:
            key = ("conversion", charge.credit_type_id, *payer)
        samples.setdefault(key, draw)
        total = sums.setdefault(key, [ZERO, ZERO, ZERO])
        total[0] += draw.amount
        total[1] += draw.quantity
        total[2] += draw.converted or ZERO
    lines: list[dict[str, Any]] = []
    for key, (amount, quantity, converted) in sums.items():
        draw = samples[key]
        if key[0] == "usage":
            lines.append(_usage_line(world, invoice, draw, amount, quantity))
        elif draw.commit is None:
            lines.append(_conversion_line(world, contract, draw, amount, converted))
        if draw.commit is not None:
            unit_id = draw.charge.credit_type_id if draw.converted is None else invoice.credit_type_id
            lines.append(_applied_line(world, draw, amount, unit_id))
    total = sum((line["total"] for line in lines if line["credit_type"]["id"] == invoice.credit_type_id), ZERO)
    return lines, total


def _usage_line(world: World, invoice: Invoice, draw: Draw, amount: Decimal, quantity: Decimal) -> dict[str, Any]:
    charge = draw.charge
    line: dict[str, Any] = {
        "name": charge.product.name,
        "type": "usage",
        "credit_type": show_unit(world, charge.credit_type_id),
        "total": amount,
        "quantity": quantity,
        "unit_price": charge.price,
        "product_id": charge.product.id,
        "product_type": "UsageProductListItem",
        "product_custom_fields": charge.product.custom_fields,
        "starting_at": invoice.start_at,
        "ending_before": invoice.end_at,
    }
    if charge.groups:
        line["pricing_group_values"] = dict(charge.groups)
    if charge.presentation:
        line["presentation_group_values"] = dict(charge.presentation)
    return line | _payer(draw)


def _applied_line(world: World, draw: Draw, amount: Decimal, unit_id: str) -> dict[str, Any]:
    assert draw.commit is not None
    product = world.store.products[draw.commit.product_id]
    return {
        "name": f"{draw.commit.name or product.name} applied",
        "type": "applied_commit_or_credit",
        "credit_type": show_unit(world, unit_id),
        "total": -amount,
        "product_id": draw.charge.product.id,
        "product_type": "UsageProductListItem",
        "applied_commit_or_credit": {"id": draw.commit.id, "type": draw.commit.type},
        **_payer(draw),
    }


def _payer(draw: Draw) -> dict[str, Any]:
    if draw.commit is None or draw.segment is None:
        return {}
    return {
        "commit_id": draw.commit.id,
        "commit_segment_id": draw.segment.id,
        "commit_type": "PostpaidCommit" if draw.commit.type == "POSTPAID" else "PrepaidCommit",
        "commit_custom_fields": draw.commit.custom_fields,
    }


def _conversion_line(
    world: World, contract: Contract, draw: Draw, amount: Decimal, converted: Decimal
) -> dict[str, Any]:
    unit_id = draw.charge.credit_type_id
    card = world.store.rate_cards[contract.rate_card_id or ""]
    return {
        "name": f"{world.store.credit_types[unit_id].name} conversion",
        "type": "cpu_conversion",
        "credit_type": show_unit(world, card.fiat_credit_type_id),
        "total": amount,
        "quantity": converted,
        "unit_price": card.conversions[unit_id],
    }


def fiat_of(world: World, contract: Contract) -> str:
    card = world.store.rate_cards.get(contract.rate_card_id or "")
    return card.fiat_credit_type_id if card else USD_ID


# Scheduled invoices


def purchase(
    world: World, commit: Commit, item: InvoiceItem, now: datetime, *, contract_id: str, held: bool = False
) -> Invoice:
    """The scheduled invoice of one payment for a commit; final at its date, or when `held` only when released."""
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
    fresh = Invoice(
        id=world.new_id(),
        customer_id=old.customer_id,
        contract_id=old.contract_id,
        type=old.type,
        status="DRAFT",
        created_at=request.now,
        credit_type_id=old.credit_type_id,
        start_at=old.start_at,
        end_at=old.end_at,
        issued_at=old.issued_at,
        lines=[] if old.type == "USAGE" else old.lines,
        total=old.total,
        commit_id=old.commit_id,
        regenerated_from=old.id,
    )
    contract = world.store.contracts[old.contract_id]
    if old.type == "USAGE" and old.start_at in contract.frozen_periods:
        contract.frozen_periods.remove(old.start_at)
        world.changed(contract.customer_id)
    world.store.invoices.put(fresh)
    finalize(world, fresh.id, request.now)
    return {"data": {"id": fresh.id}}


# Reading


def list_(world: World, request: Request) -> Any:
    customer = find(world.store.customers, request.params["customer_id"], "Customer")
    query = request.query
    starts, ends = query.get("starting_on"), query.get("ending_before")
    rows = [
        row
        for row in world.store.invoices.of_customer(customer.id)
        if (not query.get("status") or row.status == query["status"].upper())
        and (not query.get("type") or row.type == query["type"].upper())
        and (not query.get("contract_id") or row.contract_id == query["contract_id"])
        and (not query.get("credit_type_id") or row.credit_type_id == query["credit_type_id"])
        and (not starts or (row.start_at or row.issued_at) >= moment(starts, "starting_on"))
        and (not ends or (row.end_at or row.issued_at) < moment(ends, "ending_before"))
    ]
    return page(
        request,
        rows,
        show=lambda row: show(world, row, skip_zero=truth(query.get("skip_zero_qty_line_items"))),
        cap=world.settings.page_size,
        sort=lambda row: stamp(row.issued_at),
        descending=query.get("sort", "").lower() == "date_desc",
    )


def retrieve(world: World, request: Request) -> Any:
    skip_zero = truth(request.query.get("skip_zero_qty_line_items"))
    return {"data": show(world, _find(world, request), skip_zero=skip_zero)}


def retrieve_pdf(world: World, request: Request) -> Any:
    invoice = _find(world, request)
    customer = world.store.customers[invoice.customer_id]
    return Answer(invoice_pdf(show(world, invoice), customer.name), "application/pdf")


def _find(world: World, request: Request) -> Invoice:
    invoice = find(world.store.invoices, request.params["invoice_id"], "Invoice")
    if invoice.customer_id != request.params["customer_id"]:
        raise missing("Invoice")
    return invoice


def show(world: World, invoice: Invoice, *, skip_zero: bool = False) -> dict[str, Any]:
    lines, total = invoice.lines, invoice.total
    contract = world.store.contracts[invoice.contract_id]
    if invoice.type == "USAGE" and invoice.status == "DRAFT" and invoice.start_at is not None:
        draws = rate(world, invoice.customer_id).draws.get((contract.id, invoice.start_at), [])
        lines, total = usage_lines(world, contract, invoice, draws)
    if skip_zero:
        lines = [line for line in lines if line.get("quantity", 1) != 0]
    return {
        "id": invoice.id,
        "customer_id": invoice.customer_id,
        "contract_id": invoice.contract_id,
        "type": invoice.type,
        "status": invoice.status,
        "credit_type": show_unit(world, invoice.credit_type_id),
        "line_items": lines,
        "subtotal": total,
        "total": total,
        "created_at": invoice.created_at,
        "start_timestamp": invoice.start_at,
        "end_timestamp": invoice.end_at,
        "issued_at": invoice.issued_at,
        "billable_status": "billable",
        "external_invoice": None,
        "regenerated_from_invoice_id": invoice.regenerated_from,
        "custom_fields": {},
        "customer_custom_fields": world.store.customers[invoice.customer_id].custom_fields,
        "contract_custom_fields": contract.custom_fields,
    }

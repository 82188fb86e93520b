"""How invoices are shown: their lines, lists, pages and PDF."""

from decimal import Decimal
from typing import Any

from metronome_sandbox.catalog import show_unit
from metronome_sandbox.kit.http import Answer
from metronome_sandbox.pdf import invoice_pdf
from metronome_sandbox.pricing import ZERO
from metronome_sandbox.rating import Draw, Rating, rate
from metronome_sandbox.records import Contract, Invoice
from metronome_sandbox.wire import Request, find, missing, moment, page, present, stamp, truth
from metronome_sandbox.world import World

PRODUCT_TYPES = {"USAGE": "UsageProductListItem", "SUBSCRIPTION": "SubscriptionProductListItem"}


def drawn_up(rating: Rating, invoice: Invoice) -> list[Draw]:
    """What a draft of usage or fees has now, of its rating."""
    if invoice.type != "USAGE" or invoice.start_at is None:
        return rating.fees.get(invoice.id, [])
    key = (invoice.contract_id, invoice.start_at)
    return [*rating.draws.get(key, []), *rating.fees.get(key, [])]


def usage_lines(
    world: World, contract: Contract, invoice: Invoice, draws: list[Draw]
) -> tuple[list[dict[str, Any]], Decimal]:
    """The lines of an invoice of usage and fees, and its total in fiat.

    A line per product, group, price and payer, and per fee; a negative line for what a commit or
    credit paid; a conversion line for what is left of a custom unit."""
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    samples: dict[tuple[Any, ...], Draw] = {}
    for draw in draws:
        charge = draw.charge
        payer = (draw.commit.id, draw.segment.id) if draw.commit and draw.segment else ("", "")
        if draw.converted is None:
            key: tuple[Any, ...] = (
                "usage",
                charge.product.id,
                charge.groups,
                charge.presentation,
                draw.price,
                draw.credit_type_id,
                charge.fee.id if charge.fee else "",
                *payer,
            )
        else:
            key = ("conversion", draw.credit_type_id, *payer)
        samples.setdefault(key, draw)
        parts = sums.setdefault(key, [ZERO, ZERO, ZERO])
        parts[0] += draw.amount
        parts[1] += draw.quantity
        parts[2] += draw.converted or ZERO
    lines: list[dict[str, Any]] = []
    for key, (amount, quantity, converted) in sums.items():
        draw = samples[key]
        if key[0] == "usage":
            lines.append(_usage_line(world, invoice, draw, amount, quantity))
        elif draw.commit is None:
            lines.append(_conversion_line(world, contract, draw, amount, converted))
        if draw.commit is not None:
            unit_id = draw.credit_type_id if draw.converted is None else invoice.credit_type_id
            lines.append(_applied_line(world, draw, amount, unit_id))
    total = sum(
        (line["total"] for line in lines if line["credit_type"]["id"] == invoice.credit_type_id),
        ZERO,
    )
    return lines, total


def _usage_line(
    world: World, invoice: Invoice, draw: Draw, amount: Decimal, quantity: Decimal
) -> dict[str, Any]:
    charge = draw.charge
    line: dict[str, Any] = {
        "name": charge.product.name,
        "type": "usage",
        "credit_type": show_unit(world, draw.credit_type_id),
        "total": amount,
        "quantity": quantity,
        "unit_price": draw.price,
        "product_id": charge.product.id,
        "product_type": "UsageProductListItem",
        "product_custom_fields": charge.product.custom_fields,
        "starting_at": invoice.start_at,
        "ending_before": invoice.end_at,
    }
    if charge.fee:
        line |= {
            "name": charge.fee.name,
            "type": "subscription",
            "product_type": PRODUCT_TYPES["SUBSCRIPTION"],
            "is_prorated": charge.fee.is_prorated,
            "starting_at": charge.fee.starting_at,
            "ending_before": charge.fee.ending_before,
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
        "product_type": PRODUCT_TYPES[draw.charge.product.type],
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
    unit_id = draw.credit_type_id
    card = world.store.rate_cards[contract.rate_card_id or ""]
    return {
        "name": f"{world.store.credit_types[unit_id].name} conversion",
        "type": "cpu_conversion",
        "credit_type": show_unit(world, card.fiat_credit_type_id),
        "total": amount,
        "quantity": converted,
        "unit_price": card.conversions[unit_id],
    }


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


def show(
    world: World, invoice: Invoice, *, skip_zero: bool = False, rating: Rating | None = None
) -> dict[str, Any]:
    """A draft of usage or fees is drawn up now, from the customer's rating unless another is
    given."""
    lines, total = invoice.lines, invoice.total
    contract = world.store.contracts[invoice.contract_id]
    if invoice.commit_id is None and invoice.status == "DRAFT":
        rating = rating or rate(world, invoice.customer_id)
        lines, total = usage_lines(world, contract, invoice, drawn_up(rating, invoice))
    if skip_zero:
        lines = [line for line in lines if line.get("quantity", 1) != 0]
    return present(
        {
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
    )

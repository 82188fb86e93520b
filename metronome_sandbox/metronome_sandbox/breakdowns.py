"""Invoices of usage by UTC day or hour: what each window of time added to them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from metronome_sandbox import invoice_views, periods
from metronome_sandbox.invoice_views import usage_lines
from metronome_sandbox.rating import Draw
from metronome_sandbox.records import Invoice, Record
from metronome_sandbox.settled_draws import invoice_draws
from metronome_sandbox.wire import Request, find, invalid, moment, page, stamp, truth
from metronome_sandbox.world import World

WINDOWS = {"DAY": timedelta(days=1), "HOUR": timedelta(hours=1)}
MOST = {"DAY": 35, "HOUR": 24}  # results of one call


@dataclass(kw_only=True)
class Breakdown(Record):
    """One window of one invoice. `seq` orders those of an invoice, and tells any two apart."""

    invoice: Invoice
    start: datetime
    end: datetime
    draws: list[Draw]


def list_(world: World, request: Request) -> Any:
    """Windows that have begun and lie between the two times, of invoices that are not void; with
    `skip_zero_qty_line_items` only those with usage."""
    query = request.query
    customer = find(world.store.customers, request.params["customer_id"], "Customer")
    size = query.get("window_size", "DAY").upper()
    if size not in WINDOWS:
        raise invalid("window_size must be one of HOUR, DAY")
    for name in ("starting_on", "ending_before"):
        if not query.get(name):
            raise invalid(f"{name} is required")
    since, until = moment(query["starting_on"]), moment(query["ending_before"])
    skip_zero = truth(query.get("skip_zero_qty_line_items"))
    rows = [
        row
        for invoice in world.store.invoices.of_customer(customer.id)
        if invoice.type == "USAGE"
        and invoice.status != "VOID"
        and query.get("status", invoice.status).upper() == invoice.status
        and query.get("credit_type_id", invoice.credit_type_id) == invoice.credit_type_id
        for row in _windows(world, invoice, size, since, min(until, request.now + WINDOWS[size]))
        if row.end <= until and row.start <= request.now and (row.draws or not skip_zero)
    ]
    return page(
        request,
        rows,
        show=lambda row: _show(world, row, skip_zero=skip_zero),
        default=MOST[size],
        most=100,
        cap=min(MOST[size], world.settings.page_size or MOST[size]),
        sort=lambda row: stamp(row.invoice.issued_at),
        descending=query.get("sort", "").lower() == "date_desc",
    )


def _windows(
    world: World, invoice: Invoice, size: str, since: datetime, until: datetime
) -> Iterator[Breakdown]:
    """The windows of an invoice's period from one time on. Days begin at midnight, so the first and
    last may be longer than the part of the period in them."""
    assert invoice.start_at is not None and invoice.end_at is not None
    draws: dict[datetime, list[Draw]] = defaultdict(list)
    for draw in invoice_draws(world, invoice):
        draws[_floor(draw.charge.hour, size)].append(draw)
    start = _floor(max(invoice.start_at, since), size)
    if start < since:
        start += WINDOWS[size]
    while start < min(invoice.end_at, until):
        end = start + WINDOWS[size]
        number = int(start.timestamp()) // 3600 * 10**9 + invoice.seq
        yield Breakdown(
            id=invoice.id,
            seq=number,
            invoice=invoice,
            start=start,
            end=end,
            draws=draws.get(start, []),
        )
        start = end


def _floor(at: datetime, size: str) -> datetime:
    hour = periods.floor_hour(at)
    return hour if size == "HOUR" else hour.replace(hour=0)


def _show(world: World, row: Breakdown, *, skip_zero: bool) -> dict[str, Any]:
    """The invoice as if it were of this window alone."""
    window = replace(row.invoice, start_at=row.start, end_at=row.end)
    contract = world.store.contracts[row.invoice.contract_id]
    window.lines, window.total = usage_lines(world, contract, window, row.draws)
    window.status = "FINALIZED"  # so that the lines above are shown
    shown = invoice_views.show(world, window, skip_zero=skip_zero)
    return shown | {
        "status": row.invoice.status,
        "start_timestamp": row.invoice.start_at,
        "end_timestamp": row.invoice.end_at,
        "breakdown_start_timestamp": row.start,
        "breakdown_end_timestamp": row.end,
    }

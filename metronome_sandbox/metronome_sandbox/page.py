"""Pages for a person, and the two calls that lead to them."""

from html import escape
from typing import Any

from metronome_sandbox.kit.http import Answer
from metronome_sandbox.kit.pages import html, table, when
from metronome_sandbox.rating import balance
from metronome_sandbox.records import Customer
from metronome_sandbox.wire import Request, find, number
from metronome_sandbox.world import World

ROWS_SHOWN = 50


def answer(world: World, path: str, text: str) -> Answer:
    if path == "/favicon.ico":
        return Answer(b"", "image/x-icon", 204)
    if path.startswith("/dashboard/"):
        customer = world.store.customers.get(path.split("/")[2])
        if customer is None:
            return _html("Not found", "<h1>Not found</h1>", 404)
        return _html(
            customer.name, f"<h1>{escape(customer.name)}</h1>" + _sections(world, [customer])
        )
    head = (
        "<h1>Metronome, emulated</h1>"
        + (f"<p>{escape(text)}</p>" if text else "")
        + "<p>This is a sandbox: Metronome's API with a clock that can be moved, "
        "for development and tests. Nothing here costs money.</p>"
        "<p>Calls need the header <code>Authorization: Bearer …</code> with the sandbox's key. "
        f"Its time is {when(world.clock.now())}.</p>"
    )
    newest = list(reversed(list(world.store.customers)))[:ROWS_SHOWN]
    return _html("Metronome sandbox", head + _sections(world, newest) + _deliveries(world))


def _html(title: str, body: str, status: int = 200) -> Answer:
    return Answer(html(title, body, refresh_seconds=4), "text/html; charset=utf-8", status)


def _sections(world: World, customers: list[Customer]) -> str:
    return (
        _customers(customers)
        + _contracts(world, customers)
        + _balances(world, customers)
        + _invoices(world, customers)
    )


def _customers(customers: list[Customer]) -> str:
    rows = [
        [
            escape(row.name),
            f"<code>{row.id}</code>",
            escape(", ".join(row.ingest_aliases)),
            when(row.created_at),
        ]
        for row in customers
    ]
    return table("Customers", ["Name", "Id", "Ingest aliases", "Created"], rows)


def _contracts(world: World, customers: list[Customer]) -> str:
    rows = [
        [
            escape(customer.name),
            escape(contract.name or ""),
            when(contract.starting_at),
            when(contract.ending_before) if contract.ending_before else "open",
            _recharge(contract.threshold),
            _threshold(contract.spend_threshold),
            "archived" if contract.archived_at else "active",
        ]
        for customer in customers
        for contract in world.store.contracts.of_customer(customer.id)
    ]
    heads = ["Customer", "Name", "Starts", "Ends", "Recharge", "Spend", "State"]
    return table("Contracts", heads, rows)


def _threshold(config: dict[str, Any] | None) -> str:
    if not config:
        return "none"
    return f"{'on' if config['is_enabled'] else 'off'}: {number(config['threshold_amount']):,}"


def _recharge(config: dict[str, Any] | None) -> str:
    arrow = f" → {number(config['recharge_to_amount']):,}" if config else ""
    return _threshold(config) + arrow


def _balances(world: World, customers: list[Customer]) -> str:
    now = world.clock.now()
    rows = []
    for customer in customers:
        for commit in world.store.commits.of_customer(customer.id):
            granted = sum(segment.amount for segment in commit.segments)
            ends = [segment.ending_before for segment in commit.segments]
            rows.append(
                [
                    escape(customer.name),
                    escape(commit.name or world.store.products[commit.product_id].name),
                    f"{commit.type}{' (archived)' if commit.archived_at else ''}",
                    f"{number(granted):,}" if granted else "0",
                    f"{number(balance(world, commit, now)):,}",
                    _unit(world, commit.credit_type_id),
                    when(max(ends)) if ends else "",
                ]
            )
    return table(
        "Balances", ["Customer", "Name", "Type", "Granted#", "Left#", "Unit", "Ends"], rows
    )


def _invoices(world: World, customers: list[Customer]) -> str:
    rows = []
    for customer in customers:
        for invoice in reversed(world.store.invoices.of_customer(customer.id)):
            is_live = invoice.type == "USAGE" and invoice.status == "DRAFT"
            rows.append(
                [
                    escape(customer.name),
                    invoice.type,
                    invoice.status,
                    "live" if is_live else f"{number(invoice.total):,}",
                    _unit(world, invoice.credit_type_id),
                    when(invoice.issued_at),
                ]
            )
    heads = ["Customer", "Type", "Status", "Total#", "Unit", "Issued"]
    return table("Invoices", heads, rows[:ROWS_SHOWN])


def _unit(world: World, credit_type_id: str) -> str:
    return escape(world.store.credit_types[credit_type_id].name)


def _deliveries(world: World) -> str:
    rows = []
    for row in list(reversed(list(world.store.deliveries)))[:ROWS_SHOWN]:
        accepted = row.status is not None and row.status <= 299
        status = (
            "waiting"
            if row.status is None and row.next_attempt_at
            else str(row.status or row.note or "lost")
        )
        mark = f'<span class="{"good" if accepted else "bad"}">{status}</span>'
        text = row.body if len(row.body) <= 160 else row.body[:160] + "…"
        sent = when(row.sent_at) if row.sent_at else ""
        rows.append(
            [mark, str(row.attempts), sent, escape(row.url), f"<code>{escape(text)}</code>"]
        )
    return table("Webhook deliveries", ["Status", "Attempts#", "Sent", "To", "Body"], rows)


def embeddable_url(world: World, request: Request) -> Any:
    customer = find(world.store.customers, request.body["customer_id"], "Customer")
    section = request.body["dashboard"]  # the page shows all of them
    return {"data": {"url": f"{request.origin}/dashboard/{customer.id}#{section}"}}


def services(world: World, request: Request) -> Any:
    return {
        "services": [{"name": "sandbox", "ips": ["127.0.0.1"], "usage": "makes_connections_from"}]
    }

"""Pages for a person, and the two calls that lead to them."""

from datetime import datetime
from html import escape
from typing import Any

from sandbox.rating import balance
from sandbox.records import Customer
from sandbox.wire import Answer, Request, find, number
from sandbox.world import World

STYLE = """
:root{color-scheme:light dark;--line:#8883;--dim:#888;--good:#2a8c4a;--bad:#c33}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:2rem 0 .5rem}
p{margin:.25rem 0;color:var(--dim)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line)}
th,td{vertical-align:top}
th{font-weight:600;color:var(--dim);font-size:.85rem}td.n,th.n{text-align:right}
code{font:12.5px ui-monospace,monospace;color:var(--dim)}
.good{color:var(--good)}.bad{color:var(--bad)}
time{white-space:nowrap}.scroll{overflow-x:auto}
"""
ROWS_SHOWN = 50


def answer(world: World, path: str) -> Answer:
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
        "<p>This is the Vocalis sandbox: Metronome's API with a clock that can be moved, "
        "for development and tests. Nothing here costs money.</p>"
        "<p>Calls need the header <code>Authorization: Bearer …</code> with the sandbox's key. "
        f"Its time is {_when(world.clock.now())}.</p>"
    )
    newest = list(reversed(list(world.store.customers)))[:ROWS_SHOWN]
    return _html("Metronome sandbox", head + _sections(world, newest) + _deliveries(world))


def _when(moment: datetime) -> str:
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M:%S}</time>'


def _html(title: str, body: str, status: int = 200) -> Answer:
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="refresh" content="4">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>{body}</html>"
    )
    return Answer(text.encode(), "text/html; charset=utf-8", status)


def _table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    """Cells are HTML; a head that ends in # is a number's."""
    if not rows:
        return f"<h2>{title}</h2><p>None yet.</p>"
    kinds = [' class="n"' if head.endswith("#") else "" for head in heads]
    top = "".join(
        f"<th{kind}>{head.rstrip('#')}</th>" for head, kind in zip(heads, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<h2>{title}</h2><div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


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
            _when(row.created_at),
        ]
        for row in customers
    ]
    return _table("Customers", ["Name", "Id", "Ingest aliases", "Created"], rows)


def _contracts(world: World, customers: list[Customer]) -> str:
    rows = [
        [
            escape(customer.name),
            escape(contract.name or ""),
            _when(contract.starting_at),
            _when(contract.ending_before) if contract.ending_before else "open",
            _recharge(contract.threshold),
            "archived" if contract.archived_at else "active",
        ]
        for customer in customers
        for contract in world.store.contracts.of_customer(customer.id)
    ]
    return _table("Contracts", ["Customer", "Name", "Starts", "Ends", "Recharge", "State"], rows)


def _recharge(config: dict[str, Any] | None) -> str:
    if not config:
        return "none"
    state = "on" if config["is_enabled"] else "off"
    threshold, amount = number(config["threshold_amount"]), number(config["recharge_to_amount"])
    return f"{state}: {threshold:,} → {amount:,}"


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
                    _when(max(ends)) if ends else "",
                ]
            )
    return _table(
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
                    _when(invoice.issued_at),
                ]
            )
    heads = ["Customer", "Type", "Status", "Total#", "Unit", "Issued"]
    return _table("Invoices", heads, rows[:ROWS_SHOWN])


def _unit(world: World, credit_type_id: str) -> str:
    return escape(world.store.credit_types[credit_type_id].name)


def _deliveries(world: World) -> str:
    rows = []
    for row in list(reversed(list(world.store.deliveries)))[:ROWS_SHOWN]:
        accepted = row.status is not None and row.status <= 299
        status = (
            "waiting" if row.status is None and row.next_attempt_at else str(row.status or "lost")
        )
        mark = f'<span class="{"good" if accepted else "bad"}">{status}</span>'
        text = row.body if len(row.body) <= 160 else row.body[:160] + "…"
        sent = _when(row.sent_at) if row.sent_at else ""
        rows.append(
            [mark, str(row.attempts), sent, escape(row.url), f"<code>{escape(text)}</code>"]
        )
    return _table("Webhook deliveries", ["Status", "Attempts#", "Sent", "To", "Body"], rows)


def embeddable_url(world: World, request: Request) -> Any:
    customer = find(world.store.customers, request.body["customer_id"], "Customer")
    return {"data": {"url": f"{request.origin}/dashboard/{customer.id}"}}


def services(world: World, request: Request) -> Any:
    return {
        "services": [{"name": "sandbox", "ips": ["127.0.0.1"], "usage": "makes_connections_from"}]
    }

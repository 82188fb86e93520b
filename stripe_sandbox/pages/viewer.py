"""The first page: the clock, what was charged, asked, told and sent, and buttons for the rest."""

from collections.abc import Callable
from datetime import timedelta
from html import escape

from metronome_sandbox.kit import delivery
from metronome_sandbox.kit.http import Answer
from metronome_sandbox.kit.pages import STYLE, html, table, when
from stripe_sandbox import disputes, refunds, warnings
from stripe_sandbox.pages.layout import Page, message, redirect
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import API_VERSION, moment, money
from stripe_sandbox.world import World

ROWS_SHOWN = 40
OWN_STYLE = """
form{display:inline}button{font:inherit;font-size:.85rem;padding:.1rem .5rem;cursor:pointer}
.clock{font-size:1.1rem}
"""
STEPS = {"1 hour": 1, "1 day": 24, "30 days": 720}


def answer(page: Page) -> Answer:
    if page.fields is not None:
        return _act(page, page.fields)
    world = page.world
    moves = "".join(_button(f"+{name}", "advance", str(hours)) for name, hours in STEPS.items())
    head = (
        "<h1>Stripe, emulated</h1>"
        "<p>A sandbox of Stripe's API with a clock that can be moved, for development and tests. "
        "No card is charged and no money moves.</p>"
        f"<p>Version <code>{API_VERSION}</code>. Calls need one of the sandbox's keys.</p>"
        f'<p class="clock">Its time is {when(world.clock.now())} {moves}</p>'
    )
    body = (
        head
        + _charges(world)
        + _refunds(world)
        + _disputes(world)
        + _customers(world)
        + _sessions(world)
        + _requests(world)
        + _events(world)
        + _deliveries(world)
    )
    whole = html("Stripe sandbox", body, style=STYLE + OWN_STYLE, refresh_seconds=4)
    return Answer(whole, "text/html; charset=utf-8")


# Buttons


def _button(label: str, action: str, value: str) -> str:
    return (
        f'<form method="post"><input type="hidden" name="action" value="{action}">'
        f'<input type="hidden" name="value" value="{escape(value)}">'
        f"<button>{escape(label)}</button></form> "
    )


def _advance(page: Page, value: str) -> None:
    page.sandbox.clock.advance(timedelta(hours=float(value)))
    page.world.keep_clock()


def _decide(page: Page, value: str) -> None:
    row_id, _, status = value.partition(" ")
    disputes.move_on(page.world, page.world.store.disputes[row_id], status)


def _replay(page: Page, value: str) -> None:
    delivery.replay(page.world, page.world.store.deliveries[value])


ACTIONS: dict[str, Callable[[Page, str], object]] = {
    "advance": _advance,
    "decide": _decide,
    "dispute": lambda page, value: disputes.open_(page.world, page.world.store.charges[value]),
    "inquiry": lambda page, value: disputes.open_(
        page.world, page.world.store.charges[value], reason="general", is_inquiry=True
    ),
    "warn": lambda page, value: warnings.warn(page.world, page.world.store.charges[value]),
    "fail": lambda page, value: refunds.fail(
        page.world, page.world.store.refunds[value], refunds.FAILURES[0]
    ),
    "replay": _replay,
}


def _act(page: Page, fields: dict[str, str]) -> Answer:
    try:
        ACTIONS[fields.get("action", "")](page, fields.get("value", ""))
    except KeyError:
        return message("Not done", "There is nothing like that here.", status=404)
    except (ValueError, OverflowError) as error:
        return message("Not done", str(error), status=400)
    return redirect("/")


# Tables


def _newest(rows: list[Resource]) -> list[Resource]:
    return rows[: -ROWS_SHOWN - 1 : -1]


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _mark(is_good: bool, text: str) -> str:
    return f'<span class="{"good" if is_good else "bad"}">{escape(text)}</span>'


def _charges(world: World) -> str:
    rows = []
    for row in _newest(list(world.store.charges)):
        is_paid = row["status"] == "succeeded"
        state = "paid" if is_paid else str(row["outcome"]["reason"])
        buttons = ""
        if is_paid and not row["disputed"]:
            buttons = _button("Dispute", "dispute", row.id) + _button("Inquire", "inquiry", row.id)
            buttons += _button("Early warning", "warn", row.id)
        card = row["payment_method_details"]["card"]
        rows.append(
            [
                when(moment(row["created"])),
                _code(row.id),
                money(row["amount"], row["currency"]),
                money(row["amount_refunded"], row["currency"]) if row["amount_refunded"] else "",
                f"{escape(card['brand'])} {card['last4']}",
                _mark(is_paid, state),
                buttons,
            ]
        )
    heads = ["At", "Charge", "Amount#", "Refunded#", "Card", "State", ""]
    return table("Charges", heads, rows)


def _refunds(world: World) -> str:
    rows = []
    for row in _newest(list(world.store.refunds)):
        failed = row["status"] == "failed"
        rows.append(
            [
                when(moment(row["created"])),
                _code(row.id),
                _code(row["charge"]),
                money(row["amount"], row["currency"]),
                _mark(not failed, row["status"]),
                "" if failed else _button("Fail", "fail", row.id),
            ]
        )
    return table("Refunds", ["At", "Refund", "Charge", "Amount#", "State", ""], rows)


def _disputes(world: World) -> str:
    rows = []
    for row in _newest(list(world.store.disputes)):
        buttons = "".join(
            _button(status.replace("_", " "), "decide", f"{row.id} {status}")
            for status in disputes.following(row)
        )
        rows.append(
            [
                when(moment(row["created"])),
                _code(row.id),
                _code(row["charge"]),
                money(row["amount"], row["currency"]),
                escape(row["reason"]),
                escape(row["status"]),
                buttons,
            ]
        )
    heads = ["At", "Dispute", "Charge", "Amount#", "Reason", "State", ""]
    return table("Disputes", heads, rows)


def _customers(world: World) -> str:
    rows = []
    for row in _newest(list(world.store.customers)):
        if row.body.get("deleted"):
            continue
        cards = [
            f"{one['card']['brand']} {one['card']['last4']}"
            for one in world.store.payment_methods
            if one["customer"] == row.id
        ]
        rows.append([_code(row.id), escape(row["email"] or ""), escape(", ".join(cards))])
    return table("Customers", ["Customer", "Email", "Cards"], rows)


def _sessions(world: World) -> str:
    rows = [
        [
            when(moment(row["created"])),
            escape(row["mode"]),
            escape(row["status"]),
            f'<a href="{escape(row["url"])}">open</a>' if row["url"] else "",
        ]
        for row in _newest(list(world.store.sessions))
    ]
    return table("Checkout sessions", ["At", "Mode", "State", ""], rows)


def _requests(world: World) -> str:
    rows = [
        [
            when(seen.at),
            _mark(seen.status < 400, str(seen.status)),
            escape(f"{seen.method} {seen.path}"),
            escape(seen.detail),
            _code(seen.id),
        ]
        for seen in list(world.seen)[: -ROWS_SHOWN - 1 : -1]
    ]
    return table("Requests", ["At", "Status", "Call", "Detail", "Request"], rows)


def _events(world: World) -> str:
    rows = [
        [
            when(moment(row["created"])),
            escape(row["type"]),
            _code(row["data"]["object"]["id"]),
            _code(row.id),
        ]
        for row in _newest(list(world.store.events))
    ]
    return table("Events", ["At", "Type", "Object", "Event"], rows)


def _deliveries(world: World) -> str:
    rows = []
    for row in list(world.store.deliveries)[: -ROWS_SHOWN - 1 : -1]:
        accepted = row.status is not None and row.status <= 299
        waiting = row.status is None and row.next_attempt_at is not None
        rows.append(
            [
                _mark(accepted, "waiting" if waiting else str(row.status or "lost")),
                str(row.attempts),
                when(row.sent_at) if row.sent_at else "",
                escape(row.url),
                _code(row.about),
                escape(row.note),
                _button("Send again", "replay", row.id),
            ]
        )
    heads = ["Status", "Attempts#", "Sent", "To", "Event", "Note", ""]
    return table("Webhook deliveries", heads, rows)

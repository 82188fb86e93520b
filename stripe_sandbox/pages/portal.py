"""The customer portal: cards, and who the customer is."""

from datetime import timedelta
from html import escape

from metronome_sandbox.kit.http import Answer
from stripe_sandbox import hosting, payment_methods
from stripe_sandbox.hosting import Typed
from stripe_sandbox.pages.layout import (
    Page,
    address_fields,
    alert,
    card_fields,
    input_,
    message,
    redirect,
    show,
    test_numbers,
)
from stripe_sandbox.records import Resource
from stripe_sandbox.wire import ApiError, moment
from stripe_sandbox.world import World

VALID_FOR = timedelta(hours=1)


def answer(page: Page) -> Answer:
    found = [
        row
        for row in page.world.store.portal_sessions
        if row.hidden["secret"] == page.names["secret"]
    ]
    if not found:
        return message("Not found", "There is no such portal session.", status=404)
    portal = found[0]
    owner = page.world.store.customers[portal["customer"]]
    is_over = page.request.now >= moment(portal["created"]) + VALID_FOR
    if is_over or owner.body.get("deleted"):
        return message(
            "This link has expired",
            "Open the portal again from the shop.",
            link=portal["return_url"] or "",
            label="Return",
        )
    page.request.livemode = portal["livemode"]
    if page.fields is None:
        problem = portal.hidden.pop("problem", "")
        return _page(page.world, portal, owner, Typed({}), problem)
    return _act(page, portal, owner, Typed(page.fields))


def _act(page: Page, portal: Resource, owner: Resource, typed: Typed) -> Answer:
    world = page.world
    here = world.page_url(page.request.path)
    action = typed["action"]
    if action == "add":
        try:
            url = hosting.add_card(world, portal, typed)
        except ApiError as error:
            return _page(world, portal, owner, typed, error.error["message"], status=402)
        return redirect(url) if url else _page(world, portal, owner, typed, "")
    if action == "details":
        changes: dict[str, object] = {"name": typed["owner_name"] or None}
        changes["email"] = typed["email"] or None
        if typed["line1"]:
            changes["address"] = typed.address
        world.change(world.store.customers, owner, "customer.updated", **changes)
        return redirect(here)
    card = world.store.payment_methods.get(typed["card"])
    if card is None or card["customer"] != owner.id:
        return _page(world, portal, owner, typed, "This card is not saved any more.")
    if action == "delete":
        payment_methods.let_go(world, card)
    elif action == "default":
        hosting.make_default(world, owner.id, card.id)
    return redirect(here)


def _page(
    world: World,
    portal: Resource,
    owner: Resource,
    typed: Typed,
    problem: str,
    *,
    status: int = 200,
) -> Answer:
    back = portal["return_url"]
    link = f'<p><a href="{escape(back)}">← Return to the shop</a></p>' if back else ""
    cards = [row for row in world.store.payment_methods if row["customer"] == owner.id]
    default = owner["invoice_settings"]["default_payment_method"]
    form = (
        '<form method="post"><input type="hidden" name="action" value="add">'
        f"{card_fields(typed)}<button>Save card</button></form>{test_numbers()}"
    )
    adding = f"<h1>Add a card</h1>{alert(problem)}{form}"
    if (portal["flow"] or {}).get("type") and not portal.hidden.get("is_done"):
        body = f"<section>{link}{adding}</section>"
        return show("Your card", body, is_single=True, status=status)
    rows = "".join(_row(row, row.id == default) for row in cards)
    listed = f'<ul class="rows">{rows}</ul>' if rows else '<p class="dim">No card is saved.</p>'
    body = (
        f"<section>{link}<h1>Your cards</h1>{listed}{_details(owner)}</section>"
        f"<section>{adding}</section>"
    )
    return show("Your billing details", body, status=status)


def _row(row: Resource, is_default: bool) -> str:
    card = row["card"]
    name = f"{card['brand'].title()} ···· {card['last4']}"
    hidden = f'<input type="hidden" name="card" value="{row.id}">'
    buttons = f'{hidden}<button class="small quiet" name="action" value="delete">Delete</button>'
    if not is_default:
        buttons = (
            f'{hidden}<button class="small quiet" name="action" value="default">Make default'
            f"</button> {buttons.removeprefix(hidden)}"
        )
    mark = ' <span class="dim">default</span>' if is_default else ""
    return (
        f'<li><span class="grow">{escape(name)}{mark}<br><span class="dim">'
        f"expires {card['exp_month']:02d}/{card['exp_year']}</span></span>"
        f'<form method="post">{buttons}</form></li>'
    )


def _details(owner: Resource) -> str:
    address = owner["address"] or {}
    typed = Typed(
        {
            "owner_name": owner["name"] or "",
            "email": owner["email"] or "",
            **{name: value or "" for name, value in address.items()},
        }
    )
    return (
        '<h2>Billing information</h2><form method="post">'
        '<input type="hidden" name="action" value="details">'
        + input_(typed, "owner_name", "Name")
        + input_(typed, "email", "Email", 'type="email"')
        + address_fields(typed)
        + '<button class="quiet">Save</button></form>'
    )

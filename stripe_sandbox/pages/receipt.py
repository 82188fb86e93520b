"""The receipt of a charge, kept current."""

from html import escape

from metronome_sandbox.kit.http import Answer
from metronome_sandbox.kit.pages import when
from stripe_sandbox.pages.layout import Page, message, show
from stripe_sandbox.wire import moment, money


def answer(page: Page) -> Answer:
    charge = page.world.store.charges.get(page.names["id"])
    if charge is None or charge["status"] != "succeeded":
        return message("Not found", "There is no such receipt.", status=404)
    currency = charge["currency"]
    card = charge["payment_method_details"]["card"]
    rows = [
        ("Paid", money(charge["amount"], currency)),
        ("On", when(moment(charge["created"]))),
        ("With", f"{escape(card['brand'].title())} ···· {card['last4']}"),
        ("For", escape(charge["description"] or "")),
    ]
    rows += [
        (f"Refund, {row['status']}", f"−{money(row['amount'], currency)}")
        for row in page.world.store.refunds
        if row["charge"] == charge.id
    ]
    listed = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows if value)
    body = f"<section><h1>Receipt</h1><table>{listed}</table><p class=dim>{charge.id}</p></section>"
    return show("Receipt", body, is_single=True)

"""The hosted Checkout page."""

from html import escape

from metronome_sandbox.kit.http import Answer
from stripe_sandbox import hosting
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
from stripe_sandbox.wire import ApiError, money


def answer(page: Page) -> Answer:
    session = page.world.store.sessions.get(page.names["id"])
    if session is None:
        return message("Not found", "There is no such Checkout session.", status=404)
    if session["status"] == "complete":
        return message(
            "Done",
            "You are all done here. This Checkout session has been completed.",
            link=hosting.success_url(session),
            label="Continue",
        )
    if session["status"] == "expired":
        return message(
            "This page has expired",
            "The Checkout session is over. Return to the shop and start again.",
            link=session["cancel_url"] or "",
            label="Return",
        )
    if page.fields is None:
        return _page(page, session, Typed({}), _last_problem(page, session))
    typed = Typed(page.fields)
    page.request.livemode = session["livemode"]
    try:
        url = hosting.pay(page.world, session, typed)
    except ApiError as error:
        return _page(page, session, typed, error.error["message"])
    return redirect(url) if url else _page(page, session, typed, "")


def _last_problem(page: Page, session: Resource) -> str:
    """What went wrong at the bank, for whoever comes back from there."""
    store = page.world.store
    intent = store.setup_intents.get(session["setup_intent"] or "")
    intent = intent or store.payment_intents.get(session["payment_intent"] or "")
    if intent is None or intent["status"] != "requires_payment_method":
        return ""
    error = intent.body.get("last_setup_error") or intent.body.get("last_payment_error")
    return str(error["message"]) if error else ""


def _page(page: Page, session: Resource, typed: Typed, problem: str) -> Answer:
    is_setup = session["mode"] == "setup"
    title = "Save a card" if is_setup else "Pay"
    form = alert(problem) + '<form method="post">'
    if hosting.wants_email(page.world, session):
        form += input_(typed, "email", "Email", 'type="email" autocomplete="email"')
    form += card_fields(typed)
    if hosting.wants_address(session):
        form += address_fields(typed)
    if session["tax_id_collection"].get("enabled"):
        form += input_(typed, "business_name", "Business name (for a company)")
        form += input_(typed, "tax_id", "Tax ID (for a company)", 'placeholder="DE123456789"')
    form += _consent(session, typed)
    label = (
        "Save card" if is_setup else f"Pay {money(session['amount_total'], session['currency'])}"
    )
    form += f"<button>{label}</button></form>" + test_numbers()
    body = f'<section class="plain">{_summary(session)}</section><section>{form}</section>'
    return show(title, body, status=402 if problem and page.fields is not None else 200)


def _consent(session: Resource, typed: Typed) -> str:
    texts = session["custom_text"]
    found = ""
    if hosting.wants_consent(session):
        own = (texts.get("terms_of_service_acceptance") or {}).get("message")
        words = escape(own or "I agree to the terms of service.")
        problem = typed.problems.get("consent", "")
        checked = " checked" if typed["consent"] else ""
        found += (
            f'<label class="check"><input type="checkbox" name="consent" value="yes"{checked}>'
            f"<span>{words}</span></label>"
        )
        found += f'<p class="problem">{escape(problem)}</p>' if problem else ""
    own = (texts.get("submit") or {}).get("message")
    return found + (f'<p class="dim">{escape(own)}</p>' if own else "")


def _summary(session: Resource) -> str:
    back = session["cancel_url"]
    link = f'<p><a href="{escape(back)}">← Back</a></p>' if back else ""
    if session["mode"] == "setup":
        return link + (
            "<h1>Save a card for later payments</h1>"
            '<p class="dim">Nothing is charged now. By saving your card you allow later charges '
            "as agreed with the shop.</p>"
        )
    rows = "".join(
        f'<li><span class="grow">{escape(item["description"])}'
        + (f" × {item['quantity']}" if item["quantity"] != 1 else "")
        + f"</span><span>{money(item['amount_total'], item['currency'])}</span></li>"
        for item in session.hidden["line_items"]
    )
    total = money(session["amount_total"], session["currency"])
    return f'{link}<h1>Pay</h1><p class="total">{total}</p><ul class="rows">{rows}</ul>'

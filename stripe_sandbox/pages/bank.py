"""The bank's page: 3-D Secure, where the customer confirms or does not."""

from html import escape

from metronome_sandbox.kit.http import Answer
from stripe_sandbox import charging, hosting
from stripe_sandbox.pages.layout import Page, message, redirect, show
from stripe_sandbox.wire import money


def answer(page: Page) -> Answer:
    world = page.world
    intent = world.store.by_id(page.names["id"])
    if intent is None or not intent.hidden.get("asked"):
        return message("Nothing to confirm", "This confirmation is over, or never was.", status=404)
    if intent.hidden["asked"] != page.names["secret"]:
        return message("Nothing to confirm", "The bank has asked anew since.", status=404)
    if page.fields is not None:
        page.request.livemode = intent["livemode"]
        passed = page.fields.get("answer") == "pass"
        charging.authenticated(world, intent, passed=passed)
        url = hosting.after(world, intent)
        if url:
            return redirect(url)
        return message("Thank you", "You can close this page and return to the shop.")
    method = world.store.payment_methods[intent["payment_method"]]
    card = method["card"]
    what = (
        f"a payment of {money(intent['amount'], intent['currency'])}"
        if intent.object == "payment_intent"
        else "that your card is saved for later payments"
    )
    body = (
        "<section><h1>Your bank asks you to confirm</h1>"
        f"<p>Confirm {escape(what)} with your {escape(card['brand'].title())} card ending in "
        f"{card['last4']}.</p>"
        '<form method="post"><button name="answer" value="pass">Complete</button>'
        '<button class="quiet" name="answer" value="fail">Fail</button></form>'
        '<p class="dim">A 3-D Secure page as a bank would show it.</p></section>'
    )
    return show("Confirm at your bank", body, is_single=True)

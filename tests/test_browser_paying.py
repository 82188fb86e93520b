"""Money in a real browser: topped up at Stripe's page and by the saved card, confirmed at the bank,
stopped at a month's limit, and paid back by staff. Stripe's side has what the pages said."""

from __future__ import annotations

import re
import subprocess
import sys

import pypdfium2
import pytest
from django.conf import settings

from billing.tests.stripe_stage import CONFIRMED, GOOD, OTHER_GOOD

from .test_browser import (  # noqa: F401
    LONG,
    PERSON,
    balance_at,
    browser,
    pytestmark,
    sign_up,
    troubles_of,
    type_card,
    use_card,
    wait_for_number,
    whole_site,
)
from .test_browser_plans import charged

STAFF = {"email": "sam@example.com", "password": "difference engine"}
MAKE_STAFF = f"""
from accounts.models import User
User.objects.create_superuser(
    {STAFF["email"]!r}, {STAFF["password"]!r}, first_name="Sam", last_name="Staff"
)
"""

# What another tab does: it takes the form of the settings, and sends it without the tick.
SWITCH_OFF = """async () => {
  const html = await (await fetch("/billing/recharge/")).text();
  const form = new DOMParser().parseFromString(html, "text/html").querySelector("#settings");
  const body = new FormData(form);
  body.delete("enabled");
  await fetch("/billing/recharge/", { method: "POST", body });
}"""


@pytest.fixture
def paying(whole_site, browser):  # noqa: F811
    """A customer's page, signed up: (page, address, Stripe's sandbox). Its console stays clean."""
    page = browser.new_page()
    page.set_default_timeout(LONG)
    troubles = troubles_of(page)
    sign_up(page, whole_site.address)
    yield page, whole_site.address, whole_site.stripe
    assert troubles == [], "no script failed, and nothing broke the Content-Security-Policy"


def preview_top_up(page, address: str, amount: str) -> None:
    page.goto(f"{address}/billing/top-up/?amount={amount}")


def start_trial(page, address: str) -> None:
    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Start the trial").click()


def speak(page, address: str, text: str) -> None:
    page.goto(f"{address}/studio/")
    page.fill("[name=text]", text)
    page.get_by_role("button", name="Speak").click()


def text_of_pdf(page, link) -> str:
    """What the paper behind a link says, opened with the session of the page."""
    answer = page.context.request.get(
        re.match(r"https?://[^/]+", page.url)[0] + link.get_attribute("href")
    )
    assert answer.headers["content-type"] == "application/pdf"
    paper = pypdfium2.PdfDocument(answer.body())
    return "".join(each.get_textpage().get_text_bounded() for each in paper)


@pytest.mark.timeout(240)
def test_credits_are_topped_up_at_stripes_page_and_by_the_card_it_kept(paying):
    page, address, stripe = paying
    page.goto(f"{address}/billing/")
    page.get_by_role("radio", name="$10 40,000 credits", exact=True).check()
    page.get_by_role("button", name="See what you pay").click()
    due = page.locator("[data-due-cents]")
    assert due.get_attribute("data-due-cents") == "1000"
    page.get_by_role("button", name="Pay $10.00 by card").click()
    page.wait_for_url("**/c/pay/**")
    page.get_by_role("link", name="Back").click()
    page.get_by_text("You did not pay the $10.00. Nothing is charged.").wait_for()
    assert charged(stripe) == []

    preview_top_up(page, address, "10")
    page.get_by_role("button", name="Pay $10.00 by card").click()
    type_card(page, GOOD)
    page.wait_for_url(f"{address}/billing/")
    wait_for_number(page, 40_000)
    page.locator("#card").get_by_text("•••• 4242").wait_for()
    assert charged(stripe) == [1_000]

    preview_top_up(page, address, "5.50")
    assert due.get_attribute("data-credits") == "22000"
    page.get_by_role("button", name="Pay $5.50 from Visa •••• 4242").click()
    wait_for_number(page, 62_000)
    preview_top_up(page, address, "25")
    page.get_by_role("button", name="Pay with another card").click()
    type_card(page, OTHER_GOOD)
    page.wait_for_url(f"{address}/billing/")
    wait_for_number(page, 162_000)
    assert charged(stripe) == [1_000, 550, 2_500]
    assert "•••• 4242" in page.locator("#card").inner_text(), "the other one was charged once"


@pytest.mark.timeout(240)
def test_a_plan_is_confirmed_at_the_bank_after_failing_there_once(paying):
    page, address, stripe = paying
    page.goto(f"{address}/billing/")
    page.get_by_role("button", name="Add a card").click()
    type_card(page, CONFIRMED)
    page.get_by_text("Confirm that your card is saved").wait_for()
    page.get_by_role("button", name="Complete").click()
    page.locator("#card").get_by_text("•••• 3184").wait_for()
    page.goto(f"{address}/billing/plans/")
    page.get_by_role("button", name="Choose Creator").click()
    page.get_by_role("button", name="Pay $49.00").click()

    page.get_by_role("link", name="Confirm it or call it off under Billing").click()
    page.get_by_text("Nothing is charged until you do.").wait_for()
    page.get_by_role("button", name="Confirm $49.00").click()
    page.get_by_role("heading", name="Your bank asks you to confirm").wait_for()
    assert "a payment of $49.00" in page.locator("section").inner_text()
    assert charged(stripe) == []
    page.get_by_role("button", name="Fail").click()
    page.get_by_text("Nothing is charged until you do.").wait_for()
    assert charged(stripe) == []
    page.get_by_role("button", name="Confirm $49.00").click()
    page.get_by_role("button", name="Complete").click()
    wait_for_number(page, 250_000)

    assert charged(stripe) == [4_900]
    assert len([*stripe.world.store.payment_intents]) == 1, "the same payment, confirmed"
    page.reload()
    row = page.locator("#lists tr", has_text="Creator plan").filter(has_text="$49.00").first
    assert "Paid" in row.inner_text()


@pytest.mark.timeout(240)
def test_an_open_billing_page_follows_a_dispute_and_keeps_what_is_typed(whole_site, paying):  # noqa: F811
    page, address, stripe = paying
    preview_top_up(page, address, "10")
    page.get_by_role("button", name="Pay $10.00 by card").click()
    type_card(page, GOOD)
    page.wait_for_url(f"{address}/billing/")
    wait_for_number(page, 40_000)
    control = whole_site.env["STRIPE_API_URL"] + "/_sandbox"
    headers = {"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"}

    def bank(path: str, **data) -> dict:
        return page.context.request.post(control + path, data=data, headers=headers).json()

    [charge] = stripe.world.store.charges
    page.fill("#free", "17")
    page.locator("h1").click()  # the field is left, so that only what has changed is replaced
    dispute = bank(f"/charges/{charge['id']}/dispute", inquiry=True)
    row = page.locator("#lists tr", has_text="Top-up").first
    row.get_by_text("Bank asks").wait_for(timeout=LONG)
    assert page.input_value("#free") == "17"

    bank(f"/disputes/{dispute['id']}", status="needs_response")
    page.get_by_role("heading", name="Credits on hold").wait_for(timeout=LONG)
    page.get_by_text("Nothing can be bought while your credits are on hold.").wait_for()
    row.get_by_text("Disputed").wait_for()
    assert page.locator("#free").count() == 0

    bank(f"/disputes/{dispute['id']}", status="won")
    page.get_by_role("heading", name="Credits you can spend").wait_for(timeout=LONG)
    page.locator("#free").wait_for()
    row.get_by_text("Paid").wait_for()


@pytest.mark.timeout(240)
def test_recharges_stop_at_the_months_limit_and_go_on_when_it_is_raised(whole_site, paying):  # noqa: F811
    page, address, stripe = paying
    use_card(page, address, GOOD)
    start_trial(page, address)
    wait_for_number(page, 50_000)
    page.goto(f"{address}/billing/recharge/")
    page.check("[name=enabled]")
    page.fill("[name=threshold_credits]", "60,000")
    page.fill("[name=recharge_to_credits]", "100,000")
    page.fill("[name=limit]", "15")
    page.get_by_role("button", name="Save").click()
    due = page.locator("[data-due-cents]")
    assert due.get_attribute("data-due-cents") == "1250", "shown before anything is charged"
    assert charged(stripe) == []
    page.get_by_role("button", name="Pay $12.50 and save").click()
    wait_for_number(page, 100_000)
    assert charged(stripe) == [1_250]

    page.goto(f"{address}/billing/recharge/")
    page.fill("[name=threshold_credits]", "99,990")
    page.fill("[name=recharge_to_credits]", "140,000")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(f"{address}/billing/")
    speak(page, address, "The limit holds.")
    wait_for_number(page, 99_984)
    page.goto(f"{address}/billing/")
    card = page.locator("#recharge")
    page.locator("#recharge[data-recharge-state=paused]").wait_for()
    assert card.get_attribute("data-month-cents") == "1250"
    assert "$12.50 of $15.00" in card.inner_text() and "The limit is reached" in card.inner_text()
    assert charged(stripe) == [1_250], "nothing above the limit"

    page.goto(f"{address}/billing/recharge/")
    page.fill("[name=limit]", "50")
    page.get_by_role("button", name="Save").click()
    assert due.get_attribute("data-due-cents") == "1000"
    page.get_by_role("button", name="Pay $10.00 and save").click()
    wait_for_number(page, 140_000)
    page.goto(f"{address}/billing/")
    page.locator("#recharge[data-recharge-state=on]").wait_for()
    assert card.get_attribute("data-month-cents") == "2250"
    assert charged(stripe) == [1_250, 1_000]

    page.evaluate(SWITCH_OFF)
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # one comes back to this tab
    page.locator("#recharge[data-recharge-state=off]").wait_for()
    state = page.context.request.get(f"{address}/api/billing/balance").json()
    assert balance_at(whole_site.metronome, state["customer_id"]) == 140_000


@pytest.mark.timeout(240)
def test_what_staff_pays_back_the_customer_sees_on_every_page_and_paper(
    whole_site,  # noqa: F811
    browser,  # noqa: F811
    paying,
):
    page, address, stripe = paying
    use_card(page, address, GOOD)
    preview_top_up(page, address, "25")
    page.get_by_role("button", name="Pay $25.00 from Visa •••• 4242").click()
    wait_for_number(page, 100_000)
    speak(page, address, "Spoken before.")
    wait_for_number(page, 99_986)
    page.goto(f"{address}/billing/invoices/")
    row = page.get_by_role("row", name="Top-up").first
    assert "Paid" in row.inner_text() and "$25.00" in row.inner_text()
    receipt = text_of_pdf(page, row.get_by_role("link", name="Receipt"))
    assert "$25.00" in receipt and "Visa •••• 4242" in receipt and "Ada Lovelace" in receipt

    shell = [sys.executable, "manage.py", "shell", "-v", "0", "-c", MAKE_STAFF]
    subprocess.run(shell, env=whole_site.env, check=True)
    staff = browser.new_context().new_page()
    staff.set_default_timeout(LONG)
    staff.goto(f"{address}/admin/billing/payment/")
    for name, value in STAFF.items():
        staff.fill(f"[name={name}]", value)
    staff.get_by_role("button", name="Log in", exact=True).click()
    staff.locator("[name=_selected_action]").first.check()
    staff.locator("[name=action]").select_option("refund")
    staff.get_by_role("button", name="Run").or_(staff.get_by_role("button", name="Go")).click()
    preview = staff.locator("[data-amount-cents]")
    assert preview.get_attribute("data-amount-cents") == "2499", "rounded down"
    assert preview.get_attribute("data-credits") == "99986"
    staff.fill("[name=reason]", "You asked for it.")
    staff.get_by_role("button", name="Refund $24.99").click()
    staff.get_by_text("$24.99 are being paid back.").wait_for()

    wait_for_number(page, 0)  # told to the page that is open
    page.goto(f"{address}/billing/")
    row = page.get_by_role("row", name="Top-up").first
    row.get_by_text("$24.99: You asked for it.").wait_for()
    assert [one["amount"] for one in stripe.world.store.refunds] == [2_499]
    assert charged(stripe) == [2_500]
    page.goto(f"{address}/billing/invoices/")
    assert "Refunded $24.99" in page.get_by_role("row", name="Top-up").first.inner_text()
    paper = text_of_pdf(page, page.get_by_role("link", name="Refund"))
    assert "$24.99" in paper and PERSON["last_name"] in paper

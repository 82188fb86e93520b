"""What needs a card leads to saving one at Stripe's page, and back to what was chosen."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from billing.models import AutoRecharge, CardSetup, Payment, PaymentMethod, Subscription
from billing.payments.gateways.stripe.tests.test_journeys import text
from billing.tests import till as tills
from billing.tests.money_stage import balance, have_plan
from billing.tests.till import GOOD, Till

pytestmark = pytest.mark.django_db
shop, till = tills.shop, tills.till  # the fixtures
PREVIEW = "/billing/plans/change/?plan=creator"


def main(answer) -> str:
    return re.search(r"<main.*</main>", answer.content.decode(), re.S)[0]


def hidden(answer) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', main(answer))
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def save_a_card(till: Till, form: dict[str, str]) -> str:
    """Press the button and type a card at Stripe; the address the customer comes back to."""
    answer = till.browser.post("/billing/card/new/", form)
    assert answer.status_code == 303, answer
    done = till.pay(answer.url, GOOD)
    return till.browser.get(done).url


def test_a_plan_without_a_card_leads_to_saving_one_and_back_to_its_preview(till):
    answer = till.browser.post("/billing/plans/", {"plan": "creator"}, follow=True)
    assert "Save a card to go on" in text(answer) and "Pay $49.00" not in text(answer)
    assert hidden(answer) == {"back": "plan", "plan": "creator"}

    back = save_a_card(till, hidden(answer))

    assert back == PREVIEW
    answer = till.browser.get(back)
    assert "Your card is being saved" in text(answer) and "data-pending" in main(answer)
    till.work()
    answer = till.browser.get(back)
    assert "From Visa •••• 4242" in text(answer) and "Pay $49.00" in text(answer)
    assert not Payment.objects.exists()  # nothing is charged before that is confirmed

    till.browser.post("/billing/plans/", hidden(answer) | {"plan": "creator"})
    till.work()
    assert till.charged_cents() == [4_900]
    assert balance(till.customer) == 250_000


def test_a_plan_that_was_shown_with_a_card_is_not_begun_without_one(till):
    till.shop.save(GOOD)
    form = hidden(till.browser.get(PREVIEW)) | {"plan": "creator"}
    till.browser.post("/billing/card/remove/")

    answer = till.browser.post("/billing/plans/", form)

    assert answer.url == PREVIEW
    assert not Subscription.objects.exists() and not Payment.objects.exists()


def test_leaving_the_page_of_the_card_leads_back_to_the_plan(till):
    till.browser.post("/billing/card/new/", {"back": "plan", "plan": "creator"})

    [session] = till.shop.box.world.store.sessions

    assert session["cancel_url"] == f"http://testserver{PREVIEW}"


def test_settings_of_recharges_survive_the_way_to_the_card(till):
    have_plan(till.customer, till.shop.now())
    typed = {
        "enabled": "on",
        "threshold_credits": "30,000",
        "recharge_to_credits": "300000",
        "limit": "222.50",
    }
    answer = till.browser.get("/billing/recharge/")
    assert 'formaction="/billing/card/new/"' in main(answer)

    back = save_a_card(till, typed | {"back": "recharge", "key": "x"})

    assert urlsplit(back).path == "/billing/recharge/"
    assert {name: value for name, [value] in parse_qs(urlsplit(back).query).items()} == typed
    assert "Your card is being saved" in text(till.browser.get(back))
    till.work()
    html = main(till.browser.get(back))
    for value in ("30,000", "300000", "222.50"):
        assert f'value="{value}"' in html
    assert "checked" in html and "Save a card" not in html
    assert not AutoRecharge.objects.filter(enabled=True).exists()  # nothing switches itself on

    till.browser.post("/billing/recharge/", typed)
    row = AutoRecharge.objects.get()
    assert (row.enabled, row.threshold_credits, row.limit_cents) == (True, 30_000, 22_250)


def test_a_past_due_plan_without_a_card_leads_to_saving_one_which_pays_it(till):
    till.shop.save(GOOD)
    form = hidden(till.browser.get(PREVIEW)) | {"plan": "creator"}
    till.browser.post("/billing/plans/", form)
    till.work()
    till.browser.post("/billing/card/remove/")
    period_ends = Subscription.objects.get().period_end_at
    till.advance(seconds=(period_ends - till.shop.now() + timedelta(minutes=1)).total_seconds())
    till.work()
    till.browser.force_login(till.customer.user)  # the session has ended long ago
    answer = till.browser.get("/billing/")
    assert "There is no card to charge. Save one: $49.00 are charged to it at once." in text(answer)
    assert "Save a card and pay $49.00" in text(answer)

    assert save_a_card(till, {}) == "/billing/"
    till.work()

    assert till.charged_cents() == [4_900, 4_900]
    assert Subscription.objects.get().past_due_at is None


@pytest.mark.parametrize(
    "form",
    [
        {"back": "plan", "plan": "https://elsewhere.example"},
        {"back": "https://elsewhere.example"},
        {"back": "//elsewhere.example"},
    ],
)
def test_nobody_is_led_away_from_here(till, form):
    assert save_a_card(till, form) == "/billing/"
    assert CardSetup.objects.get().back_to == "/billing/"
    till.work()
    assert PaymentMethod.objects.exists()

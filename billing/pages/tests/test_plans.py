"""The plans page: choosing works without JavaScript, says what is pending, and shows only one's
own."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta

import pytest
import time_machine
from django.urls import reverse

from billing.models import CreditGrant, Payment, PaymentMethod, Subscription, Wallet
from billing.subscriptions import choose as subscriptions
from billing.subscriptions.periods import months_after
from billing.tests.money_stage import burn
from billing.tests.stripe_stage import DECLINED, GOOD, save_card

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("card")]
URL = "/billing/plans/"
PAY_URL = "/billing/plans/pay/"


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def live(page, stage):
    """The page, and a clock it shares with the sandbox."""
    with time_machine.travel(stage.now(), tick=False):
        yield page


def choose(page, plan, key=None):
    """Choose a plan as a browser does: see what it charges, and agree."""
    seen = page.post(URL, {"plan": plan}, follow=True)
    [shown] = re.findall(r'name="shown" value="([^"]+)"', seen.content.decode())
    form = {"plan": plan, "key": key or uuid.uuid4(), "shown": shown}
    return page.post(URL, form, follow=True)


def data_of(response) -> dict[str, str]:
    """What the page says to programs."""
    return dict(re.findall(r'data-([a-z-]+)="([^"]*)"', response.content.decode()))


def text(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_it_asks_to_log_in(client):
    response = client.get(URL)
    assert (response.status_code, response.url) == (302, f"{reverse('login')}?next={URL}")
    assert client.post(URL, {"plan": "trial"}).status_code == 302
    assert not Subscription.objects.exists()


def test_an_operator_without_customer_is_told(client, staff):
    client.force_login(staff)
    assert client.get(URL).status_code == 403


def test_it_shows_all_plans_with_prices_and_that_nobody_is_charged(page, card):
    shown = text(page.get(URL))
    for words in (
        "Trial",
        "50,000 credits for 14 days",
        "$49 a month",
        "250,000 credits every month",
        "$149 a month",
    ):
        assert words in shown
    assert "Write to us" in shown
    assert shown.count("Visa •••• 4242 Nobody is charged") == 2
    card.delete()
    assert text(page.get(URL)).count("Test mode Nobody is charged") == 2
    assert not PaymentMethod.objects.exists()


def test_choosing_the_trial_says_that_credits_are_on_their_way_and_then_that_it_is_the_plan(
    live, stage, alice
):
    response = live.post(URL, {"plan": "trial", "key": uuid.uuid4()}, follow=True)
    assert response.redirect_chain == [(URL, 302)]
    assert (
        "Your Trial plan is being set up. Its 50,000 credits will arrive in a few seconds"
        in text(response)
    )
    assert b" data-pending>" in response.content
    assert "You have used your trial" not in text(response)

    stage.drain()
    shown = text(live.get(URL))
    assert "Your plan" in shown
    assert "being set up" not in shown
    assert b"data-pending" not in live.get(URL).content
    assert Wallet.objects.get(customer=alice).balance == 50_000


def test_a_program_may_leave_the_key_out(live, stage):
    for _ in range(2):
        live.post(URL, {"plan": "trial"})
    stage.drain()
    live.post(URL, {"plan": "trial"})
    stage.drain()
    assert CreditGrant.objects.count() == Subscription.objects.count() == 1


def test_a_double_click_is_one_choice(live, stage):
    key = uuid.uuid4()
    seen = live.get("/billing/plans/change/?plan=creator")
    [shown] = re.findall(r'name="shown" value="([^"]+)"', seen.content.decode())
    form = {"plan": "creator", "key": key, "shown": shown}
    for _ in range(2):
        live.post(URL, form)
    stage.drain()
    response = live.post(URL, form, follow=True)
    assert "Creator is your plan." in text(response)
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"plan": "gold"}, "There is no such plan."),
        ({"plan": ""}, "Choose a plan."),
        ({}, "Choose a plan."),
        ({"plan": "enterprise"}, "Enterprise is made by agreement"),
        ({"plan": "trial\x00"}, "Null characters"),
        ({"plan": "trial", "key": "not a key"}, "This page is out of date."),
    ],
)
def test_a_wrong_choice_is_an_error_on_the_form(page, form, words):
    response = page.post(URL, form)
    assert response.status_code == 422
    assert words in text(response)
    assert not Subscription.objects.exists()


def test_a_used_trial_is_not_offered_again(live, stage, alice):
    subscription = subscriptions.select_plan(customer=alice, plan="trial", key="k", now=stage.now())
    stage.drain()
    stage.advance(days=15)
    stage.drain()
    subscription.refresh_from_db()
    assert subscription.state == "ended"
    assert "You have used your trial." in text(live.get(URL))
    refused = live.post(URL, {"plan": "trial"})
    assert refused.status_code == 409
    assert "You have used your trial. Choose a plan to go on." in text(refused)


def test_a_choice_that_has_to_wait_for_another_one_is_a_conflict(live, alice):
    choose(live, "creator")

    refused = live.post(URL, {"plan": "pro"})

    assert refused.status_code == 409
    assert "Your Creator plan is still being set up. Try again in a minute." in text(refused)
    assert Subscription.objects.count() == 1


def test_a_declined_card_is_said_and_another_choice_possible(live, stage, alice):
    save_card(alice, DECLINED, stage.now())
    key = uuid.uuid4()
    choose(live, "pro", key)
    stage.drain()
    shown = text(live.get(URL))
    assert "The payment failed:" in shown
    assert "Choose Pro" in shown
    assert "The payment failed:" in text(choose(live, "pro", key))


def test_a_declined_change_is_said_beside_the_plan_that_goes_on_until_it_is_old_or_made_good(
    live, stage, alice
):
    live.post(URL, {"plan": "trial"})
    stage.drain()
    save_card(alice, DECLINED, stage.now())
    choose(live, "creator")
    stage.drain()
    shown = text(live.get(URL))
    assert "Trial Your plan" in shown
    assert "The payment failed:" in shown

    with time_machine.travel(stage.now() + timedelta(hours=25), tick=False):
        assert "The payment failed:" not in text(live.get(URL))

    save_card(alice, GOOD, stage.now())
    choose(live, "creator")
    stage.drain()
    live.post("/billing/plans/cancel/")
    assert "The payment failed:" not in text(live.get(URL))


def test_ending_a_plan_and_going_on(live, stage, alice):
    choose(live, "creator")
    stage.drain()
    assert "End this plan" in text(live.get(URL))
    response = live.post("/billing/plans/cancel/", follow=True)
    assert "You will not be charged again; you can undo it until then." in text(response)
    assert "Go on with Creator" in text(response)
    assert subscriptions.current_plan(alice).next_plan == "none"
    assert data_of(live.get("/billing/"))["plan-state"] == "ending"
    assert live.get("/billing/plans/cancel/").url == "/billing/plans/"

    assert "Creator is your plan." in text(live.post(URL, {"plan": "creator"}, follow=True))
    assert subscriptions.current_plan(alice).next_plan == ""
    assert data_of(live.get("/billing/"))["plan-state"] == "active"


def test_one_sees_and_ends_only_ones_own(live, stage, bob, client):
    choose(live, "creator")
    stage.drain()
    client.force_login(bob.user)
    assert "Your plan" not in text(client.get(URL))
    client.post("/billing/plans/cancel/")
    row = Subscription.objects.get()
    assert (row.state, row.next_plan) == ("active", "")


def test_what_a_first_plan_charges_is_shown_before(live, stage):
    response = live.post(URL, {"plan": "creator"}, follow=True)
    assert response.redirect_chain == [("/billing/plans/change/?plan=creator", 302)]
    shown = data_of(response)
    names = ("due-cents", "paid-back-cents", "taken-back-credits", "next-cents")
    assert [shown[name] for name in names] == ["4900", "0", "0", "4900"]
    assert datetime.fromisoformat(shown["next-at"]) == months_after(stage.now(), 1)
    assert "Pay $49.00" in text(response)
    assert not Subscription.objects.exists()


def test_an_upgrade_is_shown_with_its_numbers_and_charged_so(live, stage, alice):
    choose(live, "creator")
    stage.drain()
    shown = live.get("/billing/plans/change/?plan=pro")
    found = data_of(shown)
    names = ("due-cents", "paid-back-cents", "taken-back-credits", "next-cents")
    assert [found[name] for name in names] == ["10000", "4900", "250000", "14900"]
    assert "Pay $100.00 and change" in text(shown)
    assert "Taken back with Creator" in text(shown)

    choose(live, "pro")
    stage.drain()

    assert Payment.objects.exclude(amount_cents=4_900).get().amount_cents == 10_000
    billing = data_of(live.get("/billing/"))
    assert (billing["plan"], billing["plan-state"]) == ("pro", "active")
    assert datetime.fromisoformat(billing["plan-until"]) == months_after(stage.now(), 1)


def test_an_amount_that_has_changed_is_not_charged_and_the_new_one_is_shown(live, stage, alice):
    choose(live, "creator")
    stage.drain()
    seen = live.get("/billing/plans/change/?plan=pro").content.decode()
    [shown] = re.findall(r'name="shown" value="([^"]+)"', seen)
    burn(stage, alice, 50_000)

    refused = live.post(URL, {"plan": "pro", "shown": shown})

    assert refused.status_code == 409
    assert "Nothing was charged: these are the new ones." in text(refused)
    assert data_of(refused)["due-cents"] == "10980"
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("shown", ["x", "WzFd:1abc:def", "\x01", "a" * 600])
def test_forged_amounts_are_none(live, shown):
    response = live.post(URL, {"plan": "creator", "shown": shown})
    assert response.status_code in (302, 422)
    assert not Subscription.objects.exists()


def test_a_downgrade_is_shown_done_at_the_end_and_undone(live, stage, alice):
    choose(live, "pro")
    stage.drain()
    shown = live.get("/billing/plans/change/?plan=creator")
    assert data_of(shown)["due-cents"] == "0" and data_of(shown)["next-cents"] == "4900"
    assert "Nothing is charged today." in text(shown)

    response = choose(live, "creator")
    assert "Creator follows on" in text(response) and "Keep Pro" in text(response)
    assert data_of(live.get("/billing/"))["plan-state"] == "changing"
    live.post(URL, {"plan": "pro"})
    assert subscriptions.current_plan(alice).next_plan == ""
    assert Payment.objects.count() == 1


def test_the_trials_credits_are_said_to_stay(live, stage):
    live.post(URL, {"plan": "trial"})
    stage.drain()
    shown = live.get("/billing/plans/change/?plan=creator")
    assert "Your trial ends, and its credits stay until" in text(shown)
    choose(live, "creator")
    stage.drain()
    assert "The credits of your trial stay until" in text(live.get("/billing/"))


def test_a_declined_renewal_is_past_due_and_paid_by_the_button(live, stage, alice):
    choose(live, "creator")
    stage.drain()
    save_card(alice, DECLINED, stage.now())
    row = Subscription.objects.get()
    stage.advance(seconds=(row.period_end_at - stage.now()).total_seconds())
    stage.drain()
    with time_machine.travel(stage.now(), tick=False):
        live.force_login(alice.user)  # the session has ended meanwhile
        page = live.get("/billing/")
        assert data_of(page)["plan-state"] == "past_due"
        assert "Pay now, $49.00" in text(page) and "It is tried again on" in text(page)
        assert "Past due" in text(live.get(URL))
        for tried in ("x", "99999999", "-1"):
            assert "out of date" in text(live.post(PAY_URL, {"tried": tried}, follow=True))
        assert "is being tried" in text(live.post(PAY_URL, {"tried": "1"}, follow=True))
        stage.drain()
        assert "out of date" in text(live.post(PAY_URL, {"tried": "1"}, follow=True))
        assert data_of(live.get("/billing/"))["plan-state"] == "past_due"
        save_card(alice, GOOD, stage.now())
        stage.drain()
        assert data_of(live.get("/billing/"))["plan-state"] == "active"
        assert "Nothing is due" in text(live.post(PAY_URL, {"tried": "2"}, follow=True))
    assert Payment.objects.get(period=1).attempt_number == 3


@pytest.mark.parametrize("plan", ["", "gold", "enterprise", "trial"])
def test_a_preview_of_what_costs_nothing_or_is_no_plan_leads_to_the_plans(page, plan):
    assert page.get(f"/billing/plans/change/?plan={plan}").url == URL


def test_a_preview_of_a_plan_with_a_nul_in_its_name_is_400(page):
    assert page.get("/billing/plans/change/?plan=%00").status_code == 400

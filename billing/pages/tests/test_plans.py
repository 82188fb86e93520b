"""The plans page: choosing works without JavaScript, says what is pending, and shows only one's
own."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse

from billing.models import CreditGrant, Payment, PaymentMethod, Subscription, Wallet
from billing.payments import cards
from billing.payments.gateways.test import DECLINING_CARD, GOOD_CARD
from billing.subscriptions import choose as subscriptions

pytestmark = pytest.mark.django_db
URL = "/billing/plans/"


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def live(page, stage):
    """The page, and a clock it shares with the sandbox."""
    with time_machine.travel(stage.now(), tick=False):
        yield page


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


def test_it_shows_all_plans_with_prices_and_that_nobody_is_charged(page):
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
    assert shown.count("Nobody is charged") == 2
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
    form = {"plan": "creator", "key": uuid.uuid4()}
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
    live.post(URL, {"plan": "creator"})

    refused = live.post(URL, {"plan": "pro"})

    assert refused.status_code == 409
    assert "Your Creator plan is still being set up. Try again in a minute." in text(refused)
    assert Subscription.objects.count() == 1


def test_a_declined_card_is_said_and_another_choice_possible(live, stage, alice):
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference, now=stage.now())
    form = {"plan": "pro", "key": uuid.uuid4()}
    live.post(URL, form)
    stage.drain()
    shown = text(live.get(URL))
    assert "The payment failed:" in shown
    assert "Choose Pro" in shown
    assert "The payment failed:" in text(live.post(URL, form, follow=True))


def test_a_declined_change_is_said_beside_the_plan_that_goes_on_until_it_is_old_or_made_good(
    live, stage, alice
):
    live.post(URL, {"plan": "trial"})
    stage.drain()
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference, now=stage.now())
    live.post(URL, {"plan": "creator"})
    stage.drain()
    shown = text(live.get(URL))
    assert "Trial Your plan" in shown
    assert "The payment failed:" in shown

    with time_machine.travel(stage.now() + timedelta(hours=25), tick=False):
        assert "The payment failed:" not in text(live.get(URL))

    cards.choose(customer_id=alice.pk, reference=GOOD_CARD.reference, now=stage.now())
    live.post(URL, {"plan": "creator"})
    stage.drain()
    live.post("/billing/plans/cancel/")
    assert "The payment failed:" not in text(live.get(URL))


def test_ending_a_plan(live, stage, alice):
    live.post(URL, {"plan": "creator"})
    stage.drain()
    assert "End this plan" in text(live.get(URL))
    response = live.post("/billing/plans/cancel/", follow=True)
    assert "your credits stay until they expire" in text(response)
    assert subscriptions.current_plan(alice) is None
    assert live.get("/billing/plans/cancel/").url == "/billing/plans/"


def test_one_sees_and_ends_only_ones_own(live, stage, bob, client):
    live.post(URL, {"plan": "creator"})
    stage.drain()
    client.force_login(bob.user)
    assert "Your plan" not in text(client.get(URL))
    client.post("/billing/plans/cancel/")
    assert Subscription.objects.get().state == "active"

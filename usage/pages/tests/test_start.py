"""A customer's first minutes in the studio, step by step, on the pages without script."""

from __future__ import annotations

import re

import pytest

from billing.models import Subscription
from billing.subscriptions import choose
from conftest import fund
from usage.models import Draft
from usage.pages.start import FIRST_TEXT

pytestmark = pytest.mark.django_db
STUDIO = "/studio/"


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def shown(page) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.get(STUDIO).text).split())


def fields_of_the_trial(page) -> dict[str, str]:
    [form] = re.findall(
        r'<form method="post" action="/billing/plans/".*?</form>', page.get(STUDIO).text, re.S
    )
    assert 'name="plan" value="trial"' in form
    return dict(re.findall(r'name="(key|next)" value="([^"]+)"', form)) | {"plan": "trial"}


def test_a_text_waits_and_the_trial_starts_with_one_click(page, alice):
    assert FIRST_TEXT in page.get(STUDIO).text
    fields = fields_of_the_trial(page)

    done = page.post("/billing/plans/", fields)

    assert done.url == STUDIO
    assert Subscription.objects.get().plan == "trial"
    assert "Your 50,000 credits are on their way." in shown(page)
    assert "data-pending" in page.get(STUDIO).text and FIRST_TEXT in page.get(STUDIO).text
    assert page.post("/billing/plans/", fields).url == STUDIO, "a double click starts one"
    assert Subscription.objects.count() == 1


def test_when_the_credits_are_here_it_says_what_to_press(page, alice, stage):
    choose.select_plan(customer=alice, plan="trial", key="k", now=stage.now())
    stage.drain()

    assert "Your credits are here. Press Speak" in shown(page)
    assert FIRST_TEXT in page.get(STUDIO).text


def test_an_address_that_is_not_confirmed_is_told_what_to_do(page, alice, settings):
    settings.TRIAL_NEEDS_CONFIRMATION = True
    text = shown(page)

    assert f"Confirm {alice.user.email} first." in text and "Send the link again" in text
    assert 'value="trial"' not in page.get(STUDIO).text
    answer = page.post("/accounts/confirm/", {"next": STUDIO})
    assert answer.url == STUDIO


def test_where_no_trial_is_to_be_had_the_plans_are_shown(page, alice, now):
    Subscription.objects.create(
        customer=alice, plan="trial", key="old", state="ended", created_at=now, anchor_at=now
    )

    text = shown(page)

    assert "A plan or a top-up gives you some" in text and FIRST_TEXT not in text
    assert 'value="trial"' not in page.get(STUDIO).text


def test_the_text_that_waits_replaces_nothing_that_was_written(page, alice, now):
    Draft.objects.create(customer=alice, text="", version=1, changed_at=now)

    assert FIRST_TEXT not in page.get(STUDIO).text


def test_who_was_given_credits_finds_an_empty_page_and_no_trial(page, alice, now):
    fund(alice, 500, now)
    text = shown(page)

    assert FIRST_TEXT not in text and "Start the free trial" not in text

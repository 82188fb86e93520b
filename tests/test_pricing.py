"""The page of prices: what it says is what the code holds, to visitors and to customers."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.urls import reverse

from accounts import api_keys
from billing import plans
from conftest import fund
from usage.speech import voices
from usage.templatetags.speech_length import speech_length
from vocalis.public import calculator

from .test_landing import PERSON, words_of

pytestmark = pytest.mark.django_db


def cells(page: str) -> dict[str, dict[str, str]]:
    """The comparison: title of the row → plan → what it says."""
    [table] = re.findall(r"<table.*?</table>", page, re.S)
    found = {}
    for row in re.findall(r"<tbody.*", table, re.S)[0].split("<tr ")[1:]:
        [title] = re.findall(r"<th[^>]*>(.*?)</th>", row, re.S)
        values = re.findall(r'data-label="([^"]+)">(.*?)</td>', row, re.S)
        found[words_of(title)] = {name: words_of(value) for name, value in values}
    return found


def test_each_cell_of_the_comparison_is_what_the_plan_holds(client):
    found = cells(client.get("/pricing/").text)

    for row in found.values():
        assert list(row) == [plan.name for plan in plans.PLANS.values()]
    for plan in plans.PLANS.values():
        says = {title: row[plan.name] for title, row in found.items()}
        rate, together = plan.rate, plan.rate.of_account
        assert says["API calls a minute"] == (
            f"{rate.requests_a_minute:,} a key, {together.requests_a_minute:,} together"
        )
        assert says["API calls at once"].startswith(f"{rate.requests_at_once} a key")
        kept = f"{plan.audio_days} days" if plan.audio_days else "until you delete it"
        assert says["Audio is kept made again free after that"] == kept
        if not plan.credits:
            assert says["Credits"] == says["Price"] == "by agreement"
            continue
        assert says["Credits"].startswith(f"{plan.credits:,} ")
        for tier in ("standard", "premium"):
            assert says[f"Speech, about {tier} voices"] == speech_length(plan.credits, tier)
    assert found["Price"]["Pro"] == "$149 a month"
    assert found["A thousand credits cost"] == {
        "Trial": "nothing",
        "Creator": "$0.196",
        "Pro": "$0.149",
        "Enterprise": "by agreement",
    }


def test_top_ups_limits_and_what_every_plan_has_come_from_the_code(client):
    text = words_of(client.get("/pricing/").text)

    for pack in plans.PACKS:
        about = f"about {speech_length(pack.credits, 'standard')} standard"
        assert f"{pack.credits:,} credits {about}" in text and f" {pack.price_dollars} " in text
    assert "from $5.00 to $500.00 4,000 credits a dollar" in text
    assert f"All {len(voices.house())} voices" in text
    assert f"Up to {api_keys.KEYS_MAX} API keys" in text
    assert "120 API calls a minute for each key, 5 at once, and audio is kept for 30 days" in text
    assert "try the card again after 3 and 7 days" in text


def test_a_limit_of_recharges_is_promised_only_where_it_holds(client, settings):
    assert "switch it on, and never charges more" in words_of(client.get("/pricing/").text)

    settings.METRONOME_PAYMENT_GATE = "STRIPE"
    text = words_of(client.get("/pricing/").text)
    assert "never charges more" not in text and "until you switch it on." in text


def test_its_calculator_stays_on_the_page(client):
    page = client.get("/pricing/", {"amount": "1200000", "unit": "characters"}).text

    assert 'action="/pricing/#calculator"' in page and 'value="1,200,000"' in page
    assert "Pro and 200,000 credits on top" in words_of(page)
    assert calculator.REFUSED in unescape(client.get("/pricing/", {"amount": "x"}).text)


def test_a_visitor_chooses_a_plan_there_and_sees_its_price_after_signing_up(client):
    page = client.get("/pricing/").text
    [link] = re.findall(r'href="([^"]+)">Choose Creator<', page)
    done = client.post(unescape(link), PERSON)

    assert done.url == f"{reverse('plan_preview')}?plan=creator"
    assert "$49.00" in client.get(done.url).text


def test_a_customer_is_led_to_the_own_plan_and_to_what_a_change_costs(client, alice, now):
    fund(alice, 100, now=now)
    client.force_login(alice.user)
    page = client.get("/pricing/").text

    assert f'href="{reverse("plans")}">Your plan, and what a change of it costs' in page
    assert f'href="{reverse("plan_preview")}?plan=pro">See what you pay</a>' in page
    assert "Start free" not in page and "Choose Pro" not in page
    assert reverse("signup") not in page


def test_an_operator_is_offered_no_plan(admin_client):
    page = admin_client.get("/pricing/").text

    assert "See what you pay" not in page and "Your plan" not in page
    assert "$149 a month" in page


@pytest.mark.parametrize("path", ["/", "/docs/", "/accounts/login/"])
def test_it_is_linked_from_the_head_and_the_foot_of_every_page(client, path):
    page = client.get(path).text
    head, foot = re.findall(r"<header.*?</header>|<footer.*?</footer>", page, re.S)

    assert 'href="/pricing/"' in head and 'href="/pricing/"' in foot

"""The front page: what it claims is computed, and a chosen plan survives signing up."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.staticfiles import finders

from billing import plans
from usage.speech import paces, voices
from usage.templatetags.speech_length import in_words, speech_length
from vocalis.public import calculator

pytestmark = pytest.mark.django_db
PERSON = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "password": "analytical engine",
}


def words_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_every_voice_of_the_house_plays(client):
    page = client.get("/").text

    for speaker in voices.house():
        assert f'aria-label="Listen to {speaker.name}, {speaker.description}"' in page
    samples = re.findall(r'href="/static/([^"]+)" data-sample', page)
    assert len(samples) == len(voices.house())
    assert all(finders.find(sample) for sample in samples)
    assert f"{len(voices.house())} voices in 4 languages" in words_of(page)


def test_the_hours_of_each_plan_are_computed_from_measured_paces(client):
    text = words_of(client.get("/").text)

    for plan in plans.PLANS.values():
        if plan.credits:
            standard = speech_length(plan.credits, "standard")
            premium = speech_length(plan.credits, "premium")
            assert f"About {standard} standard, or {premium} premium" in text


@pytest.mark.parametrize(
    ("credits", "plan", "price_cents", "extra", "spare"),
    [
        (1, None, 500, 20_000, 19_999),  # the smallest top-up
        (196_000 - 40, None, 4_899, 195_960, 0),
        (196_000, "creator", 4_900, 0, 54_000),  # costs the same: the plan
        (250_000, "creator", 4_900, 0, 0),
        (250_001, "creator", 5_400, 20_000, 19_999),
        (1_000_000, "pro", 14_900, 0, 0),
        (1_400_000, "pro", 24_900, 400_000, 0),
    ],
)
def test_the_cheapest_way_is_found(credits, plan, price_cents, extra, spare):
    way = calculator.cheapest(credits)

    assert (way.plan and way.plan.key, way.price_cents) == (plan, price_cents)
    assert (way.extra_credits, way.spare_credits) == (extra, spare)


def test_no_way_is_cheaper_than_the_one_that_is_named():
    for credits in range(10_000, 3_000_000, 70_001):
        way = calculator.cheapest(credits)
        top_up = max(plans.PACK_CENTS_MIN, -(-credits // plans.CREDITS_PER_CENT))
        enough = [
            p.price_cents for p in plans.PLANS.values() if p.price_cents and p.credits >= credits
        ]
        assert way.price_cents <= min(top_up, *enough, top_up)


def test_the_calculator_works_without_script(client):
    page = client.get("/", {"amount": "2", "unit": "hours", "tier": "premium"}).text
    text = words_of(page)
    characters = paces.characters_in(7_200, "premium")

    assert f"Characters {characters:,} Credits {2 * characters:,}" in text
    assert f"Audio, about {in_words(paces.seconds_of_credits(2 * characters, 'premium'))}" in text
    assert '<option value="hours" selected>' in page and 'value="2"' in page


@pytest.mark.parametrize(
    "amount", ["", "0", "-5", "many", "1.2.3", "1e9", "٣", "100000001", "9" * 50, "<script>", "."]
)
def test_an_amount_that_is_none_is_told_what_to_write(client, amount):
    page = client.get("/", {"amount": amount})

    assert page.status_code == 200 and calculator.REFUSED in unescape(page.text)
    assert "<script>" not in page.text and 'aria-invalid="true"' in page.text


@pytest.mark.parametrize("amount", ["30,000", "30000", "30 000", "30,000.0", "030000.", "3,0000"])
def test_an_amount_may_have_separators_and_is_shown_with_them(amount):
    typed, need = calculator.of({"amount": amount})

    assert need is not None and need.characters == 30_000
    assert typed["amount"] == "30,000"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("1.50", "1.5"), (".5", "0.5"), ("1234.005", "1,234.005"), ("3oo", "3oo"), ("20000", "20000")],
)
def test_an_amount_of_hours_keeps_its_fraction_and_what_is_wrong_is_kept_as_typed(typed, shown):
    assert calculator.of({"amount": typed, "unit": "hours"})[0]["amount"] == shown


def test_a_chosen_plan_survives_errors_and_signing_up(client):
    page = client.get("/").text
    [link] = re.findall(r'href="([^"]+)">Choose Pro<', page)
    link = unescape(link)

    assert "You chose Pro, $149 a month." in client.get(link).text
    refused = client.post(link, PERSON | {"password": "short"})
    assert refused.status_code == 200 and "8 characters" in refused.text
    assert "Choose how to start" not in refused.text
    done = client.post(link, PERSON)

    assert done.url == "/billing/plans/change/?plan=pro"
    assert "$149.00" in client.get(done.url).text


def test_a_chosen_plan_survives_the_way_to_an_account_that_is_there(client, alice):
    page = client.get(
        unescape(re.findall(r'href="([^"]+)">Choose Creator<', client.get("/").text)[0])
    )
    [login] = re.findall(r'<a href="(/accounts/login/[^"]*)">Log in</a></p>', page.text)

    assert unescape(login).endswith("%2Fbilling%2Fplans%2Fchange%2F%3Fplan%3Dcreator")


def test_each_claim_leads_to_its_proof(client):
    page = client.get("/").text
    links = re.findall(r'class="evidence"><a href="([^"#]+)#([^"]+)"', page)

    assert len(links) == 3
    for path, fragment in links:
        assert f'id="{fragment}"' in client.get(path).text


@pytest.mark.parametrize("path", ["/terms/", "/privacy/"])
def test_terms_and_privacy_say_who_we_are_and_that_nobody_has_reviewed_them(client, settings, path):
    settings.SELLER_NAME, settings.SELLER_ADDRESS = "Acme <Ltd>", "1 Example Street, Dublin"
    text = words_of(client.get(path).text)
    assert "Acme <Ltd>, 1 Example Street, Dublin" in text
    assert "To be reviewed by Acme <Ltd>’s lawyer" in text

    settings.LEGAL_REVIEWED_ON = "2026-11-05"
    text = words_of(client.get(path).text)
    assert "To be reviewed" not in text and "on 5 November 2026" in text


def test_terms_and_privacy_name_the_numbers_of_the_code(client):
    terms, privacy = (words_of(client.get(path).text) for path in ("/terms/", "/privacy/"))

    assert "Creator $49, Pro $149 a month" in terms and "25,000 once" in terms
    assert "Creator 90 days, Pro 365 days, trial 30 days, without a plan 30 days" in privacy
    for word in ("Metronome", "Stripe", "biometric data", "24 hours"):
        assert word in privacy


def test_a_limit_of_recharges_is_promised_only_where_it_holds(client, settings):
    pages = ("/", "/terms/")
    assert all("switch it on, and" in words_of(client.get(path).text) for path in pages)

    settings.METRONOME_PAYMENT_GATE = "STRIPE"
    assert all("until you switch it on." in words_of(client.get(path).text) for path in pages)

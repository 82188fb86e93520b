from __future__ import annotations

import re

import pytest

from billing.models import Payment, Purchase, Wallet

URL = "/billing/top-up/"


@pytest.fixture
def page(client, alice, card):
    """Alice's browser."""
    client.force_login(alice.user)
    return client


def text_of(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def hidden(answer) -> dict[str, str]:
    html = re.search(r"<main.*</main>", answer.content.decode(), re.S)[0]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html)
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def test_the_packs_are_offered_here_and_on_billing(page):
    for url in (URL, "/billing/"):
        text = text_of(page.get(url))
        for words in ("$10 40,000 credits", "$25 100,000 credits", "$100 400,000 credits"):
            assert words in text


@pytest.mark.parametrize(
    ("query", "cents", "credits"),
    [
        ("pack=2500", 2_500, 100_000),
        ("pack=2500&amount=", 2_500, 100_000),
        ("pack=2500&amount=12.50", 1_250, 50_000),
        ("amount=$500", 50_000, 2_000_000),
        ("amount=5", 500, 20_000),
    ],
)
def test_the_preview_says_what_is_charged_and_changes_nothing(page, query, cents, credits):
    answer = page.get(f"{URL}?{query}")

    html = answer.content.decode()
    assert f'data-due-cents="{cents}" data-credits="{credits}"' in html
    assert f"Pay ${cents // 100}.{cents % 100:02}" in text_of(answer)
    assert not Payment.objects.exists()


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("amount=4.99", "Choose an amount from $5 to $500."),
        ("amount=500.01", "Choose an amount from $5 to $500."),
        ("amount=much", "Write an amount in dollars"),
        ("amount=1,50", "Write an amount in dollars"),  # no $150
        ("amount=1,2345", "Write an amount in dollars"),
        ("amount=12.505", "no more than 2 decimal places"),
        ("amount=NaN", "Write an amount in dollars"),
        ("amount=" + "9" * 400, "Ensure that there are no more than"),
        ("pack=", "Choose a pack, or write an amount"),
        ("pack=1", "Choose one of the packs"),
    ],
)
def test_a_wrong_amount_comes_back_with_the_reason(page, query, sentence):
    assert sentence in text_of(page.get(f"{URL}?{query}"))


def test_confirming_buys_what_was_shown_once(page, alice):
    form = hidden(page.get(f"{URL}?pack=2500"))
    for _ in range(2):
        answer = page.post(URL, form)
        assert (answer.status_code, answer.url) == (302, "/billing/")

    purchase = Purchase.objects.get()
    assert (purchase.customer, purchase.amount_cents, purchase.credits) == (alice, 2_500, 100_000)
    assert "Your top-up of $25.00 is under way." in text_of(page.get("/billing/"))


def test_other_credits_than_shown_are_not_charged_and_shown_anew(page):
    form = hidden(page.get(f"{URL}?pack=2500")) | {"credits": "110000"}

    answer = page.post(URL, form)

    assert answer.status_code == 409
    assert 'data-due-cents="2500" data-credits="100000"' in answer.content.decode()
    assert "Nothing was charged" in text_of(answer)
    assert not Payment.objects.exists()


@pytest.mark.parametrize("change", [{"key": "x"}, {"amount_cents": ""}, {"credits": "many"}])
def test_a_form_that_was_not_ours_charges_nothing(page, change):
    answer = page.post(URL, hidden(page.get(f"{URL}?pack=2500")) | change)

    assert answer.status_code == 422
    assert "This page is out of date. Nothing was charged" in text_of(answer)
    assert not Payment.objects.exists()


def test_an_amount_beyond_the_bounds_is_refused_when_confirmed_too(page):
    form = hidden(page.get(f"{URL}?pack=2500"))

    answer = page.post(URL, form | {"amount_cents": "499", "credits": "19960"})

    assert answer.status_code == 409
    assert not Payment.objects.exists()


def test_credits_on_hold_are_said_before(page, wallet, now):
    Wallet.objects.update(frozen_at=now)

    assert "Your credits are on hold" in text_of(page.get(f"{URL}?pack=2500"))


def test_an_old_form_of_a_failed_top_up_says_so(page, alice):
    form = hidden(page.get(f"{URL}?pack=2500"))
    page.post(URL, form)
    Purchase.objects.update(state="failed", failure="Your card was declined.")

    answer = page.post(URL, form, follow=True)

    assert "The payment of this top-up failed: Your card was declined." in text_of(answer)
    assert Purchase.objects.count() == 1


def test_the_preview_says_that_an_unpaid_top_up_gives_way(page, alice, now):
    payment = Payment.objects.create(
        customer=alice,
        kind="pack",
        state="at_page",
        amount_cents=1_000,
        gateway="stripe",
        created_at=now,
    )
    payment.tries.create(
        number=1,
        key="k",
        method_reference="",
        amount_cents=1_000,
        currency="USD",
        parameters={},
        is_at_page=True,
        created_at=now,
    )
    sentence = "Your top-up of $10.00 is not paid yet. It is called off if you pay this one."
    assert sentence in text_of(page.get(f"{URL}?pack=2500"))

    Payment.objects.update(state="failed")
    assert "called off" not in text_of(page.get(f"{URL}?pack=2500"))

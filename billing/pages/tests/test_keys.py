"""The page of API keys: a secret is shown once, a form makes one key, and others' keys are not
there."""

from __future__ import annotations

import logging
import re
import uuid
from datetime import timedelta
from html import unescape

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse

from accounts import api_keys
from accounts.models import ApiKey
from billing import keys, ledger
from billing.ledger import budgets

pytestmark = pytest.mark.django_db
URL = "/keys/"
SECRET = re.compile(r"vk_[0-9A-Za-z]{46}")


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def form(**fields):
    usual = {"name": "Newsletter", "scopes": ["speech", "read"], "period": "none"}
    return usual | {"expires": "never", "key": str(uuid.uuid4())} | fields


def text(response) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())))


def secrets_in(response) -> list[str]:
    return SECRET.findall(response.content.decode())


def test_it_asks_to_log_in_and_keeps_what_was_typed(client, alice):
    response = client.post(URL, form(name="Podcast", limit="20,000"))
    assert (response.status_code, response.url) == (302, f"/accounts/login/?next={URL}")
    assert not ApiKey.objects.exists()

    client.force_login(alice.user)

    assert b'value="Podcast"' in client.get(URL).content


def test_a_key_is_made_and_its_secret_shown_once(page, alice, now):
    response = page.post(URL, form(limit="20,000", period="week", expires="90"))

    assert response.status_code == 201
    (secret,) = secrets_in(response)
    key = api_keys.find(secret, now)
    assert (key.customer, key.name, key.scopes) == (alice, "Newsletter", ["speech", "read"])
    assert key.expires_at == key.created_at + timedelta(days=90)
    found = budgets.budget(key.pk, now)
    assert (found.limit, found.period) == (20_000, "week")
    assert "no-store" in response["Cache-Control"]
    assert "Newsletter is made. Copy it now." in text(response)
    again = page.get(URL)
    assert not secrets_in(again)
    assert key.shown in text(again)


def test_the_secret_is_kept_nowhere_in_clear(page, caplog):
    with (
        CaptureQueriesContext(
            connection,
        ) as queries,
        caplog.at_level(logging.DEBUG),
    ):
        response = page.post(URL, form())

    (secret,) = secrets_in(response)
    assert secret not in " ".join(query["sql"] for query in queries)
    assert secret not in caplog.text
    assert secret not in str(dict(page.session))
    assert secret not in str(response.headers) + str(page.cookies)


def test_a_form_sent_twice_makes_one_key_and_both_answers_show_it(page):
    """A browser shows the answer to the second click only."""
    sent = form(limit="500")

    first, second = page.post(URL, sent), page.post(URL, sent)

    assert secrets_in(first) == secrets_in(second) != []
    assert ApiKey.objects.count() == 1


def test_a_form_sent_again_later_shows_no_secret(page, now):
    sent = form()
    page.post(URL, sent)

    with time_machine.travel(now + timedelta(seconds=api_keys.AGAIN_SECONDS + 5)):
        response = page.post(URL, sent)

    assert response.status_code == 409
    assert not secrets_in(response)
    assert "This form was sent before, and made the key Newsletter" in text(response)
    assert ApiKey.objects.count() == 1


def test_a_revoked_key_is_not_shown_again(page, now):
    sent = form()
    page.post(URL, sent)
    api_keys.revoke(ApiKey.objects.get(), now)

    response = page.post(URL, sent)

    assert (response.status_code, secrets_in(response)) == (409, [])


def test_a_form_sent_again_leaves_a_changed_budget_alone(page, now):
    sent = form(limit="500")
    page.post(URL, sent)
    key = ApiKey.objects.get()
    keys.change(key, limit=900, period="day", now=now)

    page.post(URL, sent)

    assert budgets.budget(key.pk, now).limit == 900


def test_a_changed_form_is_another_key_and_so_is_that_of_another_customer(page, bob):
    sent = form()
    other = Client()
    other.force_login(bob.user)

    answers = [page.post(URL, sent), page.post(URL, sent | {"name": "B"}), other.post(URL, sent)]

    assert ApiKey.objects.count() == len({secrets_in(each)[0] for each in answers}) == 3


def test_a_program_may_leave_the_key_out(page):
    sent = form()
    del sent["key"]

    answers = [page.post(URL, sent), page.post(URL, sent)]

    assert len({secrets_in(each)[0] for each in answers}) == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": " "}, "Give the key a name."),
        ({"name": "a" * 61}, "at most 60 characters"),
        ({"scopes": []}, "Choose one or more."),
        ({"scopes": ["fly"]}, "fly is not one of the available choices"),
        ({"limit": "many"}, "Write a whole number of credits, such as 20,000."),
        ({"limit": "0"}, "A budget is 1 to 1,000,000,000,000 credits, or none."),
        ({"limit": "9" * 5_000}, "Write a whole number of credits"),
        ({"period": "week"}, "Say how many credits the key may spend in each period."),
        ({"period": "hour"}, "hour is not one of the available choices"),
        ({"expires": "31"}, "31 is not one of the available choices"),
        ({"key": "x"}, "This page is out of date. Press the button again."),
    ],
)
def test_what_cannot_be_is_said_at_its_field_and_nothing_is_made(page, fields, words):
    response = page.post(URL, form(**fields))

    assert response.status_code == 422
    assert words in text(response)
    assert not secrets_in(response)
    assert not ApiKey.objects.exists()


def test_a_page_that_is_out_of_date_gets_a_key_with_which_it_works(page):
    response = page.post(URL, form(key="x"))

    token = re.search(rb'name="key" value="([^"]+)"', response.content)[1].decode()
    assert page.post(URL, form(key=token)).status_code == 201


def test_the_list_says_what_is_spent_held_and_left(page, alice, wallet, now):
    key, _ = keys.create(customer=alice, name="Pipeline", limit=200, period="month", now=now)
    reserve = {"wallet_id": wallet.id, "now": now, "api_key_id": key.pk}
    spent = ledger.reserve(key="a", amount=120, **reserve)
    ledger.capture(reservation_id=spent.id, amount=120, now=now)
    ledger.reserve(key="b", amount=50, **reserve)

    shown = text(page.get(URL))

    assert "Pipeline 85 % used" in shown
    assert "120 of 200 this month · 50 held 30 left · resets" in shown
    ledger.reserve(key="c", amount=30, **reserve)
    assert "Pipeline Budget reached" in text(page.get(URL))


def test_keys_that_cannot_be_used_are_listed_apart(page, alice, now):
    gone, _ = keys.create(customer=alice, name="Gone", now=now)
    api_keys.revoke(gone, now)
    keys.create(
        customer=alice, name="Over", expires_at=now - timedelta(days=1), now=now - timedelta(days=9)
    )

    shown = text(page.get(URL))

    assert "2 keys that cannot be used any more" in shown
    assert re.search(r"Gone, vk_\S+ , revoked", shown)
    assert re.search(r"Over, vk_\S+ , ended", shown)
    assert "No key yet." in shown


def test_a_budget_is_changed_and_counts_what_was_spent(page, alice, wallet, now):
    key, _ = keys.create(customer=alice, name="Pipeline", limit=200, period="month", now=now)
    spent = ledger.reserve(wallet_id=wallet.id, key="a", amount=120, now=now, api_key_id=key.pk)
    ledger.capture(reservation_id=spent.id, amount=120, now=now)
    asked = page.get(f"{URL}?change={key.pk}")
    assert b'value="200"' in asked.content
    assert "The budget of Pipeline" in text(asked)

    response = page.post(f"{URL}{key.pk}/budget/", {"limit": "1,000", "period": "day"}, follow=True)

    assert "The budget of Pipeline is changed." in text(response)
    found = budgets.budget(key.pk, now)
    assert (found.limit, found.period, found.spent) == (1_000, "day", 120)
    page.post(f"{URL}{key.pk}/budget/", {"limit": "", "period": "none"})
    assert budgets.budget(key.pk, now).limit is None


def test_a_wrong_budget_is_refused_on_its_form(page, alice, now):
    key, _ = keys.create(customer=alice, name="Pipeline", limit=200, period="month", now=now)

    response = page.post(f"{URL}{key.pk}/budget/", {"limit": "", "period": "day"})

    assert response.status_code == 422
    assert "Say how many credits the key may spend in each period." in text(response)
    assert budgets.budget(key.pk, now).limit == 200


def test_a_key_is_revoked_once_it_is_confirmed(page, alice, now):
    key, secret = keys.create(customer=alice, name="Pipeline", now=now)
    shown = page.get(URL).content.decode()
    # A button to look, and a second one within what it opens.
    assert re.search(r"<summary[^>]*>Revoke</summary>\s*<form[^>]*revoke/", shown)

    for _ in range(2):
        response = page.post(f"{URL}{key.pk}/revoke/", follow=True)

    assert "Pipeline is revoked. Nobody can use it any more." in text(response)
    with pytest.raises(api_keys.InvalidKey):
        api_keys.find(secret, now)


def test_keys_of_others_are_not_there(page, bob, now):
    key, secret = keys.create(customer=bob, name="Bobs", limit=5, now=now)

    answers = [
        page.get(f"{URL}?change={key.pk}"),
        page.get(f"{URL}?change=x"),
        page.post(f"{URL}{key.pk}/budget/", {"limit": "9", "period": "none"}),
        page.post(f"{URL}{key.pk}/revoke/"),
    ]

    assert [each.status_code for each in answers] == [404] * 4
    assert "Bobs" not in text(page.get(URL))
    assert api_keys.find(secret, now) == key
    assert budgets.budget(key.pk, now).limit == 5


def test_the_page_asks_for_all_keys_at_once(page, alice, now, django_assert_num_queries):
    keys.create(customer=alice, name="One", now=now)
    page.get(URL)  # with the first page the session is noted
    with CaptureQueriesContext(connection) as one:
        page.get(URL)
    for name in ("Two", "Three"):
        keys.create(customer=alice, name=name, now=now)

    with django_assert_num_queries(len(one)):
        page.get(URL)


def test_the_first_call_is_to_addresses_that_are_there(page, settings):
    settings.SITE_URL = "https://vocalis.example.com"

    shown = unescape(page.get(URL).content.decode())

    assert "https://vocalis.example.com/v1/speech" in shown
    assert resolve("/v1/speech")
    assert f'href="{reverse("api_reference")}"' in shown

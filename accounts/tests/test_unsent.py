"""A form sent without a session: after logging in it is on its page again, as it was typed."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.test import Client

from accounts import unsent
from billing.models import AutoRecharge, PaymentMethod
from conftest import PASSWORD
from usage.models import Generation

LOGIN = {"email": "alice@example.com", "password": PASSWORD}
RECHARGE = {"enabled": "on", "threshold_credits": "5", "recharge_to_credits": "ten"}
PROFILE = {
    "first_name": "Alicia",
    "last_name": "Keys",
    "email": "new@example.com",
    "current_password": "topsecret",
}


def log_in(client: Client, answer):
    """Follow to the login, log in there, and follow to where that leads."""
    assert answer.status_code == 302 and answer.url.startswith("/accounts/login/?next=")
    answer = client.post(answer.url, LOGIN)
    return client.get(answer.url)


@pytest.mark.parametrize(
    ("address", "fields", "page", "shown"),
    [
        ("/billing/plans/", {"plan": "creator"}, "/billing/plans/", []),
        ("/billing/plans/cancel/", {}, "/billing/plans/", []),
        (
            "/billing/recharge/",
            RECHARGE,
            "/billing/recharge/",
            ['value="5"', 'value="ten"', "checked"],
        ),
        (
            "/accounts/profile/",
            PROFILE,
            "/accounts/profile/",
            ["Alicia", "Keys", "new@example.com"],
        ),
        ("/studio/", {"text": "A long <text>."}, "/studio/", ["A long &lt;text&gt;."]),
        (
            "/studio/voice/",
            {"name": "Nightingale", "pitch": "77"},
            "/studio/voice/",
            ["Nightingale", "77"],
        ),
    ],
)
def test_after_logging_in_the_form_is_there_as_it_was_typed(
    client, alice, address, fields, page, shown
):
    answer = log_in(client, client.post(address, fields))

    assert answer.request["PATH_INFO"] == page and answer.status_code == 200
    assert unsent.NOTHING_SENT in answer.text
    assert [words for words in shown if words not in answer.text] == []
    again = client.get(page).text
    assert unsent.NOTHING_SENT not in again
    assert [words for words in shown[:1] if words in again] == []
    for model in (PaymentMethod, AutoRecharge, Generation):
        assert not model.objects.exists(), "nothing is done that was not sent again"


def test_a_password_is_never_kept(client, alice):
    client.post("/accounts/profile/", PROFILE)
    assert "topsecret" not in str(dict(client.session))
    assert "Alicia" in str(dict(client.session))

    client.post("/accounts/password/", {"old_password": "topsecret", "new_password": "othersecret"})
    assert "secret" not in str(dict(client.session))


def test_it_is_shown_on_its_own_page_alone_and_not_the_next_day(client, alice, now):
    client.post("/studio/", {"text": "Typed before the session ended."})
    client.force_login(alice.user)
    assert unsent.NOTHING_SENT not in client.get("/billing/").text

    with time_machine.travel(now + timedelta(seconds=unsent.KEPT_SECONDS + 60)):
        assert "Typed before" not in client.get("/studio/").text


def test_strangers_cannot_fill_the_database(client, db, settings):
    client.post("/studio/", {"text": "x" * (unsent.CHARACTERS_MAX + 1)})
    assert not Session.objects.exists()

    for _ in range(40):
        assert Client().post("/studio/", {"text": "x"}).status_code == 302
    assert Session.objects.count() == 30


def test_a_form_of_another_site_is_not_kept_and_gives_nobody_a_new_session(alice):
    """Browsers send no cookies with it, and would take the new one for the old:
    a log-out by any site."""
    stranger = Client(enforce_csrf_checks=True)

    answer = stranger.post("/studio/", {"text": "Buy!"}, headers={"origin": "https://evil.example"})

    assert answer.url == "/accounts/login/?next=/studio/"
    assert "sessionid" not in answer.cookies


def test_a_program_is_told_401_as_ever(client, db):
    answer = client.post("/studio/", {"text": "x"}, headers={"accept": "application/json"})

    assert answer.status_code == 401
    assert not Session.objects.exists()

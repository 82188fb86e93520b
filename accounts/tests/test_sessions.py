"""Where one is logged in: noted, shown, ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from accounts import browsers, sessions
from accounts.models import BrowserSession
from conftest import PASSWORD

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.4 Mobile/15E148 Safari/604.1"
)


def log_in(user_agent=FIREFOX, **more) -> Client:
    client = Client(headers={"User-Agent": user_agent}, **more)
    client.post("/accounts/login/", {"email": "alice@example.com", "password": PASSWORD})
    return client


@pytest.mark.parametrize(
    ("user_agent", "words"),
    [
        (FIREFOX, "Firefox on Windows"),
        (IPHONE, "Safari on iPhone"),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/140.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
            "Edge on macOS",
        ),
        ("curl/8.5.0", "curl"),
        ("Linux", "A browser on Linux"),
        ("", "An unknown browser"),
        ("<script>", "An unknown browser"),
    ],
)
def test_a_browser_is_named_in_words(user_agent, words):
    assert browsers.in_words(user_agent) == words


def test_each_login_is_listed_with_browser_address_and_times(alice, now):
    here = log_in()
    log_in(IPHONE, REMOTE_ADDR="192.0.2.7")

    page = here.get("/accounts/devices/").text
    assert page.index("Firefox on Windows") < page.index("Safari on iPhone")
    assert "192.0.2.7" in page and "This browser" in page
    assert "Logged in in 2 browsers" in here.get("/accounts/profile/").text


def test_the_time_of_the_last_visit_is_written_once_in_some_minutes(alice, now):
    with time_machine.travel(now, tick=False) as clock:
        client = log_in()
        for seconds, expected in ((60, 0), (sessions.SEEN_SECONDS, 300)):
            clock.move_to(now + timedelta(seconds=seconds))
            client.get("/accounts/mail/")
            row = BrowserSession.objects.get()
            assert row.seen_at == now + timedelta(seconds=expected)
    assert row.began_at == now


def test_one_session_is_ended_and_another_ones_is_not(alice, bob):
    here, there = log_in(), log_in(IPHONE)
    row = BrowserSession.objects.get(user_agent=IPHONE)
    stranger = Client()
    stranger.force_login(bob.user)
    stranger.post(f"/accounts/devices/{row.pk}/")
    assert there.get("/accounts/profile/").status_code == 200

    assert here.post(f"/accounts/devices/{row.pk}/").url == "/accounts/devices/"

    assert there.get("/accounts/profile/").status_code == 302
    assert here.get("/accounts/profile/").status_code == 200
    assert "Safari on iPhone" not in here.get("/accounts/devices/").text


def test_all_others_are_ended_at_once(alice):
    here, *others = log_in(), log_in(IPHONE), log_in()

    page = here.post("/accounts/devices/others/", follow=True)

    assert "2 other browsers are logged out." in page.text
    assert [client.get("/accounts/profile/").status_code for client in (here, *others)] == [
        200,
        302,
        302,
    ]


def test_a_new_password_ends_the_others_and_keeps_this_one_in_the_list(alice, now):
    with time_machine.travel(now, tick=False):
        here, other = log_in(), log_in(IPHONE)
    here.post(
        "/accounts/password/", {"old_password": PASSWORD, "new_password": "a staple of horses"}
    )

    row = BrowserSession.objects.get()
    assert (row.session_key, row.began_at) == (here.session.session_key, now)
    assert other.get("/accounts/profile/").status_code == 302


def test_a_session_that_logged_out_is_not_listed(alice):
    here, other = log_in(), log_in(IPHONE)
    other.post("/accounts/logout/")

    assert "Safari" not in here.get("/accounts/devices/").text


def test_a_visitor_is_not_noted(client, db):
    client.get("/accounts/login/")

    assert not BrowserSession.objects.exists()


def test_times_are_of_the_zone_of_the_account(alice, now):
    alice.user.time_zone = "Asia/Kolkata"
    alice.user.save()
    with time_machine.travel(now.replace(hour=20, minute=0), tick=False):
        page = log_in().get("/accounts/devices/").text
        assert "01:30" in page and "Asia/Kolkata" in page

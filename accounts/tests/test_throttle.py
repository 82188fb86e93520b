import os
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client

from accounts import password_reset
from accounts.models import User
from accounts.throttle import address
from conftest import PASSWORD

JSON = {"accept": "application/json"}


@pytest.fixture(autouse=True)
def standing_clock(now):
    """No window ends while a test counts."""
    with time_machine.travel(now, tick=False):
        yield


def log_in(client, email="alice@example.com", password="wrong", **more):
    return client.post("/accounts/login/", {"email": email, "password": password}, **more)


def test_the_eleventh_login_to_one_account_in_ten_minutes_is_refused_even_with_the_right_password(
    client, alice
):
    for _ in range(10):
        assert log_in(client).status_code == 200

    refused = log_in(client, " ALICE@example.com ", PASSWORD)

    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 600
    assert "Too many attempts" in refused.text and "try again in" in refused.text
    assert "/accounts/password/reset/" in refused.text
    assert "no-store" in refused["Cache-Control"]
    assert "_auth_user_id" not in client.session


def test_an_account_is_open_again_when_the_window_is_over(client, alice, now):
    for _ in range(11):
        refused = log_in(client)

    with time_machine.travel(now + timedelta(seconds=int(refused["Retry-After"]) + 2)):
        assert log_in(client, password=PASSWORD).url == "/studio/"


def test_a_refusal_does_not_tell_whether_there_is_such_an_account(client, alice):
    def refusal(email):
        return [log_in(client, email).status_code for _ in range(11)], log_in(
            client, email
        ).context["minutes"] > 0

    assert refusal("alice@example.com") == refusal("nobody@example.com")


def test_another_account_from_the_same_address_is_not_refused(client, alice, bob):
    for _ in range(11):
        log_in(client)

    assert log_in(client, "bob@example.com", PASSWORD).url == "/studio/"


def test_one_address_that_tries_many_accounts_is_refused(alice):
    for number in range(100):
        assert log_in(Client(), f"guess{number}@example.com").status_code == 200

    assert log_in(Client(), "alice@example.com", PASSWORD).status_code == 429
    assert log_in(Client(REMOTE_ADDR="192.0.2.7"), "alice@example.com", PASSWORD).url == "/studio/"


def test_many_other_visitors_do_not_make_a_count_start_anew(client, alice):
    for _ in range(10):
        log_in(client)
    cache.set_many({f"visitor-{number}": 1 for number in range(1_000)})

    assert log_in(client, password=PASSWORD).status_code == 429


@pytest.mark.django_db
def test_signup_is_refused_after_too_many_from_one_address(client):
    for number in range(100):
        client.post("/accounts/signup/", {"email": f"bad{number}"})
    answers = {
        "email": "new@example.com",
        "first_name": "N",
        "last_name": "E",
        "password": PASSWORD,
    }

    assert client.post("/accounts/signup/", answers).status_code == 429
    assert not User.objects.exists()
    assert client.get("/accounts/signup/").status_code == 200, "the page can still be read"


def test_password_reset_is_refused_after_five_requests_for_one_account(client, alice):
    for _ in range(5):
        assert (
            client.post("/accounts/password/reset/", {"email": "alice@example.com"}).status_code
            == 302
        )

    assert (
        client.post("/accounts/password/reset/", {"email": "alice@example.com"}).status_code == 429
    )
    assert password_reset.PasswordReset.objects.count() == 1


def test_the_admins_login_is_that_of_the_site(client, staff):
    answer = client.post(
        "/admin/login/?next=/admin/jobs/",
        {"username": "staff@example.com", "password": PASSWORD},
    )

    assert answer.url == "/accounts/login/?next=/admin/jobs/"
    assert "_auth_user_id" not in client.session


PROFILE = {"first_name": "A", "last_name": "T", "email": "thief@example.com"}
CHANGE = {"new_password": "a staple of horses"}
PAGES = {
    "/accounts/profile/": ("current_password", PROFILE),
    "/accounts/password/": ("old_password", CHANGE),
    "/accounts/login/again/": ("password", {}),
}


@pytest.mark.parametrize("path", PAGES)
def test_whoever_finds_an_open_session_may_not_guess_its_password(client, staff, path):
    client.force_login(staff)
    field, answers = PAGES[path]

    tries = [client.post(path, answers | {field: f"guess {number}"}) for number in range(40)]

    assert [answer.status_code for answer in tries] == [200] * 10 + [429] * 30
    assert 0 < int(tries[-1]["Retry-After"]) <= 600
    assert client.post(path, answers | {field: PASSWORD}).status_code == 429
    staff.refresh_from_db()
    assert staff.check_password(PASSWORD) and staff.email == "staff@example.com"
    assert log_in(Client(), "staff@example.com", PASSWORD).status_code == 302, (
        "others may still log in"
    )


def test_guesses_on_all_pages_are_counted_together_in_all_sessions_of_one_person(staff, alice):
    for number in range(10):
        client = Client(REMOTE_ADDR=f"192.0.2.{number}")
        client.force_login(staff)
        path = list(PAGES)[number % 3]
        field, answers = PAGES[path]
        assert client.post(path, answers | {field: "wrong"}).status_code == 200
    for path, (field, answers) in PAGES.items():
        assert client.post(path, answers | {field: PASSWORD}).status_code == 429

    client.force_login(alice.user)
    assert (
        client.post("/accounts/password/", CHANGE | {"old_password": PASSWORD}).status_code == 302
    )


def test_a_profile_saved_without_a_password_is_no_try(client, alice):
    client.force_login(alice.user)

    for number in range(20):
        answers = {
            "first_name": f"A{number}",
            "last_name": "T",
            "email": "alice@example.com",
            "current_password": "",
        }
        assert client.post("/accounts/profile/", answers).status_code == 302


def test_a_program_is_refused_in_json(client, alice):
    for _ in range(11):
        refused = log_in(client, headers=JSON)

    assert (refused.status_code, refused.json()) == (
        429,
        {"error": "Too many attempts. Wait and try again."},
    )


@pytest.mark.parametrize(
    ("proxies", "forwarded", "peer", "expected"),
    [
        (0, "203.0.113.9", "192.0.2.1", "192.0.2.1"),  # anybody can write that header
        (1, "203.0.113.9", "10.0.0.1", "203.0.113.9"),
        # The first is the visitor's invention.
        (1, "1.1.1.1, 203.0.113.9", "10.0.0.1", "203.0.113.9"),
        (2, "1.1.1.1, 203.0.113.9, 10.0.0.2", "10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "192.0.2.1", "192.0.2.1"),  # came in past the outer proxy
        (1, "", "10.0.0.1", "unknown"),
        (1, "<script>", "10.0.0.1", "unknown"),
        (0, "", "", "unknown"),
        (0, "", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (0, "", "::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_address_is_what_our_own_proxies_say(rf, settings, proxies, forwarded, peer, expected):
    settings.TRUSTED_PROXIES = proxies

    assert (
        address(rf.post("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=peer)) == expected
    )


def redis_cache(url):
    backend = "django.core.cache.backends.redis.RedisCache"
    options = {"socket_connect_timeout": 1, "socket_timeout": 1}
    return {
        "default": {
            "BACKEND": backend,
            "LOCATION": url,
            "KEY_PREFIX": uuid.uuid4().hex,
            "OPTIONS": options,
        }
    }


def test_people_can_log_in_while_redis_is_down(client, alice, settings, caplog):
    settings.CACHES = redis_cache("redis://127.0.0.1:1/0")

    for _ in range(11):
        assert log_in(client).status_code == 200

    assert log_in(client, password=PASSWORD).url == "/studio/"
    assert "login is not throttled" in caplog.text


if os.environ.get("TEST_REDIS_URL"):

    def test_redis_counts_for_all_processes(client, alice, settings):
        settings.CACHES = redis_cache(os.environ["TEST_REDIS_URL"])

        assert [log_in(client).status_code for _ in range(11)] == [200] * 10 + [429]

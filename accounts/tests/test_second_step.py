"""Codes of an app and recovery codes: each once, near to now, and asked for after the password."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp
import pytest
import time_machine
from django.db import connection
from django.test import Client

from accounts import second_step
from accounts.models import AuthenticatorApp, RecoveryCode, User
from accounts.recent import RECENT_SECONDS
from conftest import PASSWORD
from mails.models import OutboundMail

LOGIN, SECOND = "/accounts/login/", "/accounts/login/second/"


def code_at(secret, now, steps=0) -> str:
    return pyotp.TOTP(secret).at(now + timedelta(seconds=30 * steps))


def told() -> list[str]:
    return list(OutboundMail.objects.order_by("created_at").values_list("kind", flat=True))


@pytest.fixture
def now(now):
    """Early in a step, on a clock that stands."""
    at = now.replace(second=5)
    with time_machine.travel(at, tick=False):
        yield at


@pytest.fixture
def app(alice, now):
    """The secret of alice's app, used for the last time an hour ago, and recovery codes."""
    secret = second_step.new_secret()
    before = now - timedelta(hours=1)
    codes = second_step.add_app(
        user=alice.user, secret=secret, code=code_at(secret, before), now=before
    )
    return secret, codes


def begin(client, **more):
    return client.post(LOGIN, {"email": "alice@example.com", "password": PASSWORD, **more})


def is_in(client) -> bool:
    return "_auth_user_id" in client.session


def test_after_the_password_a_code_is_asked_for_and_leads_to_the_page_asked_for(client, app, now):
    secret, _ = app

    assert begin(client, next="/usage/").url == SECOND
    assert not is_in(client)
    assert client.get("/studio/").status_code == 302, "the password alone opens nothing"
    assert "Your password is right" in client.get(SECOND).text

    assert client.post(SECOND, {"code": code_at(secret, now)}).url == "/usage/"
    assert is_in(client)


@pytest.mark.parametrize(("steps", "expected"), [(-2, False), (-1, True), (1, True), (2, False)])
def test_a_clock_may_differ_by_one_step(client, app, now, steps, expected):
    begin(client)
    client.post(SECOND, {"code": code_at(app[0], now, steps)})

    assert is_in(client) is expected


def test_a_code_is_taken_once_and_none_before_it_any_more(app, alice, now):
    code = code_at(app[0], now)
    for typed, expected in ((f" {code[:3]} {code[3:]} ", True), (code, False)):
        browser = Client()
        begin(browser)
        browser.post(SECOND, {"code": typed})
        assert is_in(browser) is expected

    browser = Client()
    begin(browser)
    browser.post(SECOND, {"code": code_at(app[0], now, -1)})
    assert not is_in(browser)


@pytest.mark.django_db(transaction=True)
def test_of_two_browsers_with_the_same_code_one_gets_in(app, alice, now):
    code = code_at(app[0], now)

    def use(_):
        try:
            second_step.use(user=alice.user, code=code, now=now)
        except second_step.CodeRefused:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(use, range(4))) == 1


def test_a_recovery_code_lets_in_once_and_is_told(client, app, alice):
    code = app[1][3]
    assert re.fullmatch(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", code)
    assert not RecoveryCode.objects.filter(code_sha256__contains=code[:4]).exists()

    begin(client)
    page = client.post(SECOND, {"code": code.upper().replace("-", " ")}, follow=True)
    assert is_in(client) and "9 are left" in page.text
    assert OutboundMail.objects.get(kind="account.recovery_code_used").data == {"left": 9}

    other = Client()
    begin(other)
    refused = other.post(SECOND, {"code": code})
    assert not is_in(other) and "not right, or it was used already" in refused.text


def test_a_missing_and_a_wrong_code_are_told_apart(client, app):
    begin(client)

    assert "Enter the code" in client.post(SECOND, {"code": ""}).text
    assert "not right" in client.post(SECOND, {"code": "000000"}).text


def test_codes_are_counted_in_all_browsers_of_one_account(app, now):
    for _ in range(2):
        browser = Client()
        begin(browser)
        answers = [browser.post(SECOND, {"code": "000000"}).status_code for _ in range(6)]
    assert answers == [200] * 4 + [429] * 2
    assert browser.post(SECOND, {"code": code_at(app[0], now)}).status_code == 429
    assert not is_in(browser)


def test_the_second_step_without_the_first_leads_to_the_first(client, app, now):
    assert client.get(SECOND).url == LOGIN
    assert client.post(SECOND, {"code": code_at(app[0], now)}).url == LOGIN


def test_the_first_step_ends_after_minutes_with_a_new_password_or_a_closed_account(app, alice, now):
    def begun():
        client = Client()
        begin(client)
        assert client.get(SECOND).status_code == 200
        return client

    late, changed, closed = begun(), begun(), begun()
    with time_machine.travel(now + timedelta(seconds=601), tick=False):
        assert late.get(SECOND).url == LOGIN
    User.objects.update(is_active=False)
    assert closed.get(SECOND).url == LOGIN
    alice.user.set_password("a staple of horses")
    alice.user.save()
    assert changed.get(SECOND).url == LOGIN


def test_the_admin_cannot_be_entered_with_the_password_alone(client, staff, now):
    secret = second_step.new_secret()
    before = now - timedelta(hours=1)
    second_step.add_app(user=staff, secret=secret, code=code_at(secret, before), now=before)

    step = client.get("/admin/jobs/heartbeat/", follow=True)
    assert step.redirect_chain[-1][0].startswith(LOGIN)
    answers = {"email": "staff@example.com", "password": PASSWORD, "username": "staff@example.com"}
    client.post("/admin/login/", answers)
    assert not is_in(client)
    client.post(LOGIN, answers | {"next": "/admin/jobs/heartbeat/"})
    assert client.get("/admin/").status_code == 302

    assert client.post(SECOND, {"code": code_at(secret, now)}).url == "/admin/jobs/heartbeat/"
    assert client.get("/admin/").status_code == 200


def test_a_new_password_by_mail_does_not_end_the_second_step(client, app, alice):
    alice.user.set_password(PASSWORD)
    alice.user.save()

    assert begin(client).url == SECOND


# --- Setting up


def test_an_app_is_set_up_by_its_code_and_codes_are_shown_once(client, alice, now):
    client.post(LOGIN, {"email": "alice@example.com", "password": PASSWORD})
    page = client.get("/accounts/security/app/")
    secret = re.search(r'secret">([A-Z2-7 ]+)<', page.text)[1].replace(" ", "")
    assert 'src="data:image/svg+xml' in page.text and "no-store" in page["Cache-Control"]
    assert secret in client.get("/accounts/security/app/").text.replace(" ", "")  # the same yet

    wrong = client.post("/accounts/security/app/", {"code": "000000"})
    assert "not the code" in wrong.text and not AuthenticatorApp.objects.exists()
    done = client.post("/accounts/security/app/", {"code": code_at(secret, now)})

    codes = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", done.text)
    assert len(set(codes)) == 10 == RecoveryCode.objects.count()
    assert secret not in AuthenticatorApp.objects.get().secret
    security = client.get("/accounts/security/").text
    assert "Remove the app" in security and "10 left" in security and codes[0] not in security
    assert told() == ["account.factor_added"]
    assert client.get("/accounts/security/app/").url == "/accounts/security/"
    other = Client()
    begin(other)
    other.post(SECOND, {"code": code_at(secret, now)})
    assert not is_in(other), "the code that set it up is used"


def test_changes_ask_for_the_password_unless_it_was_just_given(client, app, alice, now):
    again = "/accounts/login/again/?next=/accounts/security/"
    client.force_login(alice.user)
    for path in ("app/remove/", "codes/", "passkeys/1/remove/", "passkeys/"):
        assert client.post(f"/accounts/security/{path}").url.replace("%2F", "/") == again
    assert client.get("/accounts/security/app/").url.endswith("security%2Fapp%2F")
    json = {"accept": "application/json"}
    assert client.post("/accounts/security/passkeys/options/", headers=json).status_code == 403
    assert AuthenticatorApp.objects.exists()

    assert "Enter your current password." in client.post(again).text
    assert "not your current password" in client.post(again, {"password": "wrong"}).text
    assert client.post(again, {"password": PASSWORD}).url == "/accounts/security/"
    assert client.post("/accounts/security/app/remove/").url == "/accounts/security/"
    assert not AuthenticatorApp.objects.exists() and not RecoveryCode.objects.exists()
    assert told()[-1] == "account.factor_removed"
    removed = OutboundMail.objects.get(kind="account.factor_removed")
    assert removed.data == {"what": "app", "is_last": True}
    assert begin(Client()).url == "/studio/"

    with time_machine.travel(now + timedelta(seconds=RECENT_SECONDS + 1), tick=False):
        assert client.get("/accounts/security/app/").url.startswith("/accounts/login/again/")


def test_new_codes_end_the_former_ones(client, app, alice):
    begin(client)
    client.post(SECOND, {"code": app[1][0]})
    page = client.post("/accounts/security/codes/")

    new = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", page.text)
    assert len(new) == 10 and not set(new) & set(app[1])
    for code, expected in ((app[1][1], False), (new[0], True)):
        other = Client()
        begin(other)
        other.post(SECOND, {"code": code})
        assert is_in(other) is expected


def test_without_a_second_step_there_are_no_codes_to_make(client, alice):
    begin(client)

    assert client.post("/accounts/security/codes/").url == "/accounts/security/"
    assert not RecoveryCode.objects.exists()


def test_a_second_app_is_refused(app, alice, now):
    secret = second_step.new_secret()

    with pytest.raises(second_step.AlreadyThere):
        second_step.add_app(user=alice.user, secret=secret, code=code_at(secret, now), now=now)


def test_a_new_secret_key_leaves_the_recovery_codes(app, alice, now, settings):
    former = settings.SECRET_KEY
    settings.SECRET_KEY = "another"
    with pytest.raises(second_step.CodeRefused):
        second_step.use(user=alice.user, code=code_at(app[0], now), now=now)
    assert second_step.use(user=alice.user, code=app[1][0], now=now) is second_step.By.RECOVERY

    settings.SECRET_KEY_FALLBACKS = [former]
    by = second_step.use(user=alice.user, code=code_at(app[0], now), now=now)
    assert by is second_step.By.APP

"""Confirming an address, by a link that only its owner has."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.test import Client

from accounts import confirmation, profile, signup
from accounts.models import User
from conftest import PASSWORD, make_customer
from jobs.worker import Worker
from mails import sending
from mails.models import OutboundMail


@pytest.fixture
def ada(db, now):
    return signup.register(
        email="ada@example.com",
        password=PASSWORD,
        first_name="Zxqv",
        last_name="Lovelace",
        now=now,
    )


def mails_sent(now) -> list:
    Worker([sending.SEND], clock=lambda: now).drain()
    return mail.outbox


def link_in(message) -> str:
    return re.search(r"http://localhost:8000(/accounts/confirm/\S+)", message.body)[1]


def test_the_first_mail_is_the_link_and_says_nothing_of_the_senders(ada, now):
    [message] = mails_sent(now)

    assert message.subject == "Confirm your e-mail address"
    assert "Zxqv" not in message.body + message.alternatives[0][0]


def test_the_link_confirms_once_without_a_login_and_a_welcome_follows(ada, now):
    path = link_in(mails_sent(now)[0])
    assert Client().get(path).status_code == 200
    assert User.objects.get().email_confirmed_at is None

    for _ in range(2):
        assert Client().post(path).url == "/accounts/login/"

    assert User.objects.get().email_confirmed_at is not None
    welcomes = OutboundMail.objects.filter(kind="account.welcome")
    assert welcomes.count() == 1
    later = now + timedelta(minutes=1)
    with time_machine.travel(later):
        assert mails_sent(later)[-1].body.startswith("Hello Zxqv,")


def test_a_link_ends_after_its_days_and_one_that_is_not_ours_never_worked(ada, now, client):
    path = link_in(mails_sent(now)[0])

    with time_machine.travel(now + timedelta(days=confirmation.DAYS, minutes=1)):
        assert client.post(path).status_code == 404
    assert client.post(path[:-4] + "abc/").status_code == 404
    User.objects.update(is_active=False)
    assert client.post(path).status_code == 404
    assert User.objects.get().email_confirmed_at is None


def test_a_link_to_an_address_that_is_not_asked_for_any_more_does_nothing(ada, now, client):
    names = {"first_name": "A", "last_name": "L"}
    for email in ("first@example.com", "second@example.com"):
        profile.change(user=ada.user, email=email, now=now, **names)
    first = next(link_in(one) for one in mails_sent(now) if one.to == ["first@example.com"])

    assert client.post(first).status_code == 404
    assert User.objects.get().email == "ada@example.com"
    client.force_login(ada.user)
    client.post("/accounts/confirm/keep/")
    assert User.objects.get().new_email == ""


def test_an_address_that_another_account_got_meanwhile_is_refused(ada, now, client):
    profile.change(user=ada.user, email="new@example.com", now=now, first_name="A", last_name="L")
    path = next(link_in(one) for one in mails_sent(now) if one.to == ["new@example.com"])
    make_customer("new@example.com", "N")

    answer = client.post(path)

    assert answer.status_code == 409 and "already an account" in answer.text
    assert User.objects.get(pk=ada.user_id).email == "ada@example.com"


def test_the_link_is_sent_again_once_a_minute(ada, now, client):
    client.force_login(ada.user)
    with time_machine.travel(now, tick=False) as clock:
        for _ in range(2):
            client.post("/accounts/confirm/")
        assert OutboundMail.objects.count() == 1  # that of the sign-up, in this minute
        clock.shift(61)
        client.post("/accounts/confirm/")

    assert OutboundMail.objects.count() == 2


def test_who_asks_very_often_is_told_to_wait(ada, now, client):
    client.force_login(ada.user)
    with time_machine.travel(now, tick=False):
        answers = [client.post("/accounts/confirm/", follow=True) for _ in range(6)]

    assert ["several links already" in answer.text for answer in answers] == [False] * 5 + [True]


def test_after_the_confirmation_there_is_nothing_to_send(ada, now, client):
    User.objects.update(email_confirmed_at=now)
    client.force_login(ada.user)

    assert "Your address is confirmed." in client.post("/accounts/confirm/", follow=True).text
    assert OutboundMail.objects.count() == 1


def test_a_changed_password_is_told(ada, now, client):
    client.force_login(ada.user)
    new = "a staple of horses"
    client.post(
        "/accounts/password/",
        {"old_password": PASSWORD, "new_password": new},
    )

    assert OutboundMail.objects.filter(kind="account.password_changed").count() == 1


def test_a_password_set_by_staff_is_told(ada, staff, client):
    client.force_login(staff)
    new = "a staple of horses"
    answers = {"usable_password": "true", "password1": new, "password2": new}

    assert client.post(f"/admin/accounts/user/{ada.user_id}/password/", answers).status_code == 302

    assert OutboundMail.objects.get(kind="account.password_changed").user == ada.user


def test_which_mails_one_wants_is_kept(ada, client):
    client.force_login(ada.user)
    page = client.get("/accounts/mail/")
    assert page.text.count("checked") == 5

    answers = {"wanted": ["balance.low"], "low_balance_credits": "1,500"}
    assert client.post("/accounts/mail/", answers).status_code == 302
    page = client.get("/accounts/mail/")

    assert page.text.count("checked") == 1 and 'value="1,500"' in page.text
    bad = client.post("/accounts/mail/", {"low_balance_credits": "-1"})
    assert bad.status_code == 422
    assert client.post("/accounts/mail/", {"wanted": ["plan.ended"]}).status_code == 422

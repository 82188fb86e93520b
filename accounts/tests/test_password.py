import re
from datetime import timedelta

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import password_reset
from accounts.models import PasswordReset, User
from conftest import PASSWORD
from jobs.worker import Worker
from mails import sending
from mails.models import OutboundMail

JOBS = [password_reset.WRITE, sending.SEND]
NEW = "a staple of horses"
ASKED = "If there is an account for this address, we will send it an e-mail with a link."


def ask(client, email):
    return client.post("/accounts/password/reset/", {"email": email}, follow=True)


def send_due_mails():
    Worker(JOBS).drain()
    return mail.outbox


def link_in(message) -> str:
    return re.search(r"http://localhost:8000(/\S+)", message.body)[1]


def test_reset_mails_a_link_that_sets_a_new_password_once(client, alice):
    ask(client, "Alice@EXAMPLE.com")
    [message] = send_due_mails()
    assert message.to == ["alice@example.com"]
    assert message.subject == "Choose a new password for Vocalis"

    form = client.get(link_in(message), follow=True)
    answer = client.post(form.request["PATH_INFO"], {"new_password": NEW}, follow=True)

    assert "Your new password is set." in answer.text
    assert User.objects.get().check_password(NEW)
    assert "This link no longer works" in client.get(link_in(message), follow=True).text


def test_reset_answers_the_same_whether_there_is_an_account_or_not(client, alice):
    known, unknown = ask(client, "alice@example.com"), ask(client, "nobody@example.com")

    assert ASKED in known.text
    assert ASKED in unknown.text
    assert known.redirect_chain == unknown.redirect_chain
    assert [message.to for message in send_due_mails()] == [["alice@example.com"]]
    assert not PasswordReset.objects.exclude(due_at=None).exists()


@pytest.mark.parametrize("asked_before_seconds", [None, 30, 90])
def test_reset_does_the_same_work_whether_there_is_an_account_or_not(
    alice, now, asked_before_seconds
):
    def statements(email):
        if asked_before_seconds is not None:
            password_reset.ask(email=email, now=now - timedelta(seconds=asked_before_seconds))
            send_due_mails()
        with CaptureQueriesContext(connection) as done:
            password_reset.ask(email=email, now=now)
        return [query["sql"].split()[0] for query in done]

    assert statements("alice@example.com") == statements("nobody@example.com")


def test_reset_sends_no_mail_to_an_inactive_user(client, alice):
    User.objects.update(is_active=False)

    assert ASKED in ask(client, "alice@example.com").text
    assert send_due_mails() == []


def test_reset_mails_at_most_once_a_minute_however_often_it_is_asked(alice, now):
    for seconds in (0, 1, 59):
        password_reset.ask(email="alice@example.com", now=now + timedelta(seconds=seconds))
        Worker(JOBS, clock=lambda at=seconds: now + timedelta(seconds=at)).drain()
    assert len(mail.outbox) == 1

    password_reset.ask(email="alice@example.com", now=now + timedelta(seconds=60))
    Worker(JOBS, clock=lambda: now + timedelta(seconds=60)).drain()
    assert len(mail.outbox) == 2
    assert PasswordReset.objects.get().written_at == now + timedelta(seconds=60)


def test_reset_waits_for_a_mail_server_that_is_down(client, alice, settings, now):
    working = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # nobody listens there
    assert ASKED in ask(client, "alice@example.com").text
    Worker(JOBS).drain()
    row = OutboundMail.objects.get()
    assert row.last_error.startswith("Unavailable: no mail server")
    assert (row.attempts, row.dead_at) == (1, None)

    settings.EMAIL_BACKEND = working
    Worker(JOBS, clock=lambda: row.due_at).drain()
    assert [message.to for message in mail.outbox] == [["alice@example.com"]]
    assert OutboundMail.objects.get().due_at is None


def test_reset_link_ends_after_its_days_and_with_a_new_address(client, alice, now):
    ask(client, "alice@example.com")
    [message] = send_due_mails()

    with time_machine.travel(now + timedelta(days=4)):
        assert "This link no longer works" in client.get(link_in(message), follow=True).text
    User.objects.update(email="new@example.com")
    assert "This link no longer works" in client.get(link_in(message), follow=True).text


def test_change_needs_the_old_password_and_keeps_only_this_session(client, alice):
    client.force_login(alice.user)
    answers = {"old_password": "wrong", "new_password": NEW}
    assert "old_password" in client.post("/accounts/password/", answers).context["form"].errors

    assert (
        client.post("/accounts/password/", answers | {"old_password": PASSWORD}).url
        == "/accounts/security/"
    )

    assert User.objects.get().check_password(NEW)
    assert client.get("/accounts/profile/").status_code == 200


@pytest.mark.parametrize("path", ["/accounts/password/", "/accounts/profile/"])
@pytest.mark.django_db
def test_password_and_profile_ask_to_log_in_first(client, path):
    assert client.get(path).url == f"/accounts/login/?next={path}"


def test_a_missing_and_a_wrong_current_password_are_told_apart(client, alice):
    client.force_login(alice.user)

    def error(old):
        answers = {"old_password": old, "new_password": NEW}
        return client.post("/accounts/password/", answers).context["form"].errors["old_password"]

    assert error("") == ["Enter your current password."]
    assert error("wrong") == ["This is not your current password."]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("", "Enter a new password."),
        ("short7!", "at least 8 characters"),
        ("password1", "too common"),
        ("82736451902", "entirely numeric"),
        ("alice@example.com", "too similar to the e-mail address"),
    ],
)
def test_a_refused_password_is_told_what_is_wrong_with_it(client, alice, new, words):
    client.force_login(alice.user)

    answers = {"old_password": PASSWORD, "new_password": new}
    [error] = client.post("/accounts/password/", answers).context["form"].errors["new_password"]

    assert words in error


def test_password_pages_are_one_field_for_managers_of_passwords(client, alice):
    client.force_login(alice.user)
    page = client.get("/accounts/password/").text

    for words in ("username", "current-password", "new-password"):
        assert page.count(f'autocomplete="{words}"') == 1
    assert "At least 8 characters, and not easy to guess." in page
    assert "can’t" not in page and "<li>Your password" not in page
    assert client.get("/.well-known/change-password").url == "/accounts/password/"

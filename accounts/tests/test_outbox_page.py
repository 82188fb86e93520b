"""The mails of a site under development, each for its own user."""

from __future__ import annotations

import pytest

from accounts import password_reset
from jobs.worker import Worker
from mails import kept, sending


@pytest.fixture
def kept_here(settings, tmp_path):
    settings.DEBUG = True
    settings.EMAIL_BACKEND, settings.OUTBOX_DIR = kept.BACKEND, str(tmp_path / "outbox")


@pytest.fixture
def mailed(kept_here, alice, bob, now):
    """A mail with a secret link to each of alice and bob."""
    for customer in (alice, bob):
        password_reset.ask(email=customer.user.email, now=now)
    Worker([password_reset.WRITE, sending.SEND], clock=lambda: now).drain()


def frames(page) -> list[str]:
    return [line.split('"')[0] for line in page.text.split('src="')[1:] if "/outbox/" in line[:9]]


def test_people_see_their_own_mails_and_staff_all(client, alice, bob, staff, mailed):
    client.force_login(alice.user)
    page = client.get("/outbox/")
    assert "alice@example.com" in page.text and "bob@example.com" not in page.text
    [mine] = frames(page)

    client.force_login(bob.user)
    assert client.get(mine).status_code == 404

    client.force_login(staff)
    assert len(frames(client.get("/outbox/"))) == 2


def test_the_link_of_the_mail_works(client, alice, mailed):
    client.force_login(alice.user)
    page = client.get("/outbox/").text
    path = page.split('href="http://localhost:8000')[1].split('"')[0]
    client.logout()

    assert "new password" in client.get(path, follow=True).text.lower()


def test_a_mail_is_shown_in_a_frame_that_runs_and_loads_nothing(client, alice, mailed):
    client.force_login(alice.user)
    [mine] = frames(client.get("/outbox/"))

    answer = client.get(mine)

    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "'self'" in policy
    assert "script" not in policy and "allow-same-origin" not in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert '<base target="_top">' in answer.text


@pytest.mark.django_db
def test_strangers_log_in_first(client, kept_here):
    assert client.get("/outbox/").url == "/accounts/login/?next=/outbox/"


@pytest.mark.parametrize(
    ("debug", "backend"),
    [(False, kept.BACKEND), (True, "django.core.mail.backends.smtp.EmailBackend")],
)
def test_there_is_none_in_production_nor_when_mails_go_out(
    client, staff, mailed, settings, debug, backend
):
    settings.DEBUG, settings.EMAIL_BACKEND = debug, backend
    client.force_login(staff)

    assert client.get("/outbox/").status_code == 404
    assert "/outbox/" not in client.get("/").text


def test_every_page_leads_there_under_development(client, alice, kept_here):
    client.force_login(alice.user)

    assert 'href="/outbox/"' in client.get("/accounts/profile/").text
    assert "No mail yet" in client.get("/outbox/").text


@pytest.mark.parametrize("name", ["../../etc/passwd", "x", "..%2f..%2fsettings", "*"])
def test_only_names_of_mails_are_found(client, staff, mailed, name):
    client.force_login(staff)

    assert client.get(f"/outbox/{name}/").status_code == 404

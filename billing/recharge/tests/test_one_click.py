from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from django.test import Client

from billing.models import AutoRecharge
from billing.recharge import one_click
from billing.tests.money_stage import save
from mails import render
from mails.models import OutboundMail

pytestmark = pytest.mark.usefixtures("card")


def path(customer) -> str:
    return urlsplit(one_click.off_url(customer.user_id)).path


@pytest.fixture
def mail_program():
    """Without a session, and strict about tokens as the site is."""
    return Client(enforce_csrf_checks=True)


def test_the_link_shows_a_page_with_one_button_and_changes_nothing(mail_program, alice, now):
    save(alice, now)

    answer = mail_program.get(path(alice))

    html = answer.content.decode()
    assert answer.status_code == 200
    assert len(re.findall(r"<button", re.search(r"<main.*</main>", html, re.S)[0])) == 1
    assert AutoRecharge.objects.get().enabled


def test_the_button_switches_off_without_a_login_and_works_twice(mail_program, alice, now):
    save(alice, now)
    for _ in range(2):
        answer = mail_program.post(path(alice), {"List-Unsubscribe": "One-Click"})
        assert "Auto-recharge is off." in answer.content.decode()

    row = AutoRecharge.objects.get()
    assert (row.enabled, row.failure, row.settings_version) == (False, "", 2)


def test_it_is_the_customers_own_and_of_nobody_else(mail_program, alice, bob, now):
    save(alice, now)
    save(bob, now)

    mail_program.post(path(alice))

    assert not AutoRecharge.objects.get(customer=alice).enabled
    assert AutoRecharge.objects.get(customer=bob).enabled


@pytest.mark.parametrize(
    "change", [lambda url: url[:-5] + "/", lambda url: url.replace(":", "", 1)]
)
def test_a_link_that_was_changed_is_refused(mail_program, alice, now, change):
    save(alice, now)

    answer = mail_program.post(change(path(alice)))

    assert answer.status_code == 404
    assert "does not work any more" in answer.content.decode()
    assert AutoRecharge.objects.get().enabled


def test_without_settings_it_says_that_it_is_off(mail_program, alice):
    assert "Auto-recharge is off." in mail_program.post(path(alice)).content.decode()


@pytest.mark.parametrize("kind", ["recharge.done", "recharge.limit_near", "recharge.limit_reached"])
def test_mails_about_recharges_carry_the_link(alice, kind):
    data = {"credits": 20_000, "amount_cents": 500, "month_cents": 500, "limit_cents": 600}
    data |= {"recharge": "r", "resets_at": "2026-12-01T00:00:00+00:00"}
    row = OutboundMail(user=alice.user, kind=kind, data=data)

    link = re.search(r"/billing/recharge/off/[^\s>]+", render.render(row, to=alice.user.email).text)
    assert link and Client().get(link[0]).status_code == 200

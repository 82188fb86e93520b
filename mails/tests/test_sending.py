"""Mails as rows: written once, sent once, and not at all to those who do not want them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.db import transaction

from accounts.models import User
from jobs.errors import Unavailable
from jobs.worker import Worker
from mails import outbox, preferences, sending, write
from mails.models import OutboundMail
from notifications import emit

from .samples import SAMPLES


def send(now):
    Worker([sending.SEND], clock=lambda: now).drain()


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_every_kind_is_sent_as_text_and_html_once(kind, alice, now):
    for _ in range(2):
        write(alice.user_id, kind, "key", SAMPLES[kind], now, to="alice@example.com")
    send(now)
    write(alice.user_id, kind, "key", SAMPLES[kind], now)
    send(now)

    [message] = mail.outbox
    row = OutboundMail.objects.get()
    assert (row.state, row.sent_to, row.sent_at) == ("sent", "alice@example.com", now)
    assert message.to == ["alice@example.com"]
    [(html, kind_of_part)] = message.alternatives
    assert kind_of_part == "text/html" and html.startswith("<!doctype html>")
    assert message.extra_headers["Message-ID"] == f"<{row.pk}@localhost>"


def test_what_is_emitted_is_mailed_if_it_commits(alice, bob, now):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        emit(alice.pk, "plan.ended", "1", SAMPLES["plan.ended"], now)
        1 / 0  # noqa: B018
    for key in ("1", "1", "2"):
        emit(alice.pk, "plan.ended", key, SAMPLES["plan.ended"], now)
    emit(bob.pk, "plan.ended", "1", SAMPLES["plan.ended"], now)
    send(now)

    assert [message.to for message in mail.outbox].count(["alice@example.com"]) == 2
    assert [message.to for message in mail.outbox].count(["bob@example.com"]) == 1


@pytest.mark.parametrize(
    "kind, key", [("no.such", "k"), ("balance.low", ""), ("balance.low", "k" * 101)]
)
def test_a_mail_of_no_kind_or_without_a_key_is_an_error(kind, key, alice, now):
    with pytest.raises(ValueError):
        write(alice.user_id, kind, key, {}, now)


def test_a_mail_goes_to_the_address_of_its_moment_unless_it_names_one(alice, now):
    write(alice.user_id, "plan.ended", "a", SAMPLES["plan.ended"], now)
    write(alice.user_id, "account.address_changed", "b", {}, now, to="former@example.com")
    User.objects.filter(pk=alice.user_id).update(email="new@example.com")
    send(now)

    assert sorted(message.to[0] for message in mail.outbox) == [
        "former@example.com",
        "new@example.com",
    ]


def test_nothing_is_sent_to_a_closed_account(alice, now):
    write(alice.user_id, "plan.ended", "a", SAMPLES["plan.ended"], now)
    User.objects.update(is_active=False)
    send(now)

    row = OutboundMail.objects.get()
    assert (row.state, row.skipped_because) == ("skipped", sending.CLOSED)
    assert not mail.outbox and row.due_at is None


def test_what_is_over_is_not_told_any_more(alice, now):
    at = (now + timedelta(hours=1)).isoformat()
    for key, later in (("a", 0), ("b", 2)):
        data = SAMPLES["plan.renews_soon"] | {"at": at}
        write(alice.user_id, "plan.renews_soon", key, data, now + timedelta(hours=later))
        send(now + timedelta(hours=later))

    states = OutboundMail.objects.order_by("key").values_list("state", flat=True)
    assert list(states) == ["sent", "skipped"]


def test_a_kind_that_is_turned_off_is_not_sent_and_others_are(alice, bob, now):
    preferences.turn_off(alice.user_id, "balance.low")
    for customer in (alice, bob):
        for kind in ("balance.low", "plan.ended"):
            write(customer.user_id, kind, "k", SAMPLES[kind], now)
    send(now)

    assert OutboundMail.objects.get(state="skipped").user == alice.user
    assert len(mail.outbox) == 3


def test_what_concerns_money_cannot_be_turned_off(alice, now):
    preferences.change(alice.user_id, wanted=[], low_balance_credits=None)
    preferences.of(alice.user_id).unwanted.append("plan.ended")
    write(alice.user_id, "plan.ended", "k", SAMPLES["plan.ended"], now)
    send(now)

    assert len(mail.outbox) == 1


def test_a_worker_that_dies_after_sending_sends_the_same_mail_again(alice, now, monkeypatch):
    write(alice.user_id, "plan.ended", "k", SAMPLES["plan.ended"], now)
    with monkeypatch.context() as patch:
        patch.setattr(sending, "_store", lambda *args, **more: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            send(now)
    send(now + timedelta(minutes=5))

    first, second = mail.outbox
    assert first.extra_headers["Message-ID"] == second.extra_headers["Message-ID"]
    assert OutboundMail.objects.get().state == "sent"


def test_a_mail_can_be_sent_again(alice, now):
    write(alice.user_id, "plan.ended", "k", SAMPLES["plan.ended"], now)
    send(now)
    outbox.send_again(OutboundMail.objects.get(), now)
    send(now)

    assert len(mail.outbox) == 2


def test_data_that_is_missing_is_seen_and_stops_no_other_mail(alice, now):
    write(alice.user_id, "plan.ended", "bad", {}, now - timedelta(seconds=1))
    write(alice.user_id, "plan.ended", "good", SAMPLES["plan.ended"], now)
    send(now)

    bad = OutboundMail.objects.get(key="bad")
    assert bad.state == "pending" and "lacks plan, reason" in bad.last_error
    assert len(mail.outbox) == 1


def test_optional_mails_can_be_turned_off_with_one_click(alice, now, client):
    write(alice.user_id, "balance.low", "k", SAMPLES["balance.low"], now)
    send(now)
    headers = mail.outbox[0].extra_headers
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = headers["List-Unsubscribe"].strip("<>").removeprefix("http://localhost:8000")

    page = client.get(path)
    assert "Your credits run low" in page.text
    assert preferences.is_wanted(alice.user_id, "balance.low")  # a program only looked
    answer = client.post(path, {"List-Unsubscribe": "One-Click"})

    assert answer.status_code == 200
    assert not preferences.is_wanted(alice.user_id, "balance.low")
    assert preferences.is_wanted(alice.user_id, "balance.depleted")
    assert client.post(path[:-3] + "xx/").status_code == 404


def test_unavailable_mail_servers_are_tried_again(alice, now, monkeypatch):
    def away(**mail):
        raise Unavailable("no mail server")

    monkeypatch.setattr(sending.transport, "send", away)
    write(alice.user_id, "plan.ended", "k", SAMPLES["plan.ended"], now)
    send(now)

    row = OutboundMail.objects.get()
    assert (row.state, row.attempts, row.dead_at) == ("pending", 1, None)

"""What people see and what is left behind when something we stand on is away:
Metronome, Redis, the database, the disk."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import time
from collections import Counter
from datetime import timedelta

import pytest
import time_machine
from django.core.files.storage import FileSystemStorage
from django.db import OperationalError, connection
from django.test import Client

from accounts.models import Customer
from billing import ledger, metronome
from billing.models import AutoRecharge, Recharge, Subscription, Wallet
from billing.pages import delays
from billing.tests.stripe_stage import save_card
from conftest import PASSWORD, fund
from jobs.overview import dead_rows
from usage.models import Generation, UsageEvent
from usage.speech import abandoned, speak

from . import processes

JSON = {"accept": "application/json"}
BANNER = "This is taking longer than usual"


# --- Metronome ------------------------------------------------------------------------------------


class Day:
    """The site on a clock that web, worker and sandbox share, with people on it."""

    def __init__(self, stage, traveller) -> None:
        self.stage, self.traveller = stage, traveller

    def pass_(self, **delta) -> None:
        self.stage.advance(**delta)
        self.traveller.move_to(self.stage.now())
        self.stage.drain()

    def sign_up(self, email: str) -> Client:
        client = Client()
        person = {"email": email, "first_name": "N", "last_name": "E", "password": PASSWORD}
        assert client.post("/accounts/signup/", person).url == "/studio/"
        return client

    @staticmethod
    def speak(client: Client, text: str) -> int:
        return client.post(
            "/studio/", {"text": text, "voice": "standard"}, headers=JSON
        ).status_code


@pytest.fixture
def day(stage, webhooks):
    with time_machine.travel(stage.now(), tick=False) as traveller:
        yield Day(stage, traveller)


def balance(client: Client) -> int:
    return client.get("/api/billing/balance").json()["available"]


def test_an_hour_without_metronome_stops_nobody_and_is_made_up_for_by_itself(day):
    old = day.sign_up("old@example.com")
    save_card(Customer.objects.get())
    seen = old.get("/billing/plans/change/?plan=creator").content.decode()
    shown = re.search(r'name="shown" value="([^"]+)"', seen)[1]
    old.post("/billing/plans/", {"plan": "creator", "shown": shown})
    for _ in range(5):
        day.pass_(seconds=5)
    assert balance(old) == 250_000

    day.stage.sandbox.faults.add("*", "status", status=503, times=None)
    new = day.sign_up("new@example.com")
    new.post("/billing/plans/", {"plan": "trial"})
    old.post(
        "/billing/recharge/",
        {"enabled": "on", "threshold_credits": "20000", "recharge_to_credits": "60000"},
    )
    for minute in range(60):
        day.pass_(minutes=1)
        if minute % 5 == 0:
            assert day.speak(old, f"Minute {minute}.") == 201
    again = Client()
    assert (
        again.post("/accounts/login/", {"email": "new@example.com", "password": PASSWORD}).url
        == "/studio/"
    )
    for path in (
        "/studio/",
        "/usage/",
        "/billing/",
        "/billing/plans/",
        "/billing/recharge/",
        "/accounts/profile/",
    ):
        for client in (old, again):
            assert client.get(path).status_code == 200
    for path in ("/studio/", "/billing/", "/billing/plans/"):
        page = again.get(path).text
        assert (
            BANNER in page
            and "the credits of your Trial plan" in page
            and "setting up your account" in page
        )
    assert "applying your auto-recharge settings" in old.get("/billing/recharge/").text
    assert "in a few seconds" not in again.get("/billing/plans/").text
    assert not dead_rows()
    assert UsageEvent.objects.filter(sent_at=None).count() == 12

    day.stage.sandbox.faults.clear()
    calls = day.stage.sandbox.world.calls.copy()
    for _ in range(6):
        day.pass_(minutes=1)

    assert balance(again) == 50_000
    assert (
        BANNER not in again.get("/billing/plans/").text
        and BANNER not in old.get("/billing/recharge/").text
    )
    events = Counter(event.id for event in day.stage.sandbox.world.store.events)
    assert events == Counter(UsageEvent.objects.values_list("transaction_id", flat=True)), (
        "each once"
    )
    assert AutoRecharge.objects.get().attempts == 0 and not dead_rows()
    for wallet in Wallet.objects.select_related("customer"):
        assert metronome.net_balance(customer_id=wallet.customer.metronome_id) == wallet.balance
    more = day.stage.sandbox.world.calls - calls
    assert more["POST /v1/ingest"] <= 5, "events that waited go together"
    assert sum(more.values()) < 100, more


def test_a_customer_with_nothing_late_reads_of_no_delay(alice, client, stage):
    stage.advance(seconds=5)
    stage.drain()
    client.force_login(alice.user)

    for path in ("/studio/", "/billing/", "/billing/plans/", "/billing/recharge/"):
        assert BANNER not in client.get(path).text


def test_what_is_late_is_named_after_a_minute(alice, now, django_assert_num_queries):
    Customer.objects.update(metronome_id="known")
    later = now + timedelta(seconds=90)
    request = {"customer": alice, "created_at": now}
    Subscription.objects.create(
        plan="creator", key="a", period_end_at=now, state="active", **request
    )
    Subscription.objects.create(plan="pro", key="b", **request)
    Recharge.objects.create(workflow_id="w", invoice_total="1000", **request)

    assert delays.late(alice, now=now + timedelta(seconds=30)) == {}
    with django_assert_num_queries(1):
        assert delays.late(alice, now=later) == {
            "the credits of your Creator plan": now,
            "the credits of your Pro plan": now,
            delays.RECHARGE: now,
        }


def test_nobody_reads_of_another_customers_delay(alice, bob, now):
    Customer.objects.update(metronome_id=None)
    Customer.objects.filter(pk=alice.pk).update(metronome_id="known")
    Subscription.objects.create(customer=bob, plan="pro", key="b", created_at=now)

    assert delays.late(alice, now=now + timedelta(seconds=90)) == {}


# --- The disk -------------------------------------------------------------------------------------


class FullDisk(FileSystemStorage):
    """Takes half of a file, as a disk does that runs full."""

    def _save(self, name, content):
        content.file.truncate(10)
        super()._save(name, content)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_gives_the_credits_back_and_says_so(client, alice, wallet, settings, tmp_path):
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": f"{__name__}.FullDisk"}}
    client.force_login(alice.user)
    form = {"text": "Hello", "voice": "standard"}

    page = client.post("/studio/", form)
    answer = client.post("/studio/", form, headers=JSON)

    words = "The audio could not be stored. Try again in a moment. Nothing was charged."
    assert (page.status_code, words in page.text) == (503, True)
    assert (answer.status_code, answer.json()) == (503, {"error": words})
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.reserved) == (500, 0)
    assert not files(tmp_path), "no half of a file stays"


def files(tmp_path):
    return [path for path in (tmp_path / "audio").rglob("*") if path.is_file()]


# --- The database ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_database_that_leaves_in_the_middle_leaves_no_half_work(
    alice, wallet, now, caplog, tmp_path
):
    """It goes away between the synthesis and the capture.
    The reservation releases the credits; nobody needs to look."""
    client = Client()
    client.force_login(alice.user)
    gone = []

    def leave(execute, sql, *rest):
        if gone or "usage_usageevent" in sql:
            gone.append(sql)
            raise OperationalError("the database system is shutting down")
        return execute(sql, *rest)

    with connection.execute_wrapper(leave):
        answer = client.post("/studio/", {"text": "Hello", "voice": "standard"}, headers=JSON)

    assert (answer.status_code, answer.json()["error"]) == (
        503,
        "The database is not responding. Try again in a moment.",
    )
    assert answer["Retry-After"] == "5" and "503 for /studio/" in caplog.text
    assert Generation.objects.get().state == "pending" and not UsageEvent.objects.exists()
    assert len(files(tmp_path)) == 1, "nobody could tell whether it is the audio after all"
    later = now + timedelta(seconds=speak.ABANDONED_SECONDS + 60)
    with time_machine.travel(later):
        assert ledger.expire_reservations(now=later) == [wallet.id]
        abandoned.GIVE_UP_GENERATIONS.run(later)
    wallet.refresh_from_db()
    assert (wallet.balance, wallet.reserved) == (500, 0)
    assert Generation.objects.get().state == "failed" and not files(tmp_path)


def test_a_missing_page_says_503_if_the_database_does_not_tell_who_asks(alice, settings):
    """The 404 page shows who is logged in; what fails there is past every view and middleware."""
    client = Client(raise_request_exception=False)
    client.force_login(alice.user)

    def leave(*args):
        raise OperationalError("connection refused")

    with connection.execute_wrapper(leave):
        answer = client.get("/nowhere/")

    assert (answer.status_code, "Back in a moment" in answer.text) == (503, True)


@pytest.mark.process
def test_without_its_database_the_site_says_503_and_pages_that_need_none_come(tmp_path):
    database = f"postgres://nobody:db-password-5e1@127.0.0.1:{processes.free_port()}/none"
    with web(tmp_path, database_url=database) as client:
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "error")
        assert client.get("/accounts/login/").status_code == 200
        token = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
        client.cookies["sessionid"] = "a" * 32
        answers = [
            client.post(
                "/accounts/login/", data=token | {"email": "a@example.com", "password": "x"}
            )
        ]
        answers += [client.get(path) for path in ("/studio/", "/")]
        api = [client.get("/studio/", headers=JSON)]
        api += [
            client.get(path) for path in ("/api/billing/balance", "/api/webhooks/events/some-id")
        ]

    for answer in answers:
        assert answer.status_code == 503 and "Back in a moment" in answer.text, answer.text[:500]
        assert "db-password-5e1" not in answer.text
    assert [(answer.status_code, list(answer.json())) for answer in api] == [(503, ["error"])] * 3
    assert "db-password-5e1" not in (tmp_path / "web.log").read_text()


@pytest.mark.process
def test_a_database_that_never_answers_is_given_up_after_seconds(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = f"postgres://nobody@127.0.0.1:{silent.getsockname()[1]}/none"
        with web(tmp_path, database_url=database) as client:
            asked_at = time.monotonic()
            assert client.get("/health").status_code == 503
            assert time.monotonic() - asked_at < 12


# --- Redis ----------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.django_db(transaction=True)
def test_without_redis_people_sign_up_and_speak_and_streams_fall_back_to_the_timer(tmp_path, now):
    redis = f"redis://127.0.0.1:{processes.free_port()}/0"
    with web(tmp_path, database_url=processes.own_database_url(), REDIS_URL=redis) as client:
        client.get("/accounts/signup/")
        person = {
            "email": "a@example.com",
            "password": PASSWORD,
            "first_name": "A",
            "last_name": "B",
        }
        token = {"csrfmiddlewaretoken": client.cookies["csrftoken"]}
        assert client.post("/accounts/signup/", data=person | token).status_code == 302
        Customer.objects.update(metronome_id="metronome-a")
        wallet = fund(Customer.objects.get(), 500, now)
        token = {"X-CSRFToken": client.cookies["csrftoken"]} | JSON
        spoken = client.post("/studio/", data={"text": "Hello", "voice": "standard"}, headers=token)
        assert (spoken.status_code, spoken.json()["available"]) == (201, 495)

        with client.stream("GET", "/api/webhooks/events/metronome-a") as stream:
            lines = stream.iter_lines()
            next(line for line in lines if '"available": 495' in line)
            changed_at = time.monotonic()
            ledger.reserve(wallet_id=wallet.id, key="k", amount=95, now=now)
            next(line for line in lines if '"available": 400' in line)
            assert time.monotonic() - changed_at < 3

    log = (tmp_path / "web.log").read_text()
    assert "signup is not throttled" in log and "the channel layer failed" in log


def test_a_redis_that_leaves_does_not_fill_the_log():
    """A subscriber of channels_redis logs a traceback a second until it is back.
    Ours says it, once a minute."""
    assert not logging.getLogger("channels_redis.pubsub").isEnabledFor(logging.ERROR)
    assert logging.getLogger("billing.live.wake").isEnabledFor(logging.WARNING)


def web(tmp_path, **env):
    return processes.web(
        tmp_path / "web.log", processes.settings_env(metronome_url="http://localhost:1", **env)
    )

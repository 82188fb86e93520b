"""What monitors see: of this process, and of everything it depends on."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

import usage.jobs
from billing.metronome import catalogue
from billing.models import Contract, Drift, InboundWebhook, Payment
from billing.tests.money_stage import select
from conftest import fund
from jobs.models import Heartbeat
from jobs.worker import RowJob, pause_job
from usage.models import ReconciliationRun, UsageDiscrepancy, UsageEvent
from vocalis import health

URL = "/health/integrations"
TOKEN = "a-token-of-more-than-twenty-characters"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def nothing_cached(monkeypatch, settings):
    settings.HEALTH_TOKEN = TOKEN
    monkeypatch.setattr(health, "_last", None)


@pytest.fixture
def running(stage, now):
    """A product in order: catalogue made, worker alive."""
    Heartbeat.objects.update_or_create(
        worker="w",
        defaults={
            "started_at": now,
            "beat_at": timezone.now(),
            "queues": ["default", "speech", "webhooks"],
        },
    )
    return stage


def checks(client, status: int = 200) -> dict[str, tuple[str, str]]:
    response = client.get(URL, headers=BEARER)
    assert response.status_code == status, response.content
    return {
        check["name"]: (check["status"], check["detail"]) for check in response.json()["checks"]
    }


def unsent_event(customer, created_at, **fields):
    wallet = fund(customer, 10, created_at)
    reservation = wallet.reservations.create(
        key="k",
        amount=1,
        captured=1,
        state="captured",
        created_at=created_at,
        expires_at=created_at,
    )
    return UsageEvent.objects.create(
        transaction_id="t",
        customer=customer,
        event_type="voice_generation",
        happened_at=created_at,
        properties={},
        credits=1,
        reservation=reservation,
        created_at=created_at,
        due_at=created_at,
        **fields,
    )


# --- /health --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_health_is_one_query(client, django_assert_num_queries):
    with django_assert_num_queries(1):
        response = client.get("/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert "no-store" in response.headers["Cache-Control"]


def test_health_says_that_the_database_is_down(client, monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError("no route to db.example, password=hunter2")

    monkeypatch.setattr(connection, "cursor", refuse)

    response = client.get("/health")

    assert response.status_code == 503
    assert response.json() == {"status": "error", "summary": "the database is not answering"}


@pytest.mark.parametrize("url", ["/health", URL])
def test_health_is_read_only(client, url):
    assert client.post(url).status_code == 405


# --- /health/integrations -------------------------------------------------------------------------


def test_all_is_well_when_everything_runs(client, running):
    response = client.get(URL)

    report = response.json()
    assert (response.status_code, report["status"], report["summary"]) == (
        200,
        "ok",
        "all checks are ok",
    ), report
    assert [check["name"] for check in report["checks"]] == [
        "reachability",
        "credentials",
        *catalogue.CHECKS,
        "stripe",
        "webhook secret",
        "mail",
        "worker",
        "paused jobs",
        "oldest unsent event",
        "oldest unsent mail",
        "usage comparison",
        "dead rows",
        "charged, not granted",
        "refunds that came back",
        "disputes",
        "frozen after a lost dispute",
        "payment alerts",
        "drift",
        "zero overage",
        "auto-recharge",
        "engine hibari",
        "engine kokoro",
        "engine espeak",
    ]


def test_who_comes_while_a_look_is_taken_gets_the_last_report_and_keeps_no_thread_waiting(
    client, db, monkeypatch
):
    old = {"status": "ok", "summary": "all was well", "checks": []}
    monkeypatch.setattr(health, "_last", (time.monotonic() - health.CACHE_SECONDS - 1, old))
    monkeypatch.setattr(health, "report", lambda now: pytest.fail("somebody else is looking"))

    with health._lock:
        assert client.get(URL).json() == old


def test_nobody_is_told_of_the_past_by_a_report_of_half_an_hour_ago(client, running, monkeypatch):
    old = {"status": "ok", "summary": "all was well", "checks": []}
    monkeypatch.setattr(health, "_last", (time.monotonic() - 1_800, old))
    health._lock.acquire()
    threading.Timer(0.2, health._lock.release).start()

    assert client.get(URL).json()["summary"] == "all checks are ok"


def test_an_empty_account_lacks_what_bootstrap_makes(client, sandbox, db):
    found = checks(client, 503)

    assert found["reachability"][0] == found["credentials"][0] == "ok"
    assert found["products"][0] == found["rate card"][0] == found["rates"][0] == "error"
    assert "no rate card “Vocalis”" in found["rate card"][1]
    assert found["notifications"][0] == "warn"


def test_a_price_that_is_not_ours_is_an_error(client, running, monkeypatch):
    monkeypatch.setattr(catalogue, "PRICES", (("Own voice", {}, 26_000),))

    assert checks(client, 503)["rates"] == (
        "error",
        "price of “Own voice” : 25000, not 26000 credits",
    )


def test_a_pricing_unit_of_another_account_is_an_error(client, running, settings):
    settings.VOCALIS_CREDIT_TYPE_ID = "00000000-0000-4000-8000-000000000000"

    assert checks(client, 503)["pricing unit"][0] == "error"


def test_metronome_down_is_an_error_and_our_own_checks_still_answer(client, running):
    running.sandbox.faults.add(match="*", kind="status", times=None, status=503)

    found = checks(client, 503)

    assert found["reachability"][0] == found["rate card"][0] == "error"
    assert found["worker"][0] == "ok"
    assert found["worker"][1].startswith("last heartbeat 2")


def test_a_refused_key_is_told_from_an_outage_and_never_shown(client, running, settings):
    settings.METRONOME_API_KEY = "sk_live_5f0c"
    running.sandbox.faults.add(
        match="*", kind="status", times=None, status=401, body={"message": "bad token sk_live_5f0c"}
    )

    found = checks(client, 503)

    assert found["reachability"] == ("ok", "")
    assert found["credentials"][0] == "error"
    assert "bad token ***" in found["credentials"][1]
    assert "sk_live_5f0c" not in client.get(URL, headers=BEARER).content.decode()


def test_the_answer_is_kept_for_ten_seconds(client, running, monkeypatch):
    first = client.get(URL).json()
    running.sandbox.faults.add(match="*", kind="status", times=None, status=503)

    assert client.get(URL).json() == first
    monkeypatch.setattr(health, "CACHE_SECONDS", 0)
    assert client.get(URL).status_code == 503


def test_no_webhook_secret_is_an_error_in_production_and_a_warning_before(
    client, running, settings, monkeypatch
):
    settings.METRONOME_WEBHOOK_SECRETS = []

    assert checks(client, 503)["webhook secret"][0] == "error"
    settings.DEBUG = True
    monkeypatch.setattr(health, "_last", None)
    assert checks(client)["webhook secret"][0] == "warn"


def test_mails_that_only_reach_the_log_are_a_warning_in_production(client, running, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    assert checks(client)["mail"][0] == "warn"


def test_no_worker_is_an_error(client, running, now, monkeypatch):
    Heartbeat.objects.all().delete()

    assert checks(client, 503)["worker"] == (
        "error",
        "none runs: none was started, or all have stopped",
    )

    Heartbeat.objects.create(worker="w", started_at=now, beat_at=now - timedelta(minutes=2))
    monkeypatch.setattr(health, "_last", None)
    assert checks(client, 503)["worker"] == (
        "error",
        f"last heartbeat {now - timedelta(minutes=2):%Y-%m-%d %H:%M:%S} UTC",
    )


def test_a_paused_job_is_an_error_that_says_why(client, running):
    pause_job("usage.report", seconds=60, reason="401 unauthorized", now=timezone.now())

    assert checks(client, 503)["paused jobs"] == ("error", "usage.report pauses: 401 unauthorized")


def paid(customer, state: str, *, seconds: int, kind: str = "plan") -> Payment:
    return Payment.objects.create(
        customer=customer,
        kind=kind,
        state=state,
        amount_cents=4_900,
        gateway="stripe",
        created_at=timezone.now() - timedelta(seconds=seconds),
    )


@pytest.mark.parametrize(
    ("seconds", "status", "http_status", "age"),
    [
        (50, "ok", 200, r"5\d s"),
        (70, "warn", 200, r"7\d s"),
        (590, "warn", 200, "9 min"),
        (610, "error", 503, "10 min"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("plan", "charged"),
        ("plan", "refunding"),
        ("recharge", "charged"),
    ],
)
def test_money_taken_without_credits_shows_by_its_age(
    client, running, alice, bob, kind, state, seconds, status, http_status, age
):
    paid(alice, state, seconds=seconds, kind=kind)
    paid(bob, state, seconds=5, kind=kind)

    said, detail = checks(client, http_status)["charged, not granted"]

    assert said == status
    assert re.fullmatch(rf"2, \$98\.00; the oldest payment is {age} old.*", detail), detail


@pytest.mark.parametrize("state", ["initiated", "charging", "granted", "failed", "refunded"])
def test_a_payment_that_was_not_taken_or_is_over_is_no_trouble(client, running, alice, state):
    paid(alice, state, seconds=3_600)

    assert checks(client)["charged, not granted"] == ("ok", "none")


def test_a_customer_charged_while_metronome_is_frozen_is_seen_and_so_is_metronome(
    running, client, alice, monkeypatch
):
    running.drain()
    select(alice, "creator", running.now())
    running.sandbox.faults.add(match="*", kind="status", times=None, status=503)
    running.drain()
    assert Payment.objects.get().state == "charged"
    Payment.objects.update(created_at=timezone.now() - timedelta(minutes=2))

    found = checks(client, 503)
    assert found["charged, not granted"][0] == "warn"
    assert found["reachability"][0] == "error"

    running.sandbox.faults.clear()
    running.advance(minutes=10)
    running.drain()
    monkeypatch.setattr(health, "_last", None)
    assert checks(client)["charged, not granted"] == ("ok", "none")


@pytest.mark.parametrize(
    ("minutes", "status", "http_status"),
    [(4, "ok", 200), (6, "warn", 200), (59, "warn", 200), (61, "error", 503)],
)
def test_usage_that_waits_too_long_shows(client, running, alice, minutes, status, http_status):
    unsent_event(alice, timezone.now() - timedelta(minutes=minutes))

    assert checks(client, http_status)["oldest unsent event"][0] == status


def test_a_dead_event_counts_as_dead_not_as_waiting(client, running, alice, now):
    unsent_event(alice, now - timedelta(days=1), dead_at=now)

    found = checks(client)

    assert found["oldest unsent event"] == ("ok", "none waits")
    assert found["dead rows"] == ("warn", "1 of usage events need a person")


def test_open_drift_is_a_warning(client, running, wallet, now):
    Drift.objects.create(
        wallet=wallet,
        difference=-5,
        wallet_balance=500,
        metronome_balance=495,
        first_seen_at=now,
        last_seen_at=now,
    )
    InboundWebhook.objects.create(
        event_id="e", type="x", payload={}, received_at=now, processed_at=now
    )

    assert checks(client)["drift"] == ("warn", "1 open")


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        (None, ("ok", "0 contracts may bill usage beyond the credits")),
        (False, ("warn", "1 contracts may bill usage beyond the credits")),
    ],
)
def test_a_contract_that_may_bill_beyond_the_credits_is_a_warning(
    client, running, alice, now, known, answer
):
    Contract.objects.create(customer=alice, starts_at=now, zero_overage=known)
    assert checks(client)["zero overage"] == answer


def test_hours_of_usage_that_differ_are_a_warning_until_they_are_resolved(
    client, running, alice, now, monkeypatch
):
    seen = {
        "local_units": 1,
        "remote_units": 0,
        "first_seen_at": now,
        "last_seen_at": now,
        "customer": alice,
        "event_type": "x",
    }
    UsageDiscrepancy.objects.create(**seen, hour_at=now, is_in_transit=False)
    UsageDiscrepancy.objects.create(**seen, hour_at=now - timedelta(hours=1), is_in_transit=True)

    assert checks(client)["usage comparison"] == ("warn", "hours that differ: 1; not compared yet")
    UsageDiscrepancy.objects.update(resolved_at=now)
    monkeypatch.setattr(health, "_last", None)
    assert checks(client)["usage comparison"][0] == "ok"


@pytest.mark.parametrize(("hours", "status"), [(23, "ok"), (25, "warn")])
def test_usage_that_is_not_compared_any_more_is_a_warning(client, running, now, hours, status):
    until = now - timedelta(hours=hours)
    ReconciliationRun.objects.update_or_create(kind="hours", defaults={"since_at": until})

    assert checks(client)["usage comparison"] == (
        status,
        f"hours that differ: 0; compared until {until:%Y-%m-%d %H:%M} UTC",
    )


def test_the_report_is_json_with_a_time(client, running):
    report = json.loads(client.get(URL).content)

    assert set(report) == {"status", "summary", "checked_at", "checks"}


def test_a_queue_with_jobs_that_no_worker_serves_is_an_error(client, running, monkeypatch):
    learn = RowJob("voices.learn", InboundWebhook, lambda row, now: None, queue="learning")
    monkeypatch.setattr(usage.jobs, "JOBS", [*usage.jobs.JOBS, learn])

    status, detail = checks(client, 503)["worker"]
    assert status == "error" and detail.startswith("none serves the queue learning; last heartbeat")

    Heartbeat.objects.create(
        worker="s", started_at=timezone.now(), beat_at=timezone.now(), queues=["learning"]
    )
    monkeypatch.setattr(health, "_last", None)
    assert checks(client)["worker"][0] == "ok"


def test_a_heartbeat_of_the_future_fools_nobody(client, running, now):
    Heartbeat.objects.update(beat_at=now + timedelta(hours=2))

    assert checks(client, 503)["worker"][0] == "error"


def test_hidden_voices_are_a_warning_and_a_silent_default_voice_an_error(
    client, running, lacking, monkeypatch
):
    lacking("kokoro")
    status, detail = checks(client)["engine kokoro"]
    assert status == "warn"
    assert "Premium voices are hidden: Nora, Theo, " in detail

    lacking("hibari")
    monkeypatch.setattr(health, "_last", None)
    assert checks(client, 503)["engine hibari"][0] == "error"

"""The operator, and a shop with one row of nearly everything."""

from __future__ import annotations

import os
import runpy
from types import SimpleNamespace

import environ
import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import Customer
from billing import keys
from billing.models import Drift, InboundWebhook, Payment, Recharge
from conftest import fund
from jobs.models import Heartbeat
from jobs.worker import pause_job
from usage.models import Generation, UsageDiscrepancy, UsageEvent

from . import migrated, processes


@pytest.fixture(scope="module")
def site(django_db_setup, tmp_path_factory):
    """A web process that speaks, for all tests of a module, as an HTTP client of it."""
    with processes.site(tmp_path_factory.mktemp("site")) as client:
        yield client


@pytest.fixture
def fresh_database_url(tmp_path) -> str:
    """Of a migrated database of the test's own, for processes that it starts."""
    path = tmp_path / "site.sqlite3"
    migrated.copy_sqlite(path)
    return processes.sqlite_url(path)


@pytest.fixture
def operator(client, staff):
    client.force_login(staff)
    return client


@pytest.fixture
def shop(alice, bob, now):
    """One row of nearly everything, for alice; bob has a wallet only."""
    wallet = fund(alice, 500, now)
    fund(bob, 700, now)
    Customer.objects.filter(pk=alice.pk).update(metronome_id="metronome-alice")
    times = {"created_at": now}
    key, _ = keys.create(customer=alice, name="Pipeline", limit=50, period="day", now=now)
    reservation = wallet.reservations.create(
        key="k", amount=5, captured=5, state="captured", expires_at=now, api_key=key, **times
    )
    Generation.objects.create(
        customer=alice,
        key="k",
        body_hash="h",
        text="My secret words",
        voice="standard-ava",
        voice_name="Ava",
        voice_type="standard",
        characters=5,
        credits=5,
        state="done",
        reservation=reservation,
        taken_at=now,
        **times,
    )
    UsageEvent.objects.create(
        transaction_id="vocalis-gen-1",
        customer=alice,
        event_type="voice_generation",
        happened_at=now,
        properties={},
        credits=5,
        reservation=reservation,
        due_at=now,
        last_error="Rejected: 400 bad",
        attempts=3,
        dead_at=now,
        **times,
    )
    InboundWebhook.objects.create(
        event_id="event-1",
        type="commit.create",
        customer_ref="metronome-alice",
        payload={"text": "<script>alert(1)</script>"},
        received_at=now,
        processed_at=now,
        outcome="read",
    )
    payment = Payment.objects.create(
        customer=alice,
        kind="recharge",
        state="charged",
        amount_cents=4900,
        gateway="stripe",
        due_at=now,
        **times,
    )
    Recharge.objects.create(
        customer=alice,
        state="releasing",
        workflow_id="w-1",
        invoice_total="4900",
        payment=payment,
        due_at=now,
        **times,
    )
    Drift.objects.create(
        wallet=wallet,
        difference=-2_000,
        wallet_balance=500,
        metronome_balance=0,
        first_seen_at=now,
        last_seen_at=now,
    )
    Heartbeat.objects.create(
        worker="w", started_at=now, beat_at=timezone.now(), queues=["default", "speech", "webhooks"]
    )
    UsageDiscrepancy.objects.create(
        customer=alice,
        hour_at=now,
        event_type="voice_generation",
        voice_type="standard",
        local_units=5,
        remote_units=0,
        is_in_transit=False,
        detail="missing at Metronome: vocalis-gen-1",
        first_seen_at=now,
        last_seen_at=now,
    )
    pause_job("usage.report", seconds=600, reason="401 unauthorized", now=now)
    return wallet


@pytest.fixture
def read_settings(monkeypatch):
    """Read the settings as a process does whose environment has these variables and no others."""

    def read(env_file: str = os.devnull, **variables: str) -> SimpleNamespace:
        monkeypatch.setenv("ENV_FILE", env_file)
        monkeypatch.setattr(environ.Env, "ENVIRON", variables)
        found = runpy.run_path(
            str(settings.BASE_DIR / "vocalis/settings.py"), run_name="vocalis.settings"
        )
        return SimpleNamespace(**{name: value for name, value in found.items() if name.isupper()})

    return read

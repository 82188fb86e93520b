"""Who reads what of the integrations' health:
names and statuses for all, details for staff and by a token."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from jobs.models import Heartbeat
from jobs.worker import pause_job
from vocalis import health

from .test_health import TOKEN, URL, unsent_event


@pytest.fixture
def in_order(stage, now, monkeypatch, settings):
    settings.HEALTH_TOKEN = TOKEN
    monkeypatch.setattr(health, "_last", None)
    Heartbeat.objects.create(
        worker="w", queues=["default", "speech", "webhooks"], started_at=now, beat_at=timezone.now()
    )


def readers(staff, alice) -> dict[str, Client]:
    found = {name: Client() for name in ("stranger", "customer", "staff")}
    found["customer"].force_login(alice.user)
    found["staff"].force_login(staff)
    return found


def test_strangers_and_customers_read_names_and_statuses_and_nothing_else(in_order, alice, staff):
    pause_job("report", seconds=60, reason="401 unauthorized", now=timezone.now())
    unsent_event(alice, timezone.now() - timedelta(minutes=6))
    by = readers(staff, alice)

    for name in ("stranger", "customer"):
        answer = by[name].get(URL)
        assert answer.status_code == 503
        report = answer.json()
        assert {tuple(check) for check in report["checks"]} == {("name", "status")}
        assert report["summary"] == "not ok: paused jobs, oldest unsent event"
        assert "unauthorized" not in answer.text
    assert "401 unauthorized" in by["staff"].get(URL).text


@pytest.mark.parametrize(
    ("header", "is_told"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN}", True),
        (f"Bearer {TOKEN[:-1]}", False),
        (f"Bearer {TOKEN}x", False),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        ("Bearer", False),
        ("Bearer ", False),
        ("Bearer t\u00f6ken", False),
        ("", False),
    ],
)
def test_details_take_the_whole_token(client, in_order, header, is_told):
    checks = client.get(URL, headers={"authorization": header}).json()["checks"]

    assert all(("detail" in check) == is_told for check in checks)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer None"])
def test_without_a_token_in_the_settings_no_header_opens_anything(
    client, in_order, settings, header
):
    settings.HEALTH_TOKEN = ""

    checks = client.get(URL, headers={"authorization": header}).json()["checks"]

    assert not any("detail" in check for check in checks)


def test_somebody_who_is_logged_in_still_gets_a_report_when_the_database_is_away(
    in_order, staff, alice, monkeypatch
):
    by = readers(staff, alice)

    def away(*args, **kwargs):
        raise OperationalError("no route to db.example")

    monkeypatch.setattr(health, "local_checks", away)
    monkeypatch.setattr(SessionStore, "load", away)

    report = by["staff"].get(URL).json()

    assert {"name": "database", "status": "error"} in report["checks"]

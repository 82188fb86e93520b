"""Reconciliations and repairs of several workers at once, and of one that is killed:
no discrepancy is lost, and no request for a repair."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from billing import hours
from billing.tests.money_stage import Killed, balance, drain_killed, establish, remote_balance
from jobs.worker import Worker
from usage.metering import backfill, comparison, reconciliation
from usage.metering.reporter import REPORT
from usage.metering.schedule import make_rows
from usage.models import UsageDiscrepancy, UsageEvent

from .reconciliation_stage import lose, next_hour, spend, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(stage, alice):
    """At twenty past nine: the hour before is closed."""
    make_rows(stage.now())
    stage.sandbox.clock.advance(
        timedelta(hours=24) - (stage.now() - reconciliation.EPOCH) % timedelta(hours=24)
    )
    stage.advance(hours=9, minutes=20)
    establish(stage, alice)
    work(stage)
    return alice


def overtake_listing(monkeypatch, act):
    """Do something else once, after the next listing was read and before anything is made of it."""
    real = comparison.differing

    def overtaken(customers, **hours):
        found = list(real(customers, **hours))
        monkeypatch.setattr(comparison, "differing", real)
        act()
        return iter(found)

    monkeypatch.setattr(comparison, "differing", overtaken)


def test_a_difference_noted_while_other_hours_are_listed_is_not_closed(stage, alice, monkeypatch):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    hour = hours.floor_hour(stage.now())
    stage.sandbox.clock.advance(timedelta(hours=3))

    def daily_look():
        reconciliation.compare(
            [alice], since=hour, until=hour + reconciliation.HOUR, now=stage.now()
        )

    overtake_listing(monkeypatch, daily_look)
    reconciliation.compare(
        [alice],
        since=hour + reconciliation.HOUR,
        until=hour + 2 * reconciliation.HOUR,
        now=stage.now(),
    )

    assert UsageDiscrepancy.objects.standing().get().hour_at == hour


def test_a_worker_that_listed_earlier_does_not_close_what_was_seen_to_differ_since(
    stage, alice, monkeypatch
):
    spend(stage, alice, "a")
    lose(stage, "a")
    hour = hours.floor_hour(stage.now())
    stage.sandbox.clock.advance(timedelta(hours=3))
    look = {"since": hour, "until": hour + reconciliation.HOUR}
    reconciliation.compare([alice], **look, now=stage.now())
    UsageEvent.objects.run_now(stage.now())
    Worker([REPORT], clock=stage.now).drain()

    def import_one():
        spend(stage, alice, "imported")
        lose(stage, "imported")
        UsageEvent.objects.filter(transaction_id="imported").update(happened_at=hour)
        reconciliation.compare([alice], **look, now=stage.now() + timedelta(seconds=1))

    overtake_listing(monkeypatch, import_one)
    reconciliation.compare([alice], **look, now=stage.now())

    row = UsageDiscrepancy.objects.standing().get()
    assert (row.local_units, row.remote_units, row.detail) == (
        200,
        100,
        "Vocalis 200, Metronome 100; missing at Metronome: imported",
    )


def test_a_discrepancy_gets_its_last_look_even_if_the_worker_that_recorded_it_was_killed(
    stage, alice
):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    stage.advance(minutes=75)

    def dies(execute, sql, *rest):
        if sql.startswith('UPDATE "usage_usagediscrepancy"'):
            raise Killed
        return execute(sql, *rest)

    with connection.execute_wrapper(dies):
        assert drain_killed(stage)
    stage.advance(minutes=10)
    work(stage)

    row = UsageDiscrepancy.objects.standing().get()
    assert row.due_at == row.hour_at + reconciliation.LAST_LOOK_AFTER


def test_a_repair_asked_for_again_while_one_is_made_is_made_again(stage, alice, monkeypatch):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    next_hour(stage)
    real = backfill.send_again

    def lost_again(discrepancy, *, now):
        monkeypatch.setattr(backfill, "send_again", real)
        real(discrepancy, now=now)
        lose(stage, "lost")
        reconciliation.ask_repair(UsageDiscrepancy.objects.all(), now=now)

    monkeypatch.setattr(backfill, "send_again", lost_again)
    reconciliation.ask_repair(UsageDiscrepancy.objects.all(), now=stage.now())
    work(stage, minutes=4)

    assert UsageDiscrepancy.objects.get().resolved_at is not None
    assert balance(alice) == remote_balance(alice) == 30_000 - 100

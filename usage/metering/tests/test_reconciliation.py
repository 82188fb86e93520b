"""Usage is compared by itself after each hour and each day;
what differs becomes a row, and the row closes when it is mended."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from billing import hours, metronome
from billing.sync import customers
from billing.tests.money_stage import (
    Killed,
    balance,
    drain_killed,
    establish,
    refuse,
    remote_balance,
)
from billing.tests.operate import run
from conftest import make_customer
from jobs.worker import Worker
from usage.metering import reconciliation
from usage.metering.reporter import REPORT
from usage.metering.schedule import make_rows
from usage.models import ReconciliationRun, UsageDiscrepancy, UsageEvent

from .reconciliation_stage import invent, lose, next_hour, spend, work

pytestmark = pytest.mark.django_db

LISTING = "POST /v1/usage"


@pytest.fixture
def stage(stage, monkeypatch):
    monkeypatch.setattr("operations.command.timezone.now", stage.now)
    make_rows(stage.now())
    stage.sandbox.clock.advance(
        timedelta(hours=24) - (stage.now() - reconciliation.EPOCH) % timedelta(hours=24)
    )
    # The hour before is closed; only who means to crosses midnight.
    stage.advance(hours=9, minutes=20)
    return stage


@pytest.fixture
def alice(stage, alice):
    establish(stage, alice)
    work(stage)
    stage.sandbox.world.calls.clear()
    return alice


def listings(stage):
    return stage.sandbox.world.calls[LISTING]


def test_usage_that_agrees_leaves_no_row(stage, alice):
    spend(stage, alice, "a")
    stage.drain()
    next_hour(stage)

    assert listings(stage) == 1
    assert not UsageDiscrepancy.objects.exists()
    assert ReconciliationRun.objects.get(kind="hours").since_at == stage.now().replace(
        minute=0, second=0
    )


def test_nobody_is_asked_about_who_had_no_usage(stage, alice):
    for _ in range(3):
        next_hour(stage)

    assert listings(stage) == 0


def test_an_hour_is_compared_once_it_is_closed_and_not_again(stage, alice):
    spend(stage, alice, "a")
    stage.drain()
    next_hour(stage)
    stage.sandbox.clock.advance(timedelta(minutes=30))
    work(stage)

    assert listings(stage) == 1


def test_missing_events_are_named_and_the_row_closes_when_they_were_sent_again(
    stage, alice, caplog
):
    spend(stage, alice, "there", 100)
    stage.drain()
    spend(stage, alice, "lost", 50)
    lose(stage, "lost")
    hour = hours.floor_hour(stage.now())
    next_hour(stage)

    row = UsageDiscrepancy.objects.standing().get()
    assert (row.customer, row.hour_at, row.event_type, row.voice_type) == (
        alice,
        hour,
        "voice_generation",
        "standard",
    )
    assert (row.local_units, row.remote_units, row.detail) == (
        150,
        100,
        "Vocalis 150, Metronome 100; missing at Metronome: lost",
    )
    assert f"usage of customer {alice.pk} differs: {row}: {row.detail}" in caplog.text
    # Repair is a person's decision.
    assert UsageEvent.objects.get(transaction_id="lost").due_at is None

    assert reconciliation.ask_repair(UsageDiscrepancy.objects.all(), now=stage.now()) == 1
    work(stage, minutes=4)

    row.refresh_from_db()
    assert row.resolved_at is not None
    assert (row.due_at, row.repair_asked, row.detail) == (
        None,
        False,
        "Vocalis 150, Metronome 100; missing at Metronome: lost",
    )
    assert balance(alice) == remote_balance(alice) == 30_000 - 150


def test_the_command_mends_it_as_well(stage, alice):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    next_hour(stage)

    assert run("backfill_usage", "--since", "3h").code == 0
    work(stage, minutes=4)

    assert not UsageDiscrepancy.objects.open().exists()


@pytest.mark.parametrize("mended_by", ["command", "itself"])
def test_a_repair_that_was_given_up_needs_nobody_once_the_numbers_agree(stage, alice, mended_by):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    next_hour(stage)
    stage.sandbox.faults.add("/v1/usage", "status", status=400)
    reconciliation.ask_repair(UsageDiscrepancy.objects.all(), now=stage.now())
    work(stage)
    assert UsageDiscrepancy.objects.dead().exists()

    if mended_by == "command":
        run("backfill_usage", "--since", "3h")
        work(stage, minutes=7)  # the repair that was asked for is made up for first
    else:
        UsageEvent.objects.filter(transaction_id="lost").run_now(stage.now())
        next_hour(stage)

    row = UsageDiscrepancy.objects.get()
    assert row.resolved_at is not None
    assert (row.due_at, row.dead_at, row.repair_asked) == (None, None, False)


def test_a_difference_that_stands_is_one_row_looked_into_once(stage, alice, caplog):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    next_hour(stage)
    before = UsageDiscrepancy.objects.get()
    caplog.clear()
    next_hour(stage)

    after = UsageDiscrepancy.objects.get()
    assert after.first_seen_at == before.first_seen_at == before.last_seen_at < after.last_seen_at
    assert stage.sandbox.world.calls["POST /v1/events/search"] == 1
    assert "differs" not in caplog.text


def test_a_difference_closed_by_hand_opens_again_only_with_other_numbers(stage, alice):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    next_hour(stage)

    assert reconciliation.close(UsageDiscrepancy.objects.all(), now=stage.now()) == 1
    stage.advance(hours=24)
    work(stage)
    assert not UsageDiscrepancy.objects.open().exists()

    row = UsageDiscrepancy.objects.get()
    UsageDiscrepancy.objects.update(local_units=row.local_units + 1)
    reconciliation.compare(
        [alice], since=row.hour_at, until=row.hour_at + timedelta(hours=1), now=stage.now()
    )
    assert UsageDiscrepancy.objects.open().get() == row


def test_the_same_difference_after_it_was_resolved_is_a_new_one(stage, alice):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    next_hour(stage)
    hour = (
        UsageDiscrepancy.objects.get().hour_at,
        UsageDiscrepancy.objects.get().hour_at + timedelta(hours=1),
    )
    UsageEvent.objects.update(happened_at=hour[0] - timedelta(hours=1))
    reconciliation.compare([alice], since=hour[0], until=hour[1], now=stage.now())
    assert UsageDiscrepancy.objects.get(hour_at=hour[0]).resolved_at
    UsageEvent.objects.update(happened_at=hour[0])
    reconciliation.compare([alice], since=hour[0], until=hour[1], now=stage.now())

    assert UsageDiscrepancy.objects.open().get(hour_at=hour[0]).local_units == 100


def test_events_that_only_wait_are_no_alarm_and_close_when_they_arrive(stage, alice):
    spend(stage, alice, "waiting")
    UsageEvent.objects.update(due_at=stage.now() + timedelta(minutes=90))
    next_hour(stage)

    assert UsageDiscrepancy.objects.open().get().is_in_transit
    assert not UsageDiscrepancy.objects.standing().exists()
    next_hour(stage)
    next_hour(stage)
    assert not UsageDiscrepancy.objects.open().exists()


@pytest.mark.parametrize("arrived", [True, False])
def test_an_hour_too_old_for_the_runs_is_looked_at_a_last_time(stage, alice, arrived):
    """The worker was away in the time in which the difference was mended."""
    spend(stage, alice, "waiting")
    UsageEvent.objects.update(due_at=stage.now() + timedelta(minutes=90))
    next_hour(stage)
    (row,) = UsageDiscrepancy.objects.open()
    if arrived:
        stage.advance(hours=1)
        Worker([REPORT], clock=stage.now).drain()
    lose(stage, "waiting")
    stage.advance(days=35)
    work(stage, minutes=1)

    row.refresh_from_db()
    assert (row.resolved_at is not None, row.due_at, row.dead_at) == (arrived, None, None)
    assert arrived or row.detail.endswith("missing at Metronome: waiting")


def test_events_that_waited_and_were_given_up_become_one(stage, alice):
    spend(stage, alice, "dead")
    UsageEvent.objects.update(due_at=stage.now() + timedelta(days=2))
    next_hour(stage)
    UsageEvent.objects.update(dead_at=stage.now())
    next_hour(stage)

    assert UsageDiscrepancy.objects.standing().get().detail.endswith("missing at Metronome: dead")


def test_the_daily_look_finds_usage_that_only_metronome_has(stage, alice, bob):
    establish(stage, bob)
    invent(stage, bob, "unknown")
    next_hour(stage)
    assert not UsageDiscrepancy.objects.exists()

    stage.advance(hours=15)  # past midnight
    work(stage)

    row = UsageDiscrepancy.objects.standing().get()
    assert (row.customer, row.local_units, row.remote_units) == (bob, 0, 40)
    assert row.detail == "Vocalis 0, Metronome 40; 40 at Metronome that no event of ours explains"
    assert ReconciliationRun.objects.get(kind="days").since_at == stage.now().replace(
        hour=0, minute=0, second=0
    )


def test_after_a_pause_one_run_compares_all_hours_since_with_one_listing(stage, alice):
    spend(stage, alice, "lost-1")
    lose(stage, "lost-1")
    stage.sandbox.clock.advance(timedelta(hours=2))
    spend(stage, alice, "lost-2")
    lose(stage, "lost-2")
    stage.sandbox.clock.advance(timedelta(hours=3))
    work(stage)

    assert listings(stage) == 1
    assert UsageDiscrepancy.objects.standing().count() == 2


def test_a_run_begun_before_an_outage_compares_the_hours_since_as_well_with_one_listing(
    stage, alice
):
    spend(stage, alice, "lost-1")
    lose(stage, "lost-1")
    stage.sandbox.faults.add(match="/v1/usage", kind="status", times=None, status=503)
    next_hour(stage)
    assert ReconciliationRun.objects.get(kind="hours").until_at
    stage.advance(hours=2)
    spend(stage, alice, "lost-2")
    lose(stage, "lost-2")
    stage.advance(hours=1)
    stage.sandbox.faults.clear()
    stage.sandbox.world.calls.clear()
    work(stage)

    assert listings(stage) == 1
    assert UsageDiscrepancy.objects.standing().count() == 2


def test_an_old_run_looks_at_discrepancies_of_later_hours_as_well(stage, alice):
    """Interrupted in its midst, it goes on with the end it began with;
    meanwhile the daily look found a discrepancy."""
    spend(stage, alice, "first")
    stage.drain()
    began = hours.floor_hour(stage.now())
    stage.advance(days=6)
    spend(stage, alice, "late")
    lose(stage, "late")
    hour = hours.floor_hour(stage.now())
    stage.advance(hours=1, minutes=20)
    reconciliation.compare([alice], since=hour, until=hour + reconciliation.HOUR, now=stage.now())
    row = UsageDiscrepancy.objects.standing().get()
    UsageEvent.objects.filter(transaction_id="late").run_now(stage.now())
    Worker([REPORT], clock=stage.now).drain()
    stage.sandbox.tick()
    ReconciliationRun.objects.filter(kind="hours").update(
        since_at=began, until_at=began + reconciliation.HOUR, after=UUID(int=0)
    )
    reconciliation.reconcile(ReconciliationRun.objects.get(kind="hours"), stage.now())

    row.refresh_from_db()
    assert (row.resolved_at, row.due_at, row.remote_units) == (stage.now(), None, 100)


def test_many_customers_are_compared_a_few_at_a_time(stage, alice, monkeypatch):
    monkeypatch.setitem(reconciliation.CUSTOMERS, ReconciliationRun.Kind.HOURS, 2)
    monkeypatch.setattr(reconciliation, "PAGE", 3)
    for number in range(7):
        customer = make_customer(f"c{number}@example.com", "C")
        establish(stage, customer)
        if number % 2:
            spend(stage, customer, f"lost-{number}")
            lose(stage, f"lost-{number}")
    stage.advance(minutes=75)
    stage.drain()
    assert listings(stage) <= 1  # the next pair waits its two seconds
    work(stage, minutes=1)

    assert UsageDiscrepancy.objects.standing().count() == 3
    assert 2 <= listings(stage) <= 3


@pytest.mark.parametrize("place", ["_note", "_resolve", "_keep"])
def test_a_worker_killed_in_a_run_leaves_it_to_the_next(stage, alice, monkeypatch, place):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    stage.advance(minutes=75)
    real = getattr(reconciliation, place)
    monkeypatch.setattr(reconciliation, place, refuse(Killed()))
    assert drain_killed(stage)
    monkeypatch.setattr(reconciliation, place, real)
    stage.advance(minutes=10)
    work(stage)

    assert UsageDiscrepancy.objects.standing().get().local_units == 100
    assert ReconciliationRun.objects.get(kind="hours").until_at is None


def test_a_worker_that_was_overtaken_changes_nothing(stage, alice):
    run = ReconciliationRun.objects.get(kind="hours")
    run.lease = "over"
    stage.advance(hours=3)

    with pytest.raises(reconciliation.Snooze):
        reconciliation.reconcile(run, stage.now())
    assert ReconciliationRun.objects.get(kind="hours").until_at is None


def test_a_customer_gone_at_metronome_does_not_stop_the_others(stage, alice, bob, caplog):
    establish(stage, bob)
    for customer, name in ((alice, "lost-a"), (bob, "lost-b")):
        spend(stage, customer, name)
        lose(stage, name)
    type(alice).objects.filter(pk=alice.pk).update(
        metronome_id="4db51251-61de-4bfe-b9ce-495e244f3491"
    )
    next_hour(stage)

    assert UsageDiscrepancy.objects.get().customer == bob
    assert f"usage of customer {alice.pk} cannot be compared" in caplog.text
    assert not ReconciliationRun.objects.dead().exists()


def test_an_outage_makes_the_run_wait_not_die(stage, alice):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    stage.sandbox.faults.add(match="/v1/usage", kind="status", times=3, status=503)
    next_hour(stage)
    stage.advance(minutes=5)
    work(stage)

    assert UsageDiscrepancy.objects.standing().exists()


def test_usage_that_counts_for_nobody_is_said_to(stage, alice):
    spend(stage, alice, "a")
    stage.drain()
    metronome.set_aliases(customer_id=alice.metronome_id, aliases=["something-else"])
    next_hour(stage)
    assert (
        "counted for nobody (backfill_customers, bootstrap_metronome): a"
        in UsageDiscrepancy.objects.standing().get().detail
    )

    customers.provision(alice, stage.now())
    next_hour(stage)
    assert not UsageDiscrepancy.objects.open().exists()


def test_more_events_than_can_be_searched_by_the_hour_are_not_searched(stage, alice, monkeypatch):
    monkeypatch.setattr(reconciliation, "SEARCHED_MAX", 1)
    spend(stage, alice, "a")
    stage.drain()
    spend(stage, alice, "lost")
    lose(stage, "lost")
    next_hour(stage)

    assert (
        UsageDiscrepancy.objects.get().detail
        == "Vocalis 200, Metronome 100; 100 fewer at Metronome than its events say"
    )
    assert stage.sandbox.world.calls["POST /v1/events/search"] == 0


def test_what_is_too_old_to_be_sent_again_needs_a_person(stage, alice):
    spend(stage, alice, "lost")
    lose(stage, "lost")
    next_hour(stage)
    stage.advance(days=35)
    reconciliation.ask_repair(UsageDiscrepancy.objects.all(), now=stage.now())
    work(stage)

    assert "older than the 34 days" in UsageDiscrepancy.objects.dead().get().last_error


def test_runs_need_few_queries_between_listings(stage, alice, django_assert_max_num_queries):
    stage.advance(hours=1)
    run = ReconciliationRun.objects.get(kind="hours")

    with django_assert_max_num_queries(6):
        reconciliation.reconcile(run, stage.now())

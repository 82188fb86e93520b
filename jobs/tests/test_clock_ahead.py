"""A clock that was two hours ahead and is set right again: what it wrote does not wait for the
right one to get there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import PasswordReset
from billing.models import InboundWebhook, Subscription
from jobs import queue, worker
from jobs.errors import Snooze, Unavailable
from jobs.models import Heartbeat, PausedJob
from jobs.overview import alive
from jobs.worker import RowJob, Worker, pause_job

pytestmark = pytest.mark.django_db
AHEAD = timedelta(hours=2)
ROWS = InboundWebhook.objects


@pytest.fixture
def event(now):
    return ROWS.create(
        event_id="event", type="test", payload={}, received_at=now, due_at=now + AHEAD
    )


class Clock:
    def __init__(self, at) -> None:
        self.at = at

    def __call__(self):
        return self.at


def worker_at(clock, perform=lambda row, now: None) -> Worker:
    return Worker([RowJob("test", InboundWebhook, perform)], clock=clock)


@pytest.mark.parametrize("error", [Unavailable("503"), Snooze("wait"), KeyError("a bug")])
def test_a_row_that_was_put_off_by_a_clock_ahead_is_done_at_once(error, event, now):
    def fail(row, now):
        raise error

    clock, done = Clock(now + AHEAD), []
    worker_at(clock, fail)._pass_safely()
    clock.at = now + timedelta(seconds=5)

    worker_at(clock, lambda row, now: done.append(row.pk))._pass_safely()

    assert done == [event.pk]


def test_a_worker_that_sees_its_own_clock_go_back_beats_and_works_at_once(event, now):
    clock, done = Clock(now + AHEAD), []

    def perform(row, now):
        done.append(now)
        if len(done) == 1:
            raise Unavailable("503")

    one = worker_at(clock, perform)
    one._pass_safely()
    clock.at = now + timedelta(seconds=5)
    one._pass_safely()

    assert done == [now + AHEAD, clock.at]
    assert Heartbeat.objects.get().beat_at == clock.at
    assert alive(clock.at)


def test_a_lease_of_a_killed_worker_whose_clock_was_ahead_ends_at_once(event, now):
    (row,) = queue.claim(InboundWebhook, now=now + AHEAD, limit=1, lease_seconds=120)

    assert queue.set_right(InboundWebhook, now=now) == 1

    (again,) = queue.claim(InboundWebhook, now=now, limit=1, lease_seconds=120)
    assert again.pk == row.pk
    assert queue.complete([row]) == 0, "who was too slow changes nothing"


def test_a_new_row_of_a_kind_that_is_never_due_so_late_is_due_now(now):
    reset = PasswordReset.objects.create(
        email="a@example.com", asked_at=now + AHEAD, due_at=now + AHEAD
    )

    assert queue.set_right(PasswordReset, now=now) == 1

    reset.refresh_from_db()
    assert reset.due_at == now


def test_rows_that_are_rightly_due_later_stay(alice, now):
    (day, soon) = (
        now + timedelta(days=20),
        now + timedelta(seconds=worker.queue.BACKOFF_MAX_SECONDS),
    )
    plan = Subscription.objects.create(
        customer=alice, plan="starter", key="k", created_at=now, due_at=day
    )
    leased = ROWS.create(event_id="leased", type="t", payload={}, received_at=now, due_at=now)
    (held,) = queue.claim(InboundWebhook, now=now, limit=1, lease_seconds=600)
    backing_off = ROWS.create(
        event_id="off", type="t", payload={}, received_at=now, due_at=soon, last_error="503"
    )

    assert [queue.set_right(model, now=now) for model in (Subscription, InboundWebhook)] == [0, 0]

    for row in (plan, leased, backing_off):
        row.refresh_from_db()
    assert (plan.due_at, leased.due_at, backing_off.due_at) == (day, held.leased_until, soon)


def test_what_is_dead_or_has_nothing_to_do_stays_so(now):
    ROWS.create(event_id="done", type="t", payload={}, received_at=now)
    ROWS.create(
        event_id="dead",
        type="t",
        payload={},
        received_at=now,
        due_at=now + AHEAD,
        dead_at=now,
        last_error="400",
    )

    assert queue.set_right(InboundWebhook, now=now) == 0


def test_a_pause_made_by_a_clock_ahead_ends(event, now):
    pause_job("test", seconds=60, reason="401", now=now + AHEAD)

    worker_at(Clock(now))._pass_safely()

    assert not PausedJob.objects.exists()
    assert ROWS.get().due_at is None


def test_a_heartbeat_of_the_future_is_not_alive(now):
    Heartbeat.objects.create(worker="w", started_at=now, beat_at=now + AHEAD)

    assert not alive(now)
    assert alive(now + AHEAD)


@pytest.mark.parametrize("seconds", [-5, 5])
def test_a_heartbeat_of_a_clock_that_differs_a_little_is_alive(seconds, now):
    Heartbeat.objects.create(worker="w", started_at=now, beat_at=now + timedelta(seconds=seconds))

    assert alive(now)


def test_the_look_at_the_clock_is_taken_every_ten_minutes_only(now, django_assert_num_queries):
    clock = Clock(now)
    one = worker_at(clock)
    one._pass_safely()
    clock.at = now + timedelta(seconds=1)

    with django_assert_num_queries(1):
        one._pass_safely()


def test_no_wait_of_a_worker_is_longer_than_what_counts_as_ahead():
    from billing.metronome.client import RETRY_AFTER_MAX_SECONDS

    leases = [getattr(job, "lease_seconds", 0) for job in worker.all_jobs()]

    assert (
        max(*leases, queue.BACKOFF_MAX_SECONDS, RETRY_AFTER_MAX_SECONDS) < queue.AHEAD_MAX_SECONDS
    )

"""The loop around the rows: which jobs run, what a failure does, and what an idle pass costs."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.utils import timezone

from billing.models import InboundWebhook
from jobs import worker as worker_module
from jobs.errors import Rejected, Snooze, Unavailable
from jobs.models import Heartbeat, PausedJob
from jobs.overview import alive, dead_rows
from jobs.worker import BatchJob, RowJob, Worker, all_jobs, pause_job

pytestmark = pytest.mark.django_db
ROWS = InboundWebhook.objects


@pytest.fixture
def add(now):
    def add(*ids: str) -> None:
        for event_id in ids:
            ROWS.create(event_id=event_id, type="test", payload={}, received_at=now, due_at=now)

    return add


def worker_for(perform, now, name: str = "test") -> Worker:
    return Worker([RowJob(name, InboundWebhook, perform)], clock=lambda: now)


def test_drain_works_until_nothing_is_due(add, now):
    add(*(f"event-{at}" for at in range(25)))
    seen = []

    taken = worker_for(lambda row, now: seen.append(row.event_id), now).drain()

    assert taken == 25
    assert len(set(seen)) == 25
    assert not ROWS.exclude(due_at=None).exists()


def test_a_row_is_due_again_when_its_job_says(add, now):
    add("event")

    worker_for(lambda row, now: now + timedelta(minutes=5), now).drain()

    assert ROWS.get().due_at == now + timedelta(minutes=5)


def test_a_bad_row_does_not_stop_the_others(add, now, caplog):
    add("bad", "good", "refused", "later")

    def perform(row, now):
        match row.event_id:
            case "bad":
                raise KeyError("a bug")
            case "refused":
                raise Rejected("400")
            case "later":
                raise Snooze("wait")

    assert worker_for(perform, now).drain() == 4

    errors = dict(ROWS.values_list("event_id", "last_error"))
    assert errors == {
        "bad": "KeyError: 'a bug'",
        "good": "",
        "refused": "Rejected: 400",
        "later": "Snooze: wait",
    }
    assert list(ROWS.dead().values_list("event_id", flat=True)) == ["refused"]
    assert "test failed on row" in caplog.text


def test_each_run_is_one_line_of_the_log_with_row_outcome_and_duration(add, now, caplog):
    caplog.set_level("DEBUG", "jobs.worker")
    errors = {
        "bad": KeyError("bug"),
        "never": Rejected("400"),
        "later": Snooze("wait"),
        "down": Unavailable("503"),
    }
    add("done", *errors)
    keys = dict(ROWS.values_list("event_id", "pk"))

    def perform(row, now):
        if error := errors.get(row.event_id):
            raise error
        return now + timedelta(hours=1)

    worker_for(perform, now).drain()

    lines = {
        (record.levelname, re.sub(r"\(\d+ ms\)", "(N ms)", record.getMessage()))
        for record in caplog.records
    }
    assert lines == {
        (
            "INFO",
            f"test {keys['done']}: done,"
            f" again at {now + timedelta(hours=1):%Y-%m-%d %H:%M:%S} (N ms)",
        ),
        ("ERROR", f"test failed on row {keys['bad']} (N ms)"),
        ("ERROR", f"test {keys['never']}: 400; needs a person (N ms)"),
        ("DEBUG", f"test {keys['later']}: snoozed: wait (N ms)"),
        ("WARNING", f"test {keys['down']}: 503; will try again (N ms)"),
    }
    assert len(caplog.records) == 5


def test_a_batch_is_one_line_of_the_log_and_an_idle_pass_none(add, now, caplog):
    caplog.set_level("DEBUG", "jobs.worker")
    add("event")
    left = [25]
    worker = Worker(
        [BatchJob("test.batch", ROWS.due, lambda now: left.pop() if left else 0)], clock=lambda: now
    )

    worker.drain()
    worker_for(lambda row, now: None, now - timedelta(hours=1)).drain()

    [line] = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(r"test\.batch: 25 rows \(\d+ ms\)", line)


def test_a_side_that_is_down_is_asked_once_a_pass_and_job_not_once_a_row(add, now):
    add("one", "two", "three")
    calls = []

    def perform(row, now):
        calls.append(row.event_id)
        if len(calls) == 1:
            raise Unavailable("503")

    worker = worker_for(perform, now)

    assert (worker.run_pass(), len(calls)) == (0, 1), (
        "nothing was done: the loop pauses for a second"
    )
    assert (worker.run_pass(), len(calls)) == (2, 3), "it is back: at full speed again"
    assert sorted(ROWS.values_list("attempts", flat=True)) == [0, 0, 1]


def test_a_refused_key_pauses_the_job_and_counts_no_attempt(add, now):
    add("one", "two")
    calls = []

    def perform(row, now):
        calls.append(row.event_id)
        raise Unavailable("401 unauthorized", pause_seconds=60)

    worker = worker_for(perform, now, name="usage.report")
    worker.drain()
    worker.drain()

    assert len(calls) == 1, "the job pauses after the first refusal"
    paused = PausedJob.objects.get()
    assert (paused.name, paused.paused_until, paused.reason) == (
        "usage.report",
        now + timedelta(seconds=60),
        "401 unauthorized",
    )
    assert set(ROWS.values_list("attempts", "dead_at")) == {(0, None)}


def test_a_paused_job_resumes_by_itself_and_holds_up_no_other(add, now):
    add("event")
    pause_job("paused", seconds=60, reason="401", now=now)
    quiet = RowJob("paused", InboundWebhook, lambda row, now: pytest.fail("this job is paused"))
    busy = RowJob("busy", InboundWebhook, lambda row, now: now)

    assert Worker([quiet, busy], clock=lambda: now).run_pass() == worker_module.JOB_RUNS_MAX

    done = []
    worker_for(
        lambda row, now: done.append(row), now + timedelta(seconds=61), name="paused"
    ).drain()
    assert len(done) == 1


def test_a_long_queue_does_not_keep_other_jobs_waiting(add, now):
    add(*(f"event-{at}" for at in range(50)))
    order = []
    first = RowJob("first", InboundWebhook, lambda row, now: order.append("first"))
    second = RowJob("second", InboundWebhook, lambda row, now: order.append("second"))

    Worker([first, second], clock=lambda: now).run_pass()

    assert order == ["first"] * worker_module.JOB_RUNS_MAX + ["second"] * worker_module.JOB_RUNS_MAX


def test_a_slow_job_gives_way_too(add, now, monkeypatch):
    add("one", "two")
    monkeypatch.setattr(worker_module, "JOB_SECONDS", -1)

    assert worker_for(lambda row, now: None, now).run_pass() == 0


def test_quick_jobs_wait_for_one_slow_job_at_most_and_slow_ones_alternate(add, now, monkeypatch):
    add("never done")
    clock, order = SimpleNamespace(monotonic=lambda: clock.seconds, seconds=0), []
    monkeypatch.setattr(worker_module, "time", clock)

    class Takes:
        def __init__(self, name, seconds):
            self.name, self.seconds, self.queue = name, seconds, "default"

        def due(self, now):
            return ROWS.due(now)

        def run(self, now):
            order.append(self.name)
            clock.seconds += self.seconds
            return 0

    hangs = Takes("hangs", 30)
    worker = Worker(
        [hangs, Takes("hangs too", 10), Takes("quick", 0), Takes("quick too", 1)], clock=lambda: now
    )
    for _ in range(5):
        worker.run_pass()
    assert " > ".join(order) == (
        "hangs > hangs too > quick > quick too > hangs > quick > quick too"
        " > hangs too > quick > quick too > hangs"
    )

    hangs.seconds = 0
    order.clear()
    worker.run_pass()
    worker.run_pass()
    assert (
        " > ".join(order) == "quick > quick too > hangs too > quick > quick too > hangs > hangs too"
    )


def test_a_drain_comes_to_all_jobs_however_slow(add, now, monkeypatch):
    add("event")
    monkeypatch.setattr(worker_module, "SLOW_SECONDS", -1)
    nothing = BatchJob("nothing", ROWS.due, lambda now: 0)

    assert (
        Worker(
            [nothing, RowJob("test", InboundWebhook, lambda row, now: None)], clock=lambda: now
        ).drain()
        == 1
    )


def test_stop_begins_no_further_row(add, now):
    add("one", "two")
    worker = worker_for(lambda row, now: worker.stop(), now)

    worker.run()

    assert ROWS.filter(due_at=None).count() == 1


def test_a_broken_job_does_not_stop_the_others(add, now, caplog):
    add("event")

    class Broken:
        name, queue = "broken", "default"

        def due(self, now):
            return ROWS.due(now)

        def run(self, now):
            raise RuntimeError("no such thing")

    Worker(
        [Broken(), RowJob("test", InboundWebhook, lambda row, now: None)], clock=lambda: now
    ).drain()

    assert ROWS.get().due_at is None
    assert "job broken failed" in caplog.text


def test_a_lost_database_is_waited_for(now, monkeypatch, caplog):
    monkeypatch.setattr(worker_module, "TROUBLE_SECONDS", 0)
    worker = Worker([], clock=lambda: now)
    answers = [OperationalError("gone"), None]

    def run_pass() -> int:
        answer = answers.pop(0)
        if answer:
            raise answer
        worker.stop()
        return 0

    monkeypatch.setattr(worker, "run_pass", run_pass)

    worker.run()

    assert answers == []
    assert "the database is not answering (gone)" in caplog.text and "Traceback" not in caplog.text


def test_an_idle_pass_costs_few_queries(now, django_assert_num_queries):
    """Of all jobs of the product together; the heartbeat adds its own every ten seconds."""
    worker = Worker(all_jobs(), clock=lambda: now)
    worker.run_pass()

    with django_assert_num_queries(1):
        worker.run_pass()


def test_the_heartbeat_shows_a_worker_and_goes_when_it_stops(now):
    assert not alive(now)
    worker = Worker([], clock=lambda: now)

    worker.run_pass()
    assert Heartbeat.objects.get().worker == worker.name
    assert alive(now + timedelta(seconds=59))
    assert not alive(now + timedelta(seconds=61))

    worker.stop()
    worker.run()
    assert not Heartbeat.objects.exists()


def test_the_heartbeat_comes_back_after_an_operator_cleared_the_table(now):
    worker = Worker([], clock=lambda: now)
    worker.run_pass()
    Heartbeat.objects.all().delete()

    worker.run_pass()
    worker.run_pass()

    assert alive(now)


def test_heartbeats_of_long_gone_workers_are_forgotten(now):
    Heartbeat.objects.create(worker="gone", started_at=now, beat_at=now - timedelta(hours=25))

    Worker([], clock=lambda: now).run_pass()

    assert not Heartbeat.objects.filter(worker="gone").exists()


def test_dead_rows_are_counted_by_kind(add, now):
    add("one", "two")
    ROWS.filter(event_id="two").update(dead_at=now)

    assert dead_rows() == {InboundWebhook: 1}


def test_run_worker_once_drains_and_exits(capsys):
    call_command("run_worker", once=True)

    assert capsys.readouterr().out == "2 rows worked on\n", "the two of the schedule"
    assert alive(timezone.now())


def test_a_row_killed_half_way_is_done_by_the_next_worker(add, now):
    """A kill leaves a lease behind and nothing else."""
    add("event")

    class Killed(BaseException):
        pass

    def perform(row, now):
        raise Killed

    with pytest.raises(Killed):
        worker_for(perform, now).drain()

    done = []
    assert worker_for(lambda row, now: done.append(row), now).drain() == 0
    worker_for(lambda row, now: done.append(row), now + timedelta(seconds=121)).drain()
    assert len(done) == 1

"""Jobs on queues, and the workers that serve them."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

import notifications.jobs
import usage.jobs
from billing.models import InboundWebhook
from jobs import overview, worker
from jobs.models import Heartbeat
from jobs.worker import RowJob, Worker, jobs_on
from vocalis.management.commands import run_all

ROWS = InboundWebhook.objects


@pytest.fixture
def spoken(monkeypatch) -> list[str]:
    """A job on the queue "speech", listed by an app as any other; what it did."""
    done: list[str] = []
    speak = RowJob(
        "test.speak", InboundWebhook, lambda row, now: done.append(row.event_id), queue="speech"
    )
    monkeypatch.setattr(usage.jobs, "JOBS", [*usage.jobs.JOBS, speak])
    return done


def beat(now, *queues: str) -> None:
    Heartbeat.objects.create(
        worker="-".join(queues), started_at=now, beat_at=now, queues=list(queues)
    )


def test_what_takes_long_is_on_the_queue_of_speech_and_all_else_on_the_default_one():
    assert worker.queues() == ["default", "speech", "webhooks"]
    assert {job.name for job in jobs_on(["speech"])} == {
        "generations.speak",
        "audio.expire",
        "audio.lengthen",
        "audio.give_up",
        "copies.delete",
    }
    assert jobs_on(["default", "speech", "webhooks"]) == worker.all_jobs()


def test_a_worker_runs_the_jobs_of_its_queues_only(spoken):
    assert "test.speak" in {job.name for job in jobs_on(["speech"])}
    assert "test.speak" not in {job.name for job in jobs_on(["default"])}
    assert jobs_on(["default", "speech", "webhooks"]) == worker.all_jobs()


@pytest.mark.django_db
def test_run_worker_serves_the_queue_it_is_started_for(spoken, now):
    ROWS.create(event_id="event", type="webhooks.test", payload={}, received_at=now, due_at=now)

    call_command("run_worker", once=True, queue=["speech"])

    assert spoken == ["event"]
    assert Heartbeat.objects.get().queues == ["speech"]


@pytest.mark.django_db
def test_run_worker_serves_the_default_queue_if_none_is_named(spoken, now):
    ROWS.create(event_id="event", type="webhooks.test", payload={}, received_at=now, due_at=now)

    call_command("run_worker", once=True)

    assert spoken == [] and ROWS.get().outcome == "test received"
    assert Heartbeat.objects.get().queues == ["default"]


def test_run_worker_takes_several_queues_and_refuses_unknown_ones(spoken):
    with pytest.raises(CommandError, match="queue speach. The queues are: default, speech."):
        call_command("run_worker", "--once", "--queue", "default", "--queue", "speach")


@pytest.mark.django_db
def test_a_queue_is_served_while_a_worker_of_it_lives(spoken, now):
    assert overview.unserved_queues(now) == ["default", "speech", "webhooks"]
    beat(now, "default", "webhooks")
    assert overview.unserved_queues(now) == ["speech"]
    beat(now, "speech", "default")
    assert overview.unserved_queues(now) == []


@pytest.mark.django_db
def test_a_worker_started_anew_under_its_old_name_tells_its_new_queues(spoken, now):
    """In a container, name and process id are the same each time."""
    Worker(jobs_on(["default"]), clock=lambda: now).run_pass()
    Worker(jobs_on(["speech"]), clock=lambda: now).run_pass()

    assert Heartbeat.objects.get().queues == ["speech"]


def test_make_run_starts_a_worker_for_each_queue_that_has_jobs(spoken):
    processes = run_all.with_workers(
        {"worker": "exec python manage.py run_worker", "web": "daphne"}
    )

    assert processes == {
        "worker": "exec python manage.py run_worker",
        "web": "daphne",
        "worker-speech": "exec python manage.py run_worker --queue speech",
        "worker-webhooks": "exec python manage.py run_worker --queue webhooks",
    }


def test_make_run_starts_one_worker_where_there_is_one_queue(monkeypatch):
    monkeypatch.setattr(usage.jobs, "JOBS", [])
    monkeypatch.setattr(notifications.jobs, "JOBS", [])

    assert run_all.with_workers({"worker": "w"}) == {"worker": "w"}

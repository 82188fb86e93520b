"""The rows of hourly and daily work: who makes them, and when."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from jobs.worker import Worker
from usage.metering.reconciliation import RECONCILE
from usage.metering.schedule import make_rows
from usage.models import ReconciliationRun

RUNS = ReconciliationRun.objects


@pytest.mark.django_db
def test_a_worker_makes_the_rows_when_it_starts(now):
    worker = Worker([RECONCILE], clock=lambda: now)
    worker.stop()

    worker.run()
    assert not RUNS.exists(), "a stopped one does nothing"

    worker._pass_safely()
    assert set(RUNS.values_list("kind", flat=True)) == {"hours", "days"}


@pytest.mark.django_db
def test_a_row_that_somebody_deleted_is_made_again_within_ten_minutes(now):
    clock = [now]
    worker = Worker([RECONCILE], clock=lambda: clock[0])
    worker._pass_safely()
    RUNS.filter(kind="days").delete()

    clock[0] = now + timedelta(minutes=10)
    worker._pass_safely()

    assert RUNS.filter(kind="days").exists()


@pytest.mark.django_db
def test_rows_that_are_there_stay_as_they_are(now, django_assert_num_queries):
    make_rows(now)
    RUNS.update(due_at=now + timedelta(hours=1), since_at=now)

    with django_assert_num_queries(1):
        make_rows(now)

    assert set(RUNS.values_list("due_at", "since_at")) == {(now + timedelta(hours=1), now)}


@pytest.mark.django_db(transaction=True)
def test_workers_that_start_together_make_one_row_of_each_kind(now):
    barrier = threading.Barrier(4)

    def start() -> None:
        try:
            barrier.wait()
            make_rows(now)
        finally:
            connection.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(RUNS.values_list("kind", flat=True)) == ["days", "hours"]

"""The worker as a real process, between a real database and the sandbox as a real process:
stopped, killed, restarted."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone

from accounts.models import Customer
from jobs.models import Heartbeat

from . import processes
from .processes import WAIT_SECONDS, wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
# How long the sandbox thinks about a call, so that a signal arrives while one is in hand.
CALL_SECONDS = 1.5


@pytest.fixture
def metronome(tmp_path):
    with processes.sandbox(tmp_path / "sandbox.log") as client:
        yield client


@pytest.fixture
def start_worker(metronome, tmp_path):
    """Start a worker process on the test's own database."""
    database_url = processes.own_database_url()
    env = processes.settings_env(database_url=database_url, metronome_url=str(metronome.base_url))
    with ExitStack() as started:

        def start():
            log = tmp_path / f"worker-{len(list(tmp_path.iterdir()))}.log"
            return started.enter_context(processes.running(log, "manage.py", "run_worker", env=env))

        yield start


def customers_at(metronome: httpx.Client) -> list[dict]:
    return metronome.get("/v1/customers").json()["data"]


def slow_down(metronome: httpx.Client, path: str) -> None:
    metronome.post(
        "/_sandbox/faults",
        json={"match": path, "kind": "delay", "seconds": CALL_SECONDS, "times": None},
    )


def leased() -> bool:
    return Customer.objects.exclude(lease=None).exists()


def test_sigterm_finishes_the_row_in_hand_and_exits_with_0(metronome, start_worker, alice, bob):
    slow_down(metronome, "/v1/customers")
    worker = start_worker()
    wait_until(leased, "row in hand")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(WAIT_SECONDS) == 0
    assert not leased(), "the row in hand was settled"
    provisioned = Customer.objects.exclude(metronome_id=None)
    assert [customer["id"] for customer in customers_at(metronome)] == [
        one.metronome_id for one in provisioned
    ]
    assert provisioned.count() == 1, "the other row was not begun"
    assert not Heartbeat.objects.exists()


def test_killed_in_the_middle_of_a_call_loses_and_doubles_nothing(metronome, start_worker, alice):
    """Killed after Metronome made the customer and before we knew of it: the worst moment."""
    # The first call looks for the customer, the second makes it; its answer is held back.
    metronome.post(
        "/_sandbox/faults", json={"match": "/v1/customers", "kind": "timeout_after", "every": 2}
    )
    worker = start_worker()
    wait_until(
        lambda: metronome.get("/_sandbox/state").json()["counts"]["customers"] == 1,
        "customer at Metronome",
    )
    worker.kill()
    worker.wait()
    assert leased() and not Customer.objects.exclude(metronome_id=None).exists()
    metronome.delete("/_sandbox/faults")

    Customer.objects.update(
        leased_until=timezone.now() - timedelta(seconds=1), due_at=timezone.now()
    )
    start_worker()
    wait_until(lambda: Customer.objects.exclude(metronome_id=None).exists(), "provisioned customer")

    (made,) = customers_at(metronome)
    assert Customer.objects.get().metronome_id == made["id"]
    assert alice.stable_alias in made["ingest_aliases"]


def test_two_workers_share_the_rows(metronome, start_worker, alice, bob):
    first, second = start_worker(), start_worker()
    wait_until(
        lambda: Customer.objects.filter(metronome_id=None).count() == 0, "provisioned customers"
    )
    wait_until(lambda: Heartbeat.objects.count() == 2, "two heartbeats")

    assert len(customers_at(metronome)) == 2
    for worker in (first, second):
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WAIT_SECONDS) == 0

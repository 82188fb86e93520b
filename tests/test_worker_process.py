"""The worker as a real process, between a real database and the sandbox as a real process: stopped, killed, restarted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Customer
from jobs.models import Heartbeat

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
WAIT_SECONDS = 40
CALL_SECONDS = 1.5  # how long the sandbox thinks about a call, so that a signal arrives while one is in hand


def wait_until(condition, what: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < until, f"no {what} within {WAIT_SECONDS} seconds"
        time.sleep(0.05)


@pytest.fixture
def metronome(tmp_path):
    """The sandbox on a port of its own, as an HTTP client of it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sandbox", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer sandbox"}) as client:
            wait_until(lambda: answers(client), "sandbox")
            yield client
        process.kill()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/_sandbox/clock").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def start_worker(metronome, tmp_path):
    """Start a worker process on the test's own database; its output goes to a file that a failing test shows."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        database_url = f"sqlite:///{database['NAME']}"
    else:
        database_url = urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path=f"/{database['NAME']}").geturl()
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "vocalis.settings", "ENV_FILE": ".env.example", "DATABASE_URL": database_url,
        "METRONOME_API_URL": str(metronome.base_url),
    }  # fmt: skip
    started: list[subprocess.Popen] = []

    def start() -> subprocess.Popen:
        log = (tmp_path / f"worker-{len(started)}.log").open("wb")
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "run_worker"], env=env, stdout=log, stderr=subprocess.STDOUT
        )
        log.close()
        started.append(worker)
        return worker

    yield start
    for worker in started:
        if worker.poll() is None:
            worker.kill()
        worker.wait()
    for log in sorted(tmp_path.glob("worker-*.log")):
        print(log.read_text())  # noqa: T201  pytest shows it when the test failed


def customers_at(metronome: httpx.Client) -> list[dict]:
    return metronome.get("/v1/customers").json()["data"]


def slow_down(metronome: httpx.Client, path: str) -> None:
    metronome.post("/_sandbox/faults", json={"match": path, "kind": "delay", "seconds": CALL_SECONDS, "times": None})


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
    assert [customer["id"] for customer in customers_at(metronome)] == [one.metronome_id for one in provisioned]
    assert provisioned.count() == 1, "the other row was not begun"
    assert not Heartbeat.objects.exists()


def test_killed_in_the_middle_of_a_call_loses_and_doubles_nothing(metronome, start_worker, alice):
    """Killed after Metronome made the customer and before we knew of it: the worst moment."""
    # The first call looks for the customer, the second makes it; its answer is held back.
    metronome.post("/_sandbox/faults", json={"match": "/v1/customers", "kind": "timeout_after", "every": 2})
    worker = start_worker()
    wait_until(lambda: metronome.get("/_sandbox/state").json()["counts"]["customers"] == 1, "customer at Metronome")
    worker.kill()
    worker.wait()
    assert leased() and not Customer.objects.exclude(metronome_id=None).exists()
    metronome.delete("/_sandbox/faults")

    Customer.objects.update(leased_until=timezone.now() - timedelta(seconds=1), due_at=timezone.now())
    start_worker()
    wait_until(lambda: Customer.objects.exclude(metronome_id=None).exists(), "provisioned customer")

    (made,) = customers_at(metronome)
    assert Customer.objects.get().metronome_id == made["id"]
    assert alice.stable_alias in made["ingest_aliases"]


def test_two_workers_share_the_rows(metronome, start_worker, alice, bob):
    first, second = start_worker(), start_worker()
    wait_until(lambda: Customer.objects.filter(metronome_id=None).count() == 0, "provisioned customers")
    wait_until(lambda: Heartbeat.objects.count() == 2, "two heartbeats")

    assert len(customers_at(metronome)) == 2
    for worker in (first, second):
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(WAIT_SECONDS) == 0

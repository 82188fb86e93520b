"""Event streams in a real daphne process:
what many of them hold, and that it stops cleanly under them."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from billing import ledger
from billing.live.wake import wake
from conftest import fund, make_customer

from .processes import WAIT_SECONDS, own_database_url
from .stopwatch import Stopwatch

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

STREAMS = 200
APPLICATION = "streams under test"  # as PostgreSQL knows its connections
CUSTOMERS = 10  # of twenty streams each, the most one may have


@contextmanager
def web():
    """A daphne on the test's database; yields the process and its port."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "ENV_FILE": ".env.example",
        "DATABASE_URL": own_database_url(),
        "DJANGO_SETTINGS_MODULE": "vocalis.settings",
        "PGAPPNAME": APPLICATION,
    }
    command = [
        sys.executable,
        "-m",
        "daphne",
        "-b",
        "127.0.0.1",
        "-p",
        str(port),
        "vocalis.asgi:application",
    ]
    log = settings.VAR_DIR / f"web-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=settings.BASE_DIR, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: answers(port), seconds=30)
        yield process, port, log
    finally:
        process.kill()
        process.wait()
        log.unlink()


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def open_stream(sockets, port, customer, cookie):
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(
        f"GET /api/webhooks/events/{customer.metronome_id} HTTP/1.1\r\nHost: localhost\r\n"
        f"Cookie: sessionid={cookie}\r\n\r\n".encode()
    )
    sockets.append(client)
    return client


def read_until(client, text):
    received = b""
    while text not in received:
        part = client.recv(65536)
        assert part, f"the stream ended after {received!r}"
        received += part
    return received


@pytest.fixture
def sockets():
    opened = []
    yield opened
    for each in opened:
        each.close()


@pytest.fixture
def customers(now):
    made = []
    for number in range(CUSTOMERS):
        customer = make_customer(f"listener{number}@example.com", "Lis")
        customer.metronome_id = f"m-{number}"
        customer.save(update_fields=["metronome_id"])
        fund(customer, 500, now)
        made.append(customer)
    return made


@pytest.fixture
def cookies(customers):
    found = []
    for customer in customers:
        client = Client()
        client.force_login(customer.user)
        found.append(client.cookies["sessionid"].value)
    return found


def database_processes():
    """Of PostgreSQL, that work for this database, if they run on this machine."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        return [pid for (pid,) in cursor.fetchall()]


def database_connections(process):
    """How many connections to the database the process holds.

    On SQLite each has the write-ahead log open once. The database file itself tells less: SQLite
    keeps what it has to close while another connection of the process holds a lock on it.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = %s",
                [APPLICATION],
            )
            return cursor.fetchone()[0]
    names = [os.path.realpath(file) for file in Path(f"/proc/{process.pid}/fd").iterdir()]
    return names.count(os.path.realpath(connection.settings_dict["NAME"]) + "-wal")


def test_two_hundred_streams_hold_few_threads_and_connections_and_let_the_process_stop(
    sockets, customers, cookies, now
):
    with web() as (process, port, log):
        clients = [
            open_stream(sockets, port, customers[number % CUSTOMERS], cookies[number % CUSTOMERS])
            for number in range(STREAMS)
        ]
        for client in clients:
            read_until(client, b"event: balance_updated")

        since_change = Stopwatch(process.pid, *database_processes())
        ledger.reserve(
            wallet_id=customers[0].wallet.id, key="k", amount=10, now=now + timedelta(seconds=1)
        )
        wake(customers[0].wallet.id)
        for client in clients[::CUSTOMERS]:
            assert b'"available": 490' in read_until(client, b'"version": 2')
        # Redis carries the wake-up to the other process; without it the watcher has to notice.
        assert since_change.seconds() < (0.5 if settings.REDIS_URL else 2)

        assert len(list(Path(f"/proc/{process.pid}/task").iterdir())) <= 8
        wait_until(lambda: database_connections(process) <= 2)

        since_signal = Stopwatch(process.pid, *database_processes())
        process.send_signal(signal.SIGTERM)
        assert since_signal.seconds_until_end(process, patience_seconds=WAIT_SECONDS) < 2
        assert process.returncode == 0
        for client in clients:
            assert client.recv(65536).endswith(b"0\r\n\r\n"), "the response was cut off, not ended"
        assert not re.search("Traceback|ERROR", log.read_text())


def test_a_client_that_leaves_gives_everything_back(sockets, customers, cookies):
    with web() as (process, port, _log):
        clients = [open_stream(sockets, port, customers[0], cookies[0]) for _ in range(5)]
        for client in clients:
            read_until(client, b"event: balance_updated")
        # The watcher's. The server may still be taking leave of the connection that answered a
        # client.
        wait_until(lambda: database_connections(process) == 1)

        for client in clients:
            client.close()

        wait_until(lambda: database_connections(process) == 0)

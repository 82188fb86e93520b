"""More requests than a web process works on at once, with a real daphne:
they wait, and the database is not overrun."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from conftest import fund

from . import processes

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

AT_ONCE = 150  # PostgreSQL takes 100 connections
PATHS = ["/billing/", "/health", "/usage/", "/api/billing/balance", "/nowhere/"]


@pytest.fixture
def cookie(alice, now):
    fund(alice, 500, now)
    client = Client()
    client.force_login(alice.user)
    return {"sessionid": client.cookies["sessionid"].value}


@contextmanager
def counted_connections():
    """The numbers of connections to the test's database,
    all along but for the one that counts and the test's own."""
    mine, over, counts = connection.settings_dict, threading.Event(), []
    ours = {
        "host": mine["HOST"],
        "port": mine["PORT"],
        "user": mine["USER"],
        "password": mine["PASSWORD"],
    }
    ask = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = %s AND pid <> %s AND backend_type = 'client backend'"
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        own = cursor.fetchone()[0]

    def count() -> None:
        with psycopg.connect(**ours, dbname="postgres", autocommit=True) as database:
            while not over.is_set():
                counts.append(database.execute(ask, [mine["NAME"], own]).fetchone()[0])
                time.sleep(0.005)

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield counts
    finally:
        over.set()
        counting.join()


def all_at_once(client, cookie, number):
    start = threading.Barrier(number)

    def get(at: int) -> httpx.Response:
        start.wait()
        with processes.direct(
            str(client.base_url), cookies=cookie, timeout=60, follow_redirects=True
        ) as own:
            return own.get(PATHS[at % len(PATHS)])

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(get, range(number)))


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no maximum of connections"
)
def test_150_requests_at_once_are_all_answered_within_the_connections_of_the_settings(
    cookie, tmp_path
):
    env = processes.settings_env(
        database_url=processes.own_database_url(), metronome_url="http://localhost:1"
    )
    with processes.web(tmp_path / "web.log", env) as client, counted_connections() as counts:
        answers = all_at_once(client, cookie, AT_ONCE)

    assert {answer.status_code for answer in answers} == {200, 404}
    assert 1 < max(counts) <= settings.WEB_REQUESTS + 3


def test_open_streams_take_no_thread_of_the_requests(cookie, alice, tmp_path):
    alice.metronome_id = "m-1"
    alice.save(update_fields=["metronome_id"])
    url = processes.own_database_url()
    env = processes.settings_env(
        database_url=url, metronome_url="http://localhost:1", WEB_REQUESTS="1"
    )
    with processes.web(tmp_path / "web.log", env) as client, ExitStack() as opened:
        for _ in range(15):
            stream = opened.enter_context(
                client.stream("GET", "/api/webhooks/events/m-1", cookies=cookie)
            )
            assert "connected" in next(stream.iter_text())

        answers = all_at_once(client, cookie, 10)

    assert {answer.status_code for answer in answers} == {200, 404}

"""Real processes for tests:
the sandbox, the worker and the web server on ports and databases of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import waitress
from django.conf import settings
from django.db import connection

import stripe_sandbox
from billing.plans import PRICING_UNIT_NAME

WAIT_SECONDS = 40
NOBODY = "http://127.0.0.1:9"  # nobody answers there


def wait_until(condition: Callable[[], object], what: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < until, f"no {what} within {WAIT_SECONDS} seconds"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def settings_env(*, database_url: str, metronome_url: str, **more: str) -> dict[str, str]:
    """The environment of a process: .env.example, with this database and this Metronome."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "vocalis.settings",
        "ENV_FILE": ".env.example",
        "REDIS_URL": "",
        "DATABASE_URL": database_url,
        "METRONOME_API_URL": metronome_url,
        "STRIPE_API_URL": NOBODY,
        "SPEECH_WARM": "off",  # most tests speak nothing
        **more,
    }


def direct(base_url: str = "", **options: Any) -> httpx.Client:
    """A client for processes of this machine, which no proxy of the environment knows."""
    return httpx.Client(base_url=base_url, trust_env=False, **options)


@contextmanager
def running(
    log: Path, *command: str, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen]:
    """A Python process whose output goes to `log`,
    printed when the test is over (pytest shows it if that failed)."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        print(f"--- {log.name}\n{log.read_text()}")  # noqa: T201


@contextmanager
def sandbox(log: Path, *options: str) -> Iterator[httpx.Client]:
    """`metronome-sandbox`, as an HTTP client of it."""
    port = free_port()
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command = ["-m", "metronome_sandbox", *where, "--unit", PRICING_UNIT_NAME, *options]
    headers = {"Authorization": "Bearer sandbox"}
    with (
        running(log, *command),
        direct(f"http://127.0.0.1:{port}", headers=headers) as client,
    ):
        wait_until(lambda: answers(client, "/_sandbox/clock"), "sandbox")
        yield client


@contextmanager
def stripe(*webhooks: str) -> Iterator[tuple[stripe_sandbox.Sandbox, str]]:
    """Stripe's sandbox on a port, served by threads of this process so that a test can look inside:
    (itself, its address). It delivers to these addresses."""
    secret = settings.STRIPE_WEBHOOK_SECRETS[0]
    box = stripe_sandbox.Sandbox(
        api_keys={settings.STRIPE_SECRET_KEY: None}, webhooks=[(url, secret) for url in webhooks]
    )
    server = waitress.create_server(box.wsgi, host="127.0.0.1", port=0, threads=4)
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.1):
            box.tick()

    threads = [threading.Thread(target=work, daemon=True) for work in (server.run, tick)]
    for thread in threads:
        thread.start()
    try:
        yield box, f"http://127.0.0.1:{server.effective_port}"
    finally:
        over.set()
        # In the server's own thread, which would stumble over sockets that another one closes.
        server.trigger.pull_trigger(lambda: server.asyncore.close_all(server._map))
        for thread in threads:
            thread.join(5)
        server.task_dispatcher.shutdown()
        box.close()


@contextmanager
def web(
    log: Path, env: dict[str, str], *options: str, port: int | None = None
) -> Iterator[httpx.Client]:
    """A daphne on a port of its own, as an HTTP client of it; it answers, whatever it says."""
    with web_process(log, env, *options, port=port) as (_, client):
        yield client


@contextmanager
def web_process(
    log: Path, env: dict[str, str], *options: str, port: int | None = None
) -> Iterator[tuple[subprocess.Popen, httpx.Client]]:
    """`web`, with the process itself."""
    port = port or free_port()
    command = [
        "-m",
        "daphne",
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        *options,
        "vocalis.asgi:application",
    ]
    with (
        running(log, *command, env=env) as process,
        direct(f"http://127.0.0.1:{port}", timeout=WAIT_SECONDS) as client,
    ):
        wait_until(lambda: answers(client, "/health", 200, 503), "web server")
        yield process, client


@contextmanager
def site(folder: Path, **more: str) -> Iterator[httpx.Client]:
    """A web process that speaks, on the test's own database; it knows its address."""
    port = free_port()
    env = settings_env(
        database_url=own_database_url(),
        metronome_url=NOBODY,
        MEDIA_ROOT=str(folder / "media"),
        AUDIO_CACHE=str(folder / "cache"),
        SITE_URL=f"http://127.0.0.1:{port}",
        **more,
    )
    with web(folder / f"web-{port}.log", env, port=port) as client:
        yield client


def sqlite_url(path: Path | str) -> str:
    return f"sqlite:///{quote(str(path))}"


def own_database_url() -> str:
    """Of the database this test runs on, for other processes."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return sqlite_url(database["NAME"])
    return urlsplit(os.environ["TEST_DATABASE_URL"])._replace(path=f"/{database['NAME']}").geturl()


def answers(client: httpx.Client, path: str, *statuses: int) -> bool:
    try:
        return client.get(path).status_code in (statuses or (200,))
    except httpx.TransportError:
        return False

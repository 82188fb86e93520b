"""`metronome-sandbox` as a process."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from metronome import APITimeoutError, Metronome

from metronome_sandbox import Sandbox
from metronome_sandbox.__main__ import arguments
from metronome_sandbox.delivery import sign
from metronome_sandbox.kit import delivery
from metronome_sandbox.kit.delivery import send_over_http

from .conftest import client_of
from .served import free_port
from .world import NOW

pytestmark = pytest.mark.process


@contextmanager
def receiving(may_answer=None):
    """A receiver over HTTP; answers at once, or when the event says so.
    Yields its address and what it received."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((body, dict(self.headers)))
            if may_answer:
                may_answer.wait(10)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hooks", received
        server.shutdown()


@pytest.fixture
def receiver():
    with receiving() as found:
        yield found


@pytest.fixture
def served(receiver, tmp_path):
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "metronome_sandbox",
        "--port",
        str(port),
        "--api-key",
        "k",
        "--webhook-url",
        receiver[0],
    ]
    command += [
        "--webhook-secret",
        "s",
        "--state",
        str(tmp_path / "state.sqlite3"),
        "--evaluate-every",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == f"Metronome sandbox on http://localhost:{port}\n"
    yield process, port
    process.kill()
    process.communicate()


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_it_serves_sends_signed_webhooks_and_stops_when_told(served, receiver):
    process, port = served
    received = receiver[1]
    direct = httpx.Client(trust_env=False)
    with Metronome(
        bearer_token="k", base_url=f"http://localhost:{port}", max_retries=0, http_client=direct
    ) as client:
        assert client.v1.customers.create(name="Alice").data.name == "Alice"
        client.post("/_sandbox/webhooks/test", cast_to=object)
        wait_for(lambda: received)
        body, headers = received[0]
        assert json.loads(body)["type"] == "webhooks.test"
        assert headers["Metronome-Webhook-Signature"] == sign(
            "s", headers["X-Metronome-Date"], body
        )

        client.post(
            "/_sandbox/faults",
            cast_to=object,
            body={"match": "/v1/customers", "kind": "timeout_after", "seconds": 1},
        )
        with pytest.raises(APITimeoutError):
            client.with_options(timeout=0.3).v1.customers.create(name="Bob")
        wait_for(lambda: len(list(client.v1.customers.list())) == 2)

    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert time.monotonic() - started < 5


def test_an_answer_swallowed_by_the_server_is_a_broken_connection(served):
    _, port = served
    with httpx.Client(
        trust_env=False, base_url=f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer k"}
    ) as http:
        http.post(
            "/_sandbox/faults",
            json={"match": "/v1/customers", "kind": "timeout_before", "seconds": 0},
        )
        with pytest.raises(httpx.RemoteProtocolError):
            http.get("/v1/customers")
        assert http.get("/v1/customers").status_code == 200


def test_a_port_in_use_is_one_clear_line_and_exit_2():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "metronome_sandbox",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert run.returncode == 2
    assert run.stderr == f"The sandbox cannot listen on 127.0.0.1:{port}: Address already in use.\n"


def test_one_secret_serves_all_urls_and_a_missing_one_is_refused(capsys):
    options = arguments(
        ["--webhook-url", "http://a", "--webhook-url", "http://b", "--webhook-secret", "s"]
    )
    assert [secret for _, secret in options.webhooks] == ["s", "s"]
    with pytest.raises(SystemExit):
        arguments(["--webhook-url", "http://a"])
    assert "--webhook-secret" in capsys.readouterr().err


def test_a_clock_begins_where_it_is_told_and_everything_is_evaluated_at_once(capsys):
    options = arguments(["--now", "2026-03-10T09:00:00Z"])
    assert (options.now, options.evaluate_every) == (datetime(2026, 3, 10, 9, tzinfo=UTC), 0)
    assert arguments([]).evaluate_every == 1
    with pytest.raises(SystemExit):
        arguments(["--now", "soon"])
    assert "2026-03-10T09:00:00Z" in capsys.readouterr().err


def test_a_receiver_sees_the_real_date_wherever_the_clock_stands(receiver):
    box = Sandbox(now=NOW, webhooks=[(receiver[0], "s")])
    client_of(box).post("/_sandbox/webhooks/test", cast_to=object)
    box.tick()

    wait_for(lambda: receiver[1])
    sent = parsedate_to_datetime(receiver[1][0][1]["Date"])
    assert abs(datetime.now(UTC) - sent) < timedelta(hours=1)


def test_a_slow_receiver_delays_neither_another_nor_the_clock(receiver, monkeypatch):
    monkeypatch.setattr(delivery, "PATIENCE_SECONDS", 0.1)
    may_answer = threading.Event()
    with receiving(may_answer) as (slow_url, slow):
        box = Sandbox(webhooks=[(slow_url, "s"), (receiver[0], "s")])
        client = client_of(box)
        for expected in (1, 2, 3):
            client.post("/_sandbox/webhooks/test", cast_to=object)
            box.tick()
            wait_for(lambda expected=expected: len(receiver[1]) == expected)
        assert len(slow) == 1  # one at a time, in order

        may_answer.set()
        wait_for(lambda: [box.tick(), len(slow)][1] == 3)

    assert [body for body, _ in slow] == [body for body, _ in receiver[1]]
    wait_for(lambda: {row["status"] for row in box.deliveries} == {200})


@pytest.mark.parametrize("no_proxy", ["", "localhost"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_deliveries_to_this_machine_go_past_a_proxy(proxy, receiver, monkeypatch, host, no_proxy):
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert send_over_http(receiver[0].replace("127.0.0.1", host), b"{}", {}) == 200

    assert proxy == []
    assert [body for body, _ in receiver[1]] == [b"{}"]


def test_deliveries_to_elsewhere_take_the_proxy(proxy):
    assert send_over_http("http://hooks.example/hooks", b"{}", {}) == 504

    assert proxy == ["http://hooks.example/hooks"]

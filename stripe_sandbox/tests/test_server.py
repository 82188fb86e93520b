"""`python -m stripe_sandbox` as a process, and the official client over real HTTP."""

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
import stripe

from stripe_sandbox.__main__ import arguments

from .world import CARD, VERSION, VISA

pytestmark = pytest.mark.process
KEY = "rk_test_shop=*:write"


@contextmanager
def receiving():
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((body, self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hooks", received
        server.shutdown()


@pytest.fixture
def served(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with receiving() as (url, received):
        command = [sys.executable, "-m", "stripe_sandbox", "--port", str(port), "--api-key", KEY]
        command += ["--webhook-url", url, "--webhook-secret", "whsec_s"]
        command += ["--state", str(tmp_path / "state.sqlite3")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == f"Stripe sandbox on http://localhost:{port}\n"
        yield process, port, received
        process.kill()
        process.communicate()


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_it_serves_the_official_client_pages_and_webhooks(served, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "localhost")
    process, port, received = served
    origin = f"http://localhost:{port}"
    client = stripe.StripeClient(
        "rk_test_shop",
        stripe_version=VERSION,
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=(5, 0.5)),
        base_addresses={"api": origin},
    )
    alice = client.v1.customers.create({"email": "alice@example.com"})
    session = client.v1.checkout.sessions.create(
        {
            "mode": "setup",
            "currency": "usd",
            "customer": alice.id,
            "success_url": "https://shop.example/{CHECKOUT_SESSION_ID}",
        }
    )
    assert session.url.startswith(f"{origin}/c/pay/cs_test_")
    with httpx.Client(trust_env=False) as browser:
        done = browser.post(session.url, data={"number": VISA, **CARD}, headers={"Origin": origin})
        assert done.headers["Location"] == f"https://shop.example/{session.id}"
        assert "Stripe, emulated" in browser.get(origin).text
        browser.post(
            f"{origin}/_sandbox/faults",
            json={"match": "/v1/payment_intents", "kind": "timeout_after", "seconds": 1},
            headers={"Authorization": "Bearer rk_test_shop"},
        )
    card = client.v1.customers.payment_methods.list(alice.id).data[0]
    params = {
        "amount": 1900,
        "currency": "usd",
        "customer": alice.id,
        "payment_method": card.id,
        "confirm": True,
        "off_session": True,
    }
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create(params, options={"idempotency_key": "k"})
    paid = client.v1.payment_intents.create(params, options={"idempotency_key": "k"})
    assert paid.last_response.headers["Idempotent-Replayed"] == "true"
    wait_for(lambda: len(received) >= 8)
    types = [stripe.Webhook.construct_event(*one, "whsec_s").type for one in received]
    assert "checkout.session.completed" in types and "payment_intent.succeeded" in types

    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert time.monotonic() - started < 5


def test_arguments_are_checked_before_it_starts(capsys):
    options = arguments(["--api-key", "sk_test_a", "--api-key", "rk_test_b=charge:read,customer"])
    assert options.api_keys == {
        "sk_test_a": None,
        "rk_test_b": {"charge": "read", "customer": "write"},
    }
    for argv, words in (
        (["--api-key", "secret"], "a key is sk_test_"),
        (["--webhook-url", "http://a"], "--webhook-secret"),
    ):
        with pytest.raises(SystemExit):
            arguments(argv)
        assert words in capsys.readouterr().err

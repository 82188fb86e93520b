"""Where another emulator does what Stripe does, ours must agree with it.

localstripe (GPL-3) runs as a process in an environment of its own, which `localstripe.txt` pins;
nothing of it is imported. It has five calls right: a customer, a card attached, a charge off
session, a decline, a signed webhook."""

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import stripe

from stripe_sandbox import Sandbox

from .world import KEY, client_of

# Its packages are installed once, which may take minutes.
pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
PINS = Path(__file__).parent / "localstripe.txt"
VAR = Path(__file__).parents[2] / "var"
SECRET = "whsec_test"
SECONDS = 60


@pytest.fixture(scope="module")
def python():
    """The interpreter of the environment, made once for all tests of a checkout."""
    folder = VAR / f"localstripe-{hashlib.sha256(PINS.read_bytes()).hexdigest()[:12]}"
    VAR.mkdir(exist_ok=True)
    with (VAR / "localstripe.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            command = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-input"]
            done = subprocess.run([*command, "-r", PINS], capture_output=True, timeout=300)
            if done.returncode:
                pytest.skip("localstripe could not be installed: is there no network?")
            (folder / "whole").touch()
    return folder / "bin/python"


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
def other(python, tmp_path, monkeypatch):
    """The other emulator's client, and what it delivered."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    origin = f"http://127.0.0.1:{port}"
    command = [python, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    environment = {**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with receiving() as (url, received):
            register = urllib.request.Request(
                f"{origin}/_config/webhooks/shop",
                data=json.dumps({"url": url, "secret": SECRET}).encode(),
                headers={"Content-Type": "application/json"},
            )
            wait_for(lambda: answers(register), process)
            client = stripe.StripeClient(KEY, max_network_retries=0, base_addresses={"api": origin})
            yield client, received
    finally:
        process.kill()
        process.wait()


def answers(request):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=5):
            return True
    except urllib.error.HTTPError:
        raise
    except OSError:
        return False


def wait_for(condition, process=None):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        assert process is None or process.poll() is None, "localstripe ended at once"
        time.sleep(0.05)


def day(client):
    """What a shop sees of the five calls, with whatever is named differently left out."""
    v1 = client.v1
    alice = v1.customers.create({"email": "alice@example.com", "metadata": {"row": "7"}})

    def charge(name):
        card = v1.payment_methods.attach(name, {"customer": alice.id})
        intent = v1.payment_intents.create(
            {
                "amount": 1900,
                "currency": "usd",
                "customer": alice.id,
                "payment_method": card.id,
                "confirm": True,
                "off_session": True,
            }
        )
        return card, intent

    card, paid = charge("pm_card_visa")
    with pytest.raises(stripe.StripeError) as caught:
        charge("pm_card_chargeCustomerFail")
    return {
        "customer": (alice.object, alice.email, alice.metadata.to_dict(), alice.livemode),
        "card": (
            card.object,
            card.type,
            card.card.brand,
            card.card.last4,
            card.customer == alice.id,
        ),
        "paid": (
            paid.object,
            paid.status,
            paid.amount,
            paid.currency,
            paid.payment_method == card.id,
        ),
        "declined": (caught.value.http_status, caught.value.code),
    }


def told(received):
    """The types of the events that the official client accepts, of those both send."""
    events = [stripe.Webhook.construct_event(*one, SECRET) for one in received]
    names = {"customer.created", "payment_intent.succeeded", "payment_intent.payment_failed"}
    return {event.type for event in events if event.type in names}


def test_both_agree_on_the_five_calls_they_share(other):
    client, received = other
    theirs = day(client)
    delivered = []

    def sender(url, body, headers):
        delivered.append((body, headers["Stripe-Signature"]))
        return 200

    box = Sandbox(webhooks=[("http://app", SECRET)], sender=sender)
    ours = day(client_of(box))
    box.tick()

    assert ours == theirs
    assert ours["declined"] == (402, "card_declined")
    wait_for(lambda: told(received) == told(delivered))

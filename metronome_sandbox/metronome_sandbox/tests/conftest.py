"""The real SDK, in process, refusing any answer that is not exactly the published shape."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from metronome import Metronome

from metronome_sandbox import Sandbox

from .world import NOW, Shop, Wire


@pytest.fixture(autouse=True)
def closed_at_the_end(monkeypatch):
    """Every sandbox that a test makes. From Python 3.13 on an open database warns when it goes."""
    made = []
    begin = Sandbox.__init__

    def noted(sandbox, *arguments, **options):
        begin(sandbox, *arguments, **options)
        made.append(sandbox)

    monkeypatch.setattr(Sandbox, "__init__", noted)
    yield
    for sandbox in made:
        sandbox.close()


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def box(wire):
    return Sandbox(
        now=NOW,
        webhooks=[("http://app/hooks", "secret")],
        sender=wire,
        evaluate_every_seconds=0,
        seed=7,
    )


@pytest.fixture
def client(box):
    return client_of(box)


def client_of(box, **options):
    options = {"max_retries": 0, "_strict_response_validation": True, **options}
    http_client = httpx.Client(transport=box.transport())
    return Metronome(
        bearer_token="sandbox", base_url="http://sandbox", http_client=http_client, **options
    )


@pytest.fixture
def shop(client):
    return Shop(client)


@pytest.fixture
def proxy(monkeypatch):
    """The environment of a company network: a proxy for everything, which reaches nothing of this
    machine. The list of the addresses it was asked for."""
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.send_error(504)

        def log_message(self, *args):
            pass

    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()

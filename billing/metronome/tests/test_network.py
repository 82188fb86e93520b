"""Calls to this machine go to this machine, whatever proxy the network has; all others take it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from billing import metronome
from billing.metronome.network import is_local


@pytest.fixture
def local():
    """A Metronome of this machine that knows nobody. Yields its port."""

    class Nobody(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"data": [], "next_page": null}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with HTTPServer(("0.0.0.0", 0), Nobody) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def client(settings):
    """Make the product's own client of this address."""
    made = metronome.client.client.__wrapped__

    def client(url):
        settings.METRONOME_API_URL = url
        return made()

    return client


@pytest.mark.parametrize("no_proxy", ["", "localhost", "example.com"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2"])
def test_the_sdk_reaches_this_machine_past_a_proxy(proxy, local, client, monkeypatch, host, no_proxy):
    monkeypatch.setenv("NO_PROXY", no_proxy)

    with client(f"http://{host}:{local}") as ours:
        assert list(ours.v1.customers.list()) == []

    assert proxy == []


def test_the_sdk_asks_the_proxy_for_everything_else(proxy, client):
    with client("http://metronome.example") as ours, pytest.raises(Exception, match="504"):
        ours.v1.customers.list()

    assert proxy == ["http://metronome.example/v1/customers"]


def test_a_proxy_the_sdk_cannot_speak_to_does_not_keep_it_from_this_machine(proxy, local, client, monkeypatch):
    """httpx makes the transports of all proxies at once, and of this one only with another package."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")

    with client(f"http://localhost:{local}") as ours:
        assert list(ours.v1.customers.list()) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8100", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1:8100/v1", True),
        ("http://127.255.0.9", True),
        ("http://[::1]:8100", True),
        ("https://api.metronome.com", False),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
        ("http://[::2]", False),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_addresses(url, expected):
    assert is_local(url) is expected

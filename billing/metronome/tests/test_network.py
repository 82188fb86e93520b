"""Calls to this machine bypass the environment's proxies; all other calls use them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from billing import metronome
from billing.metronome.network import is_local


@pytest.fixture
def local():
    """A server on this machine without any customers. Yields its port."""

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
    """Returns a function that creates the production client for an address."""
    made = metronome.client.client.__wrapped__

    def client(url):
        settings.METRONOME_API_URL = url
        return made()

    return client


@pytest.mark.parametrize("no_proxy", ["", "localhost", "example.com"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2"])
def test_the_sdk_calls_this_machine_without_a_proxy(
    proxy, local, client, monkeypatch, host, no_proxy
):
    monkeypatch.setenv("NO_PROXY", no_proxy)

    with client(f"http://{host}:{local}") as ours:
        assert list(ours.v1.customers.list()) == []

    assert proxy == []


def test_the_sdk_uses_the_proxy_for_other_machines(proxy, client):
    with client("http://metronome.example") as ours, pytest.raises(Exception, match="504"):
        ours.v1.customers.list()

    assert proxy == ["http://metronome.example/v1/customers"]


def test_an_unsupported_proxy_does_not_prevent_calls_to_this_machine(
    proxy, local, client, monkeypatch
):
    """httpx creates the transports of all proxies at once, and needs a package for SOCKS."""
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

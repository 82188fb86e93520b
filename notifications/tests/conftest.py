"""A program of a customer's that receives webhooks, and an endpoint that leads to it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from jobs import queue
from notifications import delivery, emit, endpoints
from notifications.kinds import KINDS
from notifications.models import OutboundWebhook


class Receiver(ThreadingHTTPServer):
    """Keeps what it gets. `answers`: (status, headers, body) of the next ones; then it says 204.

    `before_answer` is called in the meantime.
    """

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[SimpleNamespace] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.before_answer = lambda handler: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks"

    def handle_error(self, request, client_address):
        """A client that has gone away is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(
            SimpleNamespace(path=self.path, headers=dict(self.headers.items()), body=body)
        )
        self.server.before_answer(self)
        answers = self.server.answers
        status, headers, text = answers.pop(0) if answers else (204, {}, b"")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.server.got.append(SimpleNamespace(path=self.path, headers={}, body=b"GET"))
        self.send_error(405)

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver():
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def private_is_refused(settings):
    """As in production; `allow_private` is for a machine of one's own."""
    settings.WEBHOOKS_OUT_ALLOW_PRIVATE = False


@pytest.fixture
def allow_private(settings, private_is_refused):
    settings.WEBHOOKS_OUT_ALLOW_PRIVATE = True


@pytest.fixture
def endpoint(alice, receiver, allow_private, now):
    """Alice's, for every kind of event."""
    return endpoints.create(alice, receiver.url, list(KINDS), now)[0]


@pytest.fixture
def told(alice, endpoint, now):
    """An event for it that is not sent yet."""
    emit(alice.id, "voice.ready", "v1", {"voice": "v1"}, now)
    return OutboundWebhook.objects.get(endpoint=endpoint, key="v1")


@pytest.fixture
def work():
    """Deliver what is due at a moment. Returns how many rows were taken."""
    assert queue.LEASE_MAX_SECONDS > delivery.LEASE_SECONDS
    return delivery.deliver

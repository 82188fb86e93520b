"""A provider of mail on this machine: it answers over HTTP as the real ones do."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vocalis import mail_providers

TAKEN = {"ErrorCode": 0, "Message": "OK", "MessageID": "m-1", "To": "alice@example.com"}


@contextmanager
def provider(status: int = 200, answer: object = TAKEN):
    """Yields its address, and the requests it was sent: path, headers and body of each."""
    taken: list[tuple[str, dict, bytes]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            taken.append((self.path, dict(self.headers), sent))
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", taken
        server.shutdown()


def use(settings, url: str) -> None:
    """Read EMAIL_URL as the settings do."""
    found = mail_providers.read(url)
    settings.EMAIL_BACKEND, settings.ANYMAIL = found["EMAIL_BACKEND"], found["ANYMAIL"]

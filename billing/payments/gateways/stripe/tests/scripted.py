"""A server on this machine that answers the SDK with what a test has written down for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, Any]


class Scripted:
    """Answers in the order in which they were written, for each method and path."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.address = ""

    def will(self, what: str, *answers: Any, status: int = 200) -> None:
        self.answers.setdefault(what, []).extend((status, answer) for answer in answers)

    def fails(self, what: str, status: int, **error: Any) -> None:
        self.will(what, {"error": {"type": "invalid_request_error", **error}}, status=status)

    def declines(self, what: str, intent: str = "pi_1", **error: Any) -> None:
        fields = {"type": "card_error", "payment_intent": {"id": intent, "object": "x"}, **error}
        self.will(what, {"error": fields}, status=402)

    @property
    def calls(self) -> list[str]:
        return [what for what, _, _ in self.asked]

    def sent(self, at: int = -1) -> dict[str, str]:
        return self.asked[at][1]

    def headers(self, at: int = -1) -> dict[str, str]:
        return self.asked[at][2]


@contextmanager
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            fields = parse_qs(body or parts.query, keep_blank_values=True)
            what = f"{self.command} {parts.path}"
            flat = {name: values[0] for name, values in fields.items()}
            script.asked.append((what, flat, dict(self.headers.items())))
            waiting = script.answers.get(what)
            if not waiting:
                waiting = [(404, {"error": {"message": f"not in the script: {what}"}})]
            status, answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if status == 0:  # the connection breaks
                self.close_connection = True
                return
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""Between WSGI and a sandbox: bodies read, answers written, and answers lost on the way."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from metronome_sandbox.kit.faults import Fault

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

LARGEST_BODY = 10 * 2**20
LOST = "X-Sandbox-Lost"  # tells a client in this process that it is to see no answer


@dataclass(slots=True)
class Answer:
    """What goes back, whole."""

    body: bytes
    content_type: str
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)


def in_process(sandbox: Application) -> Application:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["sandbox.in_process"] = True
        return sandbox(environ, start_response)

    return app


def is_lost(mark: str, patience_seconds: float | None) -> bool:
    """Whether a client that waits so long sees no answer, by the mark in the header LOST."""
    kind, _, seconds = mark.partition(" ")
    if kind != "delay":
        return bool(kind)
    return patience_seconds is not None and float(seconds) > patience_seconds


def fits(pattern: list[str], parts: list[str], params: dict[str, str]) -> bool:
    """Whether a path fits a pattern; if so, `params` gets what stands for its {names}."""
    if len(pattern) != len(parts):
        return False
    found = {}
    for known, part in zip(pattern, parts, strict=True):
        if known.startswith("{"):
            found[known[1:-1]] = part
        elif known != part:
            return False
    params.clear()
    params.update(found)
    return True


def read_body(environ: dict[str, Any], error: Callable[[int, str], Exception]) -> bytes:
    """The whole body. Raises what `error` makes of a status and a sentence."""
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise error(400, "Content-Length is not a number") from None
    if length > LARGEST_BODY:
        raise error(413, "The request body is too large")
    stream = environ["wsgi.input"]
    # Clients without a length stream in chunks; a server that allows it marks the end of the input.
    data = (
        stream.read(length)
        if length
        else (stream.read(LARGEST_BODY + 1) if _is_chunked(environ) else b"")
    )
    if len(data) > LARGEST_BODY:
        raise error(413, "The request body is too large")
    return bytes(data)


def _is_chunked(environ: dict[str, Any]) -> bool:
    return bool(environ.get("wsgi.input_terminated")) or "HTTP_TRANSFER_ENCODING" in environ


def respond(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    headers = [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        *answer.headers,
    ]
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = "Status"
    start_response(f"{answer.status} {reason}", headers)
    return [answer.body]


def lose(
    answer: Answer,
    fault: Fault,
    environ: dict[str, Any],
    start_response: StartResponse,
    *,
    is_virtual: bool,
) -> Iterable[bytes]:
    """Delay an answer, or swallow it.
    In process there is no one to keep waiting, so the transport is told."""
    if "sandbox.in_process" in environ:
        answer.headers.append((LOST, f"{fault.kind} {fault.seconds}"))
        return respond(answer, start_response)
    if not is_virtual:
        time.sleep(fault.seconds)
    if fault.kind == "delay":
        return respond(answer, start_response)
    # Promise more than is sent, so that the server has to close the connection: the client never
    # sees an answer.
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "65536")])
    return [b""]

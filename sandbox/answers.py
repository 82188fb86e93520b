"""Between WSGI and the sandbox: bodies read, answers written, and answers lost on the way."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from sandbox.faults import Fault
from sandbox.wire import Answer, ApiError, Request, dump

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

LARGEST_BODY = 10 * 2**20


LOST = "X-Sandbox-Lost"  # tells `transport()` that the client is to see no answer


REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 409: "Conflict"}


class Transport(httpx.BaseTransport):
    def __init__(self, sandbox: Application) -> None:
        def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
            environ["sandbox.in_process"] = True
            return sandbox(environ, start_response)

        self._inner = httpx.WSGITransport(app=app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        kind, _, seconds = response.headers.get(LOST, "").partition(" ")
        patience = request.extensions.get("timeout", {}).get("read")
        if kind and (kind != "delay" or (patience is not None and float(seconds) > patience)):
            raise httpx.ReadTimeout("The sandbox was told to give no answer", request=request)
        return response


def fits(pattern: list[str], parts: list[str], request: Request) -> bool:
    if len(pattern) != len(parts):
        return False
    params = {}
    for known, part in zip(pattern, parts, strict=True):
        if known.startswith("{"):
            params[known[1:-1]] = part
        elif known != part:
            return False
    request.params = params
    return True


def read_body(environ: dict[str, Any]) -> bytes:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise ApiError(400, "Content-Length is not a number") from None
    if length > LARGEST_BODY:
        raise ApiError(413, "The request body is too large")
    stream = environ["wsgi.input"]
    # Clients without a length stream in chunks; a server that allows it marks the end of the input.
    data = (
        stream.read(length)
        if length
        else (stream.read(LARGEST_BODY + 1) if _is_chunked(environ) else b"")
    )
    if len(data) > LARGEST_BODY:
        raise ApiError(413, "The request body is too large")
    return bytes(data)


def _is_chunked(environ: dict[str, Any]) -> bool:
    return bool(environ.get("wsgi.input_terminated")) or "HTTP_TRANSFER_ENCODING" in environ


def json_answer(result: Any) -> Answer:
    return Answer(b"" if result is None else dump(result).encode(), "application/json")


def error_answer(error: ApiError, path: str) -> Answer:
    body: dict[str, Any] = {"message": error.message, **error.extra}
    if path.startswith("/v2/"):
        names = {
            400: "BadRequest",
            401: "Unauthorized",
            404: "NotFound",
            409: "Conflict",
            501: "NotImplemented",
        }
        body = {"code": error.code or names.get(error.status, "InternalServerError"), **body}
    # Clients retry a conflict by themselves; a key that is taken stays taken.
    headers = [("x-should-retry", "false")] if error.status in (409, 501) else []
    return Answer(dump(body).encode(), "application/json", error.status, headers)


def fault_answer(fault: Fault) -> Answer:
    body = (
        {"message": f"A fault was asked for: {fault.status}"} if fault.body is None else fault.body
    )
    headers = [("X-Metronome-Rate-Limit-Type", "client")] if fault.status == 429 else []
    return Answer(json.dumps(body).encode(), "application/json", fault.status, headers)


def respond(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    headers = [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        *answer.headers,
    ]
    start_response(f"{answer.status} {REASONS.get(answer.status, 'Status')}", headers)
    return [answer.body]

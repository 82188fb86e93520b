"""What all answers of the API have in common, whoever made them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from . import access, dialects, limits
from .elevenlabs import errors as elevenlabs
from .failures import of_status
from .own import errors as own

# Browsers of other sites may call the API: there is no cookie that they could misuse.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "*",
}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PATCH, DELETE, OPTIONS",
    # A star leaves out Authorization.
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, xi-api-key, *",
    "Access-Control-Max-Age": "86400",
}


def answers_in_dialect(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Give the API's answers a request id and CORS, and errors from elsewhere the dialect's shape.

    Errors from elsewhere are pages or text: an address that does not exist, a body that is too
    large, a database that is away, a fault of ours. A client would fail at reading them.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if not dialects.is_ours(request.path):
            return get_response(request)
        request.api_id = _new_id()  # type: ignore[attr-defined]
        if request.method == "OPTIONS":
            return HttpResponse(status=204, headers=PREFLIGHT)
        try:
            response = _answer(request, get_response)
        except BaseException:
            if admission := getattr(request, "admission", None):
                admission.leave()
            raise
        _tell_limits(request, response)
        return _with_headers(response, request.api_id)  # type: ignore[attr-defined]

    return middleware


def of_outside(path: str, headers: Mapping[str, str], status: int) -> HttpResponse:
    """An error that is answered before there is a request for a middleware: as every other one."""
    api_id = _new_id()
    return _with_headers(dialects.failing(path, headers)(of_status(status), api_id), api_id)


def _new_id() -> str:
    return secrets.token_hex(12)


def _with_headers(response: HttpResponse, api_id: str) -> HttpResponse:
    """With what every answer of the API says."""
    for name, value in CORS.items():
        response[name] = value
    response["x-request-id"] = response["request-id"] = api_id
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _answer(
    request: HttpRequest, get_response: Callable[[HttpRequest], HttpResponse]
) -> HttpResponse:
    """The answer; to HEAD the one to GET, in every dialect alike, and without its body."""
    if request.method != "HEAD":
        return in_dialect(request, get_response(request))
    request.method = "GET"
    try:
        return _without_body(in_dialect(request, get_response(request)))
    finally:
        request.method = "HEAD"


def _without_body(response: Any) -> HttpResponse:
    """The head alone. Its length is that of the body, where that is known before it is sent."""
    if response.streaming:
        asyncio.run(_closed(response._iterator))
        response.streaming_content = _nothing()
    else:
        response["Content-Length"] = str(len(response.content))
        response.content = b""
    found: HttpResponse = response
    return found


async def _closed(content: AsyncGenerator[bytes, None]) -> None:
    """End what nobody reads. Only a generator that was begun frees what it holds."""
    await anext(content, b"")
    await content.aclose()


async def _nothing() -> AsyncGenerator[bytes, None]:
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece


def _tell_limits(request: HttpRequest, response: HttpResponse) -> None:
    """Say how many requests are left, in the dialects that have words for it."""
    admission: limits.Admission | None = getattr(request, "admission", None)
    if admission is None or not admission.at_once_max:  # not limited
        return
    limits.attach(admission, response)
    dialect = dialects.failing(request.path, request.headers)
    if dialect is own.answer:
        for name, value in admission.headers.items():
            response[name] = value
    elif dialect is elevenlabs.answer:
        response["current-concurrent-requests"] = str(admission.at_once)
        response["maximum-concurrent-requests"] = str(admission.at_once_max)


def in_dialect(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response, or what the dialect says in its place if it is an error from elsewhere."""
    if response.status_code < 400 or getattr(response, "is_of_dialect", False):
        return response
    answer = dialects.failing(request.path, request.headers)
    ours = access.answered(request, answer, of_status(response.status_code))
    kept: Any = {"Allow", "Retry-After"} & response.headers.keys()
    for name in kept:
        ours[name] = response[name]
    return ours

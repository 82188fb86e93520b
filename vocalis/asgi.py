"""The web process.

Event streams bypass Django's handler, which would occupy a thread for each of them; see
billing.live.stream.
"""

import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from http import HTTPStatus
from io import BytesIO
from typing import Any

import django
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.exceptions import BadRequest
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase, QueryDict

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vocalis.settings")
django.setup(set_prefix=False)

from api import dialects  # noqa: E402  models can be imported only now
from api.elevenlabs import sockets  # noqa: E402
from api.middleware import of_outside  # noqa: E402
from billing.live import stream  # noqa: E402
from usage import engines  # noqa: E402
from usage.speech import warm  # noqa: E402
from usage.voiceprint import SAMPLE_BYTES_MAX  # noqa: E402
from vocalis import bodies  # noqa: E402
from vocalis.checks import refuse_to_start  # noqa: E402
from vocalis.concurrency import Busy, RequestThreads  # noqa: E402
from vocalis.flow import paced  # noqa: E402
from vocalis.pages import too_busy  # noqa: E402

refuse_to_start()
bodies.leave_to_django()
if settings.SPEECH_WARM:
    warm.begin()
if reactor := sys.modules.get("twisted.internet.reactor"):  # that of Daphne, once it has chosen one
    # A premium text takes minutes, and the process ends only after its requests: they end at once,
    # with their credits back.
    reactor.addSystemEventTrigger("before", "shutdown", engines.close)

logger = logging.getLogger(__name__)

HALF = re.compile("[\ud800-\udfff]")
STREAMS = "/api/webhooks/events/"
# Bytes of a request that brings a recording or a document: a little more than may be in it, so that
# one that is a little too large is refused on a page. All in memory, so only so many at a time.
UPLOADS = {
    "/studio/upload/",
    "/studio/voice/match/",
    "/v1/voices",
    "/v1/voices/add",
    "/v1/audio/voices",
    "/v1/audio/voice_consents",
}
UPLOAD_BYTES_MAX = SAMPLE_BYTES_MAX + 2_000_000
UPLOADS_AT_ONCE = 8
BUSY_SECONDS = 5  # after which a place may be free
TOO_LARGE_HEADERS = [  # no middleware sees this response
    (b"content-type", b"text/plain"),
    (b"content-security-policy", settings.CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Any], Awaitable[None]]


class Request(ASGIRequest):
    """Answers 400 if a form cannot be decoded, for example because its character set is unknown."""

    _post: QueryDict
    _mark_post_parse_error: Callable[[], None]

    def _load_post_and_files(self) -> None:
        try:
            super()._load_post_and_files()
            if any(
                HALF.search(text) for name, texts in self._post.lists() for text in (name, *texts)
            ):
                raise ValueError("half a surrogate pair, which UTF-7 can write")
        except (LookupError, ValueError) as error:
            self._mark_post_parse_error()  # else rendering the error page would parse it again
            raise BadRequest(f"a form that cannot be read: {error}") from error


# What the request of this task holds until its view has answered: its thread.
_held: ContextVar[AsyncExitStack] = ContextVar("held")


class Pages(ASGIHandler):
    """Django's handler, but a request runs in one thread, and the number of threads is bounded.

    All our views and middleware are synchronous. Django would still return to the event loop
    between them: that is slower, and when the server stops during a request, its thread waits for a
    loop that has ended, so that the process never exits.

    A response that is streamed gives its thread back before it is sent: a slow reader takes minutes
    for it, and reading files needs no thread of a request.
    """

    request_class = Request

    def __init__(self) -> None:
        super().__init__()
        self.threads = RequestThreads(settings.WEB_REQUESTS)

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        try:
            async with AsyncExitStack() as held:
                thread = await held.enter_async_context(self.threads.acquire())
                _held.set(held)
                async with ThreadSensitiveContext(executor=thread):
                    await super().__call__(scope, receive, send)
        except Busy:
            request, bad_request = self.create_request(scope, BytesIO())
            response = too_busy(request) if request else bad_request
            assert response is not None
            await self.send_response(response, send)

    def create_request(self, scope: Any, body_file: Any) -> Any:
        """Answer 400 if the headers cannot be decoded.

        Django decodes them while it creates the request, so no middleware could handle the error.
        """
        request: HttpRequest | None
        refusal: HttpResponseBase | None
        try:
            request, refusal = super().create_request(scope, body_file)
        except (LookupError, ValueError) as error:
            logger.warning("400 for %s: %s", scope["path"], error)
            request, refusal = None, HttpResponseBadRequest()
            if dialects.is_ours(path := _path(scope)):
                refusal = of_outside(path, _headers(scope), refusal.status_code)
        if refusal is not None:
            refusal["Content-Security-Policy"] = settings.CONTENT_SECURITY_POLICY
        return request, refusal

    async def send_response(self, response: Any, send: Send) -> None:
        if response.streaming:
            await _held.get().aclose()
            send = paced(send)
        await super().send_response(response, send)

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response)(request)


pages = Pages()


async def application(scope: Message, receive: Receive, send: Send) -> None:
    # Django has no WebSockets: it would raise, with a 500 and a traceback for each attempt.
    if scope["type"] == "websocket":
        if sockets.is_ours(_path(scope)):
            await sockets.serve(scope, receive, send)
        else:
            await send({"type": "websocket.close"})
    elif scope["type"] != "http":
        await pages(scope, receive, send)
    elif _path(scope).startswith(STREAMS):
        await stream.serve(scope, receive, send)
    elif scope["method"] == "POST" and _path(scope) in UPLOADS:
        await _uploads(scope, receive, send)
    else:
        await _with_body(scope, receive, send, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def _path(scope: Message) -> str:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path


def _headers(scope: Message) -> dict[str, str]:
    """Their names in lower case, as they are sent."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


class Uploads:
    """Requests with a larger body, a few at a time. Programs among the others are told to try
    again.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        # Who is refused gets the usual limit: a form without a file still arrives.
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if not self._free:
            return await _with_body(scope, receive, send, limit, HTTPStatus.SERVICE_UNAVAILABLE)
        self._free -= 1
        try:
            await _with_body(scope, receive, send, UPLOAD_BYTES_MAX)
        finally:
            self._free += 1


_uploads = Uploads(UPLOADS_AT_ONCE)


async def _with_body(
    scope: Message,
    receive: Receive,
    send: Send,
    bytes_max: int,
    otherwise: HTTPStatus = HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
) -> None:
    """The request with its body; `otherwise` is what programs are told of a larger one."""
    if (messages := await read_body(receive, bytes_max)) is None:
        status, headers, body = _too_large(scope, otherwise)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    else:
        await pages(_measured(scope, messages), replay(messages, then=receive), send)


def _measured(scope: Message, messages: list[Message]) -> Message:
    """The request with the length of its body. Without one, as programs send a form in chunks,
    Django would find no field in it.
    """
    if any(name == b"content-length" for name, _ in scope["headers"]):
        return scope
    size = sum(len(message.get("body", b"")) for message in messages)
    length = [(b"content-length", str(size).encode())] if size else []
    return {**scope, "headers": [*scope["headers"], *length]}


def _too_large(scope: Message, status: HTTPStatus) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of the answer to a request that is; no middleware sees it."""
    path = _path(scope)
    if not dialects.is_ours(path):
        return 413, TOO_LARGE_HEADERS, b"The request is too large."
    response = of_outside(path, _headers(scope), status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(BUSY_SECONDS)
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    return response.status_code, [*headers, *TOO_LARGE_HEADERS[1:]], response.content


async def read_body(receive: Receive, bytes_max: int) -> list[Message] | None:
    """The messages of a request's body, or None if it is over that many bytes.

    Django checks only the declared length and accepts files of any size.
    """
    messages: list[Message] = []
    size = 0
    while True:
        messages.append(await receive())
        size += len(messages[-1].get("body", b""))
        if size > bytes_max:
            return None
        if not messages[-1].get("more_body"):
            return messages


def replay(messages: list[Message], *, then: Receive) -> Receive:
    async def receive() -> Message:
        return messages.pop(0) if messages else await then()

    return receive

"""GET /api/webhooks/events/{customer_id}: the balance as server-sent events.

An async Django view that uses the ORM holds a thread and a connection for as long as its response is open. So here only
the question whether this login may listen goes through Django (middleware, session, view), in one of two threads and with
its connection closed behind it; the open response after that is a plain ASGI coroutine that holds neither. What it sends
comes from the process's one watcher, woken by the channel layer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO
from typing import Any, cast

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.db import connections, reset_queries
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from accounts.access import refuse
from accounts.models import Customer
from billing import ledger

from . import balance, wake
from .balance import State
from .watcher import Watcher

logger = logging.getLogger(__name__)

Send = Callable[[Any], Awaitable[None]]

STREAMS_MAX = 2_000  # a process; more is another web process
CUSTOMER_STREAMS_MAX = 20  # tabs and devices of one person; also what a runaway script can hold
LIFE_SECONDS = 600  # then the browser reconnects and is checked again: how long a lost right lasts at most
HEARTBEAT_SECONDS = 15  # proxies cut what is silent for 30 or 60
RETRY_MS = 2_000  # until a browser reconnects, plus up to as much again: a restart must not bring all at once
TURN_SECONDS = 1.0

HEARTBEAT = b":\n\n"
END = b""


class Opening(HttpResponse):
    """The start of a stream: complete by itself for a server that cannot hold it open, which makes a browser poll."""

    def __init__(self, state: State, *, auto_recharge: bool) -> None:
        retry = f"retry: {RETRY_MS + random.randrange(RETRY_MS)}\n\n".encode()
        hello = _event("connected", {"customer_id": state.customer_id})
        super().__init__(retry + hello + _update(state, auto_recharge), content_type="text/event-stream")
        self["Cache-Control"] = "no-store"
        self["X-Accel-Buffering"] = "no"  # nginx would collect events until a buffer is full
        self.state = state


@csrf_exempt
@require_GET
def events(request: HttpRequest, customer_id: str) -> HttpResponse:
    """Open the stream of one's own balance; `customer_id` is Metronome's.

    `Last-Event-ID`, or `?after=` from a page that was hidden, is the version this browser saw last: a recharge since
    then is news to it.
    """
    if not request.user.is_authenticated:
        return refuse(401, "Log in to follow your balance.")
    mine = Customer.objects.filter(user=request.user).values_list("metronome_id", "pk", "wallet__id").first()
    if mine is None or mine[0] != customer_id:
        return refuse(404, "There is no such customer.")
    _, customer_pk, wallet_id = mine
    (state,) = balance.states([wallet_id or ledger.wallet_of(customer_pk).id])
    seen = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    return Opening(state, auto_recharge=seen.isdecimal() and len(seen) < 20 and state.recharge_version > int(seen))


async def serve(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    """The ASGI application behind the view above: its answer, held open if it is the opening of a stream."""
    response = await asyncio.get_running_loop().run_in_executor(_threads, _ask_django, scope)
    await _send_response(response, send)
    if not isinstance(response, Opening):
        return
    stream = Stream(response.state, send)
    del scope, response  # thousands of coroutines wait below: each keeps only what it needs
    streams.open(stream)
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except asyncio.CancelledError:  # the server shuts down; an ended response lets the browser reconnect at once
        await send({"type": "http.response.body", "body": b""})
        raise
    finally:
        streams.drop(stream)


async def _send_response(response: HttpResponse, send: Send) -> None:
    stays_open = isinstance(response, Opening)
    if stays_open:
        del response["Content-Length"]
    headers = [*response.items(), *(("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values())]
    head = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": response.status_code, "headers": head})
    await send({"type": "http.response.body", "body": response.content, "more_body": stays_open})


_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="streams")


def _ask_django(scope: dict[str, Any]) -> HttpResponse:
    """All that needs the database when a stream opens, behind the same middleware as every page."""
    try:
        request = ASGIRequest(scope, BytesIO())
    except (LookupError, ValueError):  # a header in a character set that does not exist, or is no text
        return HttpResponseBadRequest(headers={"Content-Security-Policy": settings.CONTENT_SECURITY_POLICY})
    try:
        return cast(HttpResponse, _django().get_response(request))
    finally:
        reset_queries()
        connections.close_all()


@cache
def _django() -> BaseHandler:
    handler = BaseHandler()
    handler.load_middleware()
    return handler


def _event(kind: str, data: dict[str, Any], version: int | None = None) -> bytes:
    number = "" if version is None else f"id: {version}\n"
    return f"{number}event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def _update(state: State, auto_recharge: bool) -> bytes:
    data = {
        "customer_id": state.customer_id,
        "balance": state.balance,
        "reserved": state.reserved,
        "available": state.balance - state.reserved,
        "version": state.version,
        "plan": state.plan,
        "auto_recharge": auto_recharge,  # whether credits of an automatic recharge are new with this event
    }
    return _event("balance_updated", data, state.version)


class Stream:
    """One open response. A client that reads slowly gets the newest state when it is ready, not all that it missed."""

    __slots__ = ("_next", "_writing", "ends_at", "quiet_at", "send", "sent")

    def __init__(self, state: State, send: Send) -> None:
        self.send = send
        self.sent = state
        self.quiet_at = time.monotonic()
        self.ends_at = self.quiet_at + LIFE_SECONDS * random.uniform(0.9, 1)
        self._next: State | bytes | None = None  # END is the last there is
        self._writing: asyncio.Task[None] | None = None

    def show(self, state: State) -> None:
        if state.version >= self.sent.version and state != self.sent and self._next != END:
            self._write(state)

    def beat(self) -> None:
        if self._next is None:
            self._write(HEARTBEAT)

    def end(self) -> None:
        self._write(END)

    def _write(self, item: State | bytes) -> None:
        self._next = item
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._send_next())

    async def _send_next(self) -> None:
        try:
            while (item := self._next) is not None:
                self._next = None
                self.quiet_at = time.monotonic()
                if isinstance(item, State):
                    body, self.sent = _update(item, item.recharge_version > self.sent.recharge_version), item
                else:
                    body = item
                await self.send({"type": "http.response.body", "body": body, "more_body": item != END})
        except OSError:  # the client is gone, of which `receive` hears as well
            logger.debug("a stream ended while it was written to")
        finally:
            self._writing = None


class Streams:
    """The open streams of this process, oldest first. Belongs to the server's event loop."""

    def __init__(self) -> None:
        self._all: dict[Stream, None] = {}
        self._of_wallet: dict[int, list[Stream]] = {}
        self._watcher: Watcher | None = None
        self._listener: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    def open(self, stream: Stream) -> None:
        watcher = self._watcher or self._start()
        self._all[stream] = None
        mine = self._of_wallet.setdefault(stream.sent.wallet_id, [])
        mine.append(stream)
        watcher.watch(stream.sent)
        if len(mine) > CUSTOMER_STREAMS_MAX:
            self._close(mine[0])
        if len(self._all) > STREAMS_MAX:
            self._close(next(iter(self._all)))

    def drop(self, stream: Stream) -> None:
        """Forget a stream; the last one stops the watcher. Safe to repeat."""
        if stream not in self._all:
            return
        del self._all[stream]
        mine = self._of_wallet[stream.sent.wallet_id]
        mine.remove(stream)
        if not mine:
            del self._of_wallet[stream.sent.wallet_id]
            if self._watcher:
                self._watcher.forget(stream.sent.wallet_id)
        if not self._all:
            self._stop()

    def _close(self, stream: Stream) -> None:
        stream.end()
        self.drop(stream)

    def _start(self) -> Watcher:
        loop = asyncio.get_running_loop()
        self._watcher = Watcher(lambda states: loop.call_soon_threadsafe(self._show, states))
        self._watcher.start()
        self._listener = loop.create_task(wake.listen(self._watcher.wake))
        self._timer = loop.call_later(TURN_SECONDS, self._turn)
        return self._watcher

    def _stop(self) -> None:
        if self._watcher and self._listener and self._timer:
            self._watcher.stop()
            self._listener.cancel()
            self._timer.cancel()
        self._watcher = self._listener = self._timer = None

    def _show(self, states: list[State]) -> None:
        for state in states:
            for stream in self._of_wallet.get(state.wallet_id, ()):
                stream.show(state)

    def _turn(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TURN_SECONDS, self._turn)
        now = time.monotonic()
        for stream in list(self._all):
            if now >= stream.ends_at:
                self._close(stream)
            elif now >= stream.quiet_at + HEARTBEAT_SECONDS:
                stream.beat()


streams = Streams()

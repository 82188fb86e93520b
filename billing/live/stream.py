"""GET /api/webhooks/events/{customer_id}: the balance as server-sent events (SSE).

An async Django view that uses the ORM keeps a thread and a database connection for as long as its
response is open. So only the check that the user owns the customer runs through Django (middleware,
session, view `events`). It runs in one of two threads, which close the connection afterwards. The
open response is a plain ASGI coroutine that keeps neither.

States to send come from the process's one watcher, which the channel layer wakes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
from .feeds import Told
from .watcher import Watcher

logger = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Any], Awaitable[None]]

STREAMS_MAX = 2_000  # per process; for more, run another web process
CUSTOMER_STREAMS_MAX = 20  # tabs and devices of one person; limits a runaway script
# After that the browser reconnects and is checked again. So a logged-out or deactivated user
# listens no longer than this.
LIFE_SECONDS = 600
HEARTBEAT_SECONDS = 15  # proxies close connections that are silent for 30 or 60 seconds
# How long a browser waits to reconnect. Up to as much again is added at random, so that browsers do
# not all reconnect at once after a restart.
RETRY_MS = 2_000
CHECK_SECONDS = 1.0  # how often streams are checked for their end and for heartbeats

HEARTBEAT = b":\n\n"
END = b""


class Opening(HttpResponse):
    """The beginning of a stream: its retry time, the current balance, and what feeds tell.

    Complete by itself. On a server that cannot keep responses open it makes the browser poll.
    """

    def __init__(self, state: State, *, auto_recharge: bool) -> None:
        retry = f"retry: {RETRY_MS + random.randrange(RETRY_MS)}\n\n".encode()
        hello = _event("connected", {"customer_id": state.customer_id})
        content = retry + hello + _update(state, auto_recharge) + _told((), state.told)
        super().__init__(content, content_type="text/event-stream")
        self["Cache-Control"] = "no-store"
        self["X-Accel-Buffering"] = "no"  # or nginx delays events until a buffer is full
        self.state = state


@csrf_exempt
@require_GET
def events(request: HttpRequest, customer_id: str) -> HttpResponse:
    """Open the stream of the user's own balance: who does not own the customer gets 404.

    `customer_id` is Metronome's.

    `Last-Event-ID`, or `?after=` from a page that was hidden, is the last wallet version that this
    browser saw. If a recharge came after it, the first event says so.
    """
    if not request.user.is_authenticated:
        return refuse(401, "Log in to follow your balance.")
    rows = Customer.objects.filter(user=request.user)
    mine = rows.values_list("metronome_id", "pk", "wallet__id").first()
    if mine is None or mine[0] != customer_id:
        return refuse(404, "There is no such customer.")
    _, customer_pk, wallet_id = mine
    (state,) = balance.states([wallet_id or ledger.wallet_of(customer_pk).id])
    seen = request.headers.get("Last-Event-ID") or request.GET.get("after", "")
    is_version = seen.isdecimal() and len(seen) < 20
    return Opening(state, auto_recharge=is_version and state.recharge_version > int(seen))


async def serve(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """ASGI application for `events`: sends its response, and keeps it open if it is an Opening."""
    response = await asyncio.get_running_loop().run_in_executor(_threads, _ask_django, scope)
    await _send_response(response, send)
    if not isinstance(response, Opening):
        return
    stream = Stream(response.state, send)
    del scope, response  # thousands of coroutines wait below, and these would stay in memory
    streams.open(stream)
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except asyncio.CancelledError:  # the server shuts down
        # The browser reconnects as soon as the response has ended.
        await send({"type": "http.response.body", "body": b""})
        raise
    finally:
        streams.drop(stream)


async def _send_response(response: HttpResponse, send: Send) -> None:
    stays_open = isinstance(response, Opening)
    if stays_open:
        del response["Content-Length"]
    cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
    head = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in [*response.items(), *cookies]
    ]
    await send({"type": "http.response.start", "status": response.status_code, "headers": head})
    body = {"type": "http.response.body", "body": response.content, "more_body": stays_open}
    await send(body)


_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="streams")


def _ask_django(scope: dict[str, Any]) -> HttpResponse:
    """Run the view through Django and its middleware, and close the database connection."""
    try:
        request = ASGIRequest(scope, BytesIO())
    except (LookupError, ValueError):  # a header with an unknown character set, or undecodable
        policy = settings.CONTENT_SECURITY_POLICY
        return HttpResponseBadRequest(headers={"Content-Security-Policy": policy})
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


def _told(before: Told, now: Told) -> bytes:
    """What feeds tell now and did not before; a feed with nothing to tell any more says so."""
    was, told = dict(before), dict(now)
    changed = [event for event in {**was, **told} if was.get(event) != told.get(event)]
    return b"".join(_event(event, json.loads(told.get(event, "{}"))) for event in changed)


def _update(state: State, auto_recharge: bool) -> bytes:
    data = {
        "customer_id": state.customer_id,
        "balance": state.balance,
        "reserved": state.reserved,
        "available": state.balance - state.reserved,
        "version": state.version,
        "plan": state.plan,
        # Whether this event is the first to include credits of an automatic recharge.
        "auto_recharge": auto_recharge,
    }
    return _event("balance_updated", data, state.version)


class Stream:
    """One open response.

    A client that reads slowly gets the latest state when it is ready, not all that it missed.
    """

    __slots__ = ("_next", "_writing", "ends_at", "quiet_at", "send", "sent")

    def __init__(self, state: State, send: Send) -> None:
        self.send = send
        self.sent = state
        self.quiet_at = time.monotonic()
        self.ends_at = self.quiet_at + LIFE_SECONDS * random.uniform(0.9, 1)
        self._next: State | bytes | None = None  # nothing is written after END
        self._writing: asyncio.Task[None] | None = None

    def show(self, state: State) -> None:
        """Send the state, unless it was sent, is older than the last one, or the stream ends."""
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
                    is_recharged = item.recharge_version > self.sent.recharge_version
                    body = _told(self.sent.told, item.told)
                    if replace(item, told=self.sent.told) != self.sent:
                        body = _update(item, is_recharged) + body
                    self.sent = item
                else:
                    body = item
                message = {"type": "http.response.body", "body": body, "more_body": item != END}
                await self.send(message)
        except OSError:  # the client is gone; `receive` reports that, too
            logger.debug("the client closed its stream during a write")
        finally:
            self._writing = None


class Streams:
    """The open streams of this process, oldest first. Used only in the server's event loop.

    The watcher runs while there is a stream.
    """

    def __init__(self) -> None:
        self._all: dict[Stream, None] = {}
        self._of_wallet: dict[int, list[Stream]] = {}
        self._watcher: Watcher | None = None
        self._listener: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    def open(self, stream: Stream) -> None:
        """Add a stream. Ends the oldest one if the customer or the process has too many."""
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
        """Remove a stream. Removing the last one stops the watcher. Safe to repeat."""
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
        self._timer = loop.call_later(CHECK_SECONDS, self._check)
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

    def _check(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._check)
        now = time.monotonic()
        for stream in list(self._all):
            if now >= stream.ends_at:
                self._close(stream)
            elif now >= stream.quiet_at + HEARTBEAT_SECONDS:
                stream.beat()


streams = Streams()

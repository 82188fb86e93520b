"""Bounds how many requests a web process works on at the same time.

Django under ASGI creates a thread, and with it a database connection, for every request. PostgreSQL
refuses connections above its own maximum, also to other programs on the same server. So each
request runs in one of `settings.WEB_REQUESTS` threads, and further requests wait for a free one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

logger = logging.getLogger(__name__)

WAIT_SECONDS = 10  # people give up on a page after about this long
WAITING_MAX = 1_000  # each with a body of up to 1 MiB
COMPLAIN_SECONDS = 60


class Busy(Exception):
    """No thread became free within WAIT_SECONDS, or WAITING_MAX requests wait already."""


class RequestThreads:
    """A fixed number of threads, given to requests in order of arrival.

    A waiting request uses neither a thread nor a database connection.
    """

    def __init__(self, size: int) -> None:
        # One executor per thread, because all of a request has to run in the same thread. The
        # thread itself starts with its first request.
        self._idle = [
            ThreadPoolExecutor(max_workers=1, thread_name_prefix="pages")
            for _ in range(max(1, size))
        ]
        self._waiting: deque[asyncio.Future[ThreadPoolExecutor]] = deque()
        self._lock = threading.Lock()
        self._complained_at = -float(COMPLAIN_SECONDS)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[ThreadPoolExecutor]:
        """A thread for one request. Raises Busy."""
        thread = await self._next()
        try:
            yield thread
        finally:
            # If the client disconnected, its request may still be running in the thread. The thread
            # is free only when a task submitted after that request has run.
            thread.submit(int).add_done_callback(lambda _: self._release(thread))

    async def _next(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._idle:
                # The thread used last, so that a quiet site uses few threads.
                return self._idle.pop()
            if len(self._waiting) >= WAITING_MAX:
                self._complain()
                raise Busy
            waiter: asyncio.Future[ThreadPoolExecutor] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
        try:
            await asyncio.wait([waiter], timeout=WAIT_SECONDS)
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        if waiter.done():
            return waiter.result()
        self._withdraw(waiter)
        self._complain()
        raise Busy

    def _withdraw(self, waiter: asyncio.Future[ThreadPoolExecutor]) -> None:
        if waiter.done():
            self._release(waiter.result())
        else:
            waiter.cancel()
            with self._lock:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)

    def _release(self, thread: ThreadPoolExecutor) -> None:
        """Give the thread to the request that has waited longest. Called from any thread."""
        with self._lock:
            while self._waiting:
                waiter = self._waiting.popleft()
                try:
                    waiter.get_loop().call_soon_threadsafe(self._give, waiter, thread)
                    return
                except RuntimeError:  # the waiter's event loop is closed
                    continue
            self._idle.append(thread)

    def _give(self, waiter: asyncio.Future[ThreadPoolExecutor], thread: ThreadPoolExecutor) -> None:
        if waiter.done():  # cancelled in the meantime
            self._release(thread)
        else:
            waiter.set_result(thread)

    def _complain(self) -> None:
        if time.monotonic() - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = time.monotonic()
            logger.warning(
                "more requests than WEB_REQUESTS allows: "
                "some wait, some get 503 (logged once a minute)"
            )

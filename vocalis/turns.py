"""How many requests a web process works on at once: each has one of `settings.WEB_REQUESTS` threads
to itself.

Django under ASGI makes a thread, and so a connection to the database, for whatever comes.
PostgreSQL refuses connections beyond its own maximum, to everybody: other programs of that server
would fail because we are popular.
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

WAIT_SECONDS = 10  # then a browser's user has given up, or will
WAITING_MAX = 1_000  # each with a body of up to 1 MiB
COMPLAIN_SECONDS = 60


class Busy(Exception):
    """All threads are taken, and no turn came in time."""


class Turns:
    """Threads that are lent, first come, first served.
    Those who wait hold neither a thread nor a connection."""

    def __init__(self, at_once: int) -> None:
        # One executor a thread, because all of a request has to run in the same one. They start
        # when first used.
        self._idle = [
            ThreadPoolExecutor(max_workers=1, thread_name_prefix="pages")
            for _ in range(max(1, at_once))
        ]
        self._waiting: deque[asyncio.Future[ThreadPoolExecutor]] = deque()
        self._lock = threading.Lock()
        self._complained_at = -float(COMPLAIN_SECONDS)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[ThreadPoolExecutor]:
        """A thread for one request. Raises Busy."""
        thread = await self._next()
        try:
            yield thread
        finally:
            # A request whose client left may still be at work there: the turn ends when the thread
            # has nothing to do.
            thread.submit(int).add_done_callback(lambda _: self._free(thread))

    async def _next(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._idle:
                return self._idle.pop()  # the one used last: a quiet site keeps to few threads
            if len(self._waiting) >= WAITING_MAX:
                self._complain()
                raise Busy
            turn: asyncio.Future[ThreadPoolExecutor] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
        try:
            await asyncio.wait([turn], timeout=WAIT_SECONDS)
        except asyncio.CancelledError:
            self._withdraw(turn)
            raise
        if turn.done():
            return turn.result()
        self._withdraw(turn)
        self._complain()
        raise Busy

    def _withdraw(self, turn: asyncio.Future[ThreadPoolExecutor]) -> None:
        if turn.done():
            self._free(turn.result())
        else:
            turn.cancel()
            with self._lock:
                if turn in self._waiting:
                    self._waiting.remove(turn)

    def _free(self, thread: ThreadPoolExecutor) -> None:
        """Give the thread to who has waited longest. Called from any thread."""
        with self._lock:
            while self._waiting:
                turn = self._waiting.popleft()
                try:
                    turn.get_loop().call_soon_threadsafe(self._give, turn, thread)
                    return
                except RuntimeError:  # its loop is closed, and so nobody waits
                    continue
            self._idle.append(thread)

    def _give(self, turn: asyncio.Future[ThreadPoolExecutor], thread: ThreadPoolExecutor) -> None:
        if turn.done():  # who waited left at this moment
            self._free(thread)
        else:
            turn.set_result(thread)

    def _complain(self) -> None:
        if time.monotonic() - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = time.monotonic()
            logger.warning(
                "more requests than WEB_REQUESTS allows: "
                "some wait, some get 503 (told once a minute)"
            )

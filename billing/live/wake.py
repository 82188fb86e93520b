"""Waking the event streams through the channel layer when a wallet has changed.

A wake-up carries no state, only the ids of wallets to read again. It may arrive late, twice or
never: the watcher of each process that serves streams (`billing.live.watcher`) finds any change
within a second. So the publisher never waits for the layer, never retries, and never fails the
caller.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection
from functools import partial

from channels.layers import InMemoryChannelLayer, get_channel_layer
from django.db import transaction

logger = logging.getLogger(__name__)

# One group for all wallets. A process joins it once, however many streams it serves, and one
# message names all wallets that changed while the previous message was being sent.
GROUP = "wallets"
SEND_SECONDS = 2  # a layer that takes longer counts as down
JOIN_SECONDS = 10  # the same for joining the group, which connects and may retry several times
PENDING_MAX = 10_000  # wallet ids kept while the layer is down; the watchers find the rest
REJOIN_SECONDS = 5
LOG_SECONDS = 60


def wake(wallet_id: int) -> None:
    """Have every open stream of the wallet read it again, after the current transaction if any.

    Never raises and never waits. Takes microseconds.
    """
    transaction.on_commit(partial(_publisher.publish, wallet_id), robust=True)


async def listen(woken: Callable[[Collection[int]], None]) -> None:
    """Call `woken` with wallet ids as they arrive, until cancelled.

    Runs once per process, in the server's event loop.
    """
    loop = asyncio.get_running_loop()
    _publisher.serving.append(loop)
    try:
        while True:
            try:
                await _receive(woken)
            except Exception as error:  # layers raise anything; the watcher works without them
                _log_failure("listening to", error)
                await asyncio.sleep(REJOIN_SECONDS)
    finally:
        _publisher.serving.remove(loop)


async def _receive(woken: Callable[[Collection[int]], None]) -> None:
    layer = get_channel_layer()
    async with asyncio.timeout(JOIN_SECONDS):
        channel = await layer.new_channel()
        await layer.group_add(GROUP, channel)
    try:
        while True:
            woken((await layer.receive(channel))["wallets"])
    finally:
        await layer.group_discard(GROUP, channel)


class _Publisher:
    """Passes wallet ids from any thread to the event loop that sends them to the layer.

    Where streams are served this is the server's loop, as the in-memory layer's queues belong to
    it. Elsewhere (a worker, a web process without streams) it is a loop in a thread of its own,
    started when first needed.
    """

    def __init__(self) -> None:
        self.serving: list[asyncio.AbstractEventLoop] = []
        self._own: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._pending: set[int] = set()
        self._sender: asyncio.Task[None] | None = None

    def publish(self, wallet_id: int) -> None:
        try:
            loop = self.serving[-1] if self.serving else self._own_loop()
            if loop is None:
                return
            with self._lock:
                if len(self._pending) < PENDING_MAX:
                    self._pending.add(wallet_id)
            loop.call_soon_threadsafe(self._start_sending)
        except Exception as error:  # must not fail the caller, whose work is done
            _log_failure("writing to", error)

    def _own_loop(self) -> asyncio.AbstractEventLoop | None:
        if isinstance(get_channel_layer(), InMemoryChannelLayer):
            return None  # that layer reaches this process only, which has no streams
        with self._lock:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                run = self._own.run_forever
                threading.Thread(target=run, name="realtime", daemon=True).start()
        return self._own

    def _start_sending(self) -> None:
        loop = asyncio.get_running_loop()
        if self._sender is None or self._sender.done() or self._sender.get_loop() is not loop:
            self._sender = loop.create_task(self._send())

    async def _send(self) -> None:
        while wallets := self._take():
            message = {"type": "wallets.changed", "wallets": wallets}
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await get_channel_layer().group_send(GROUP, message)
            except Exception as error:  # layers raise anything
                _log_failure("writing to", error)

    def _take(self) -> list[int]:
        with self._lock:
            taken, self._pending = list(self._pending), set()
        return taken


_publisher = _Publisher()
_logged_at = -float(LOG_SECONDS)


def _log_failure(doing: str, error: Exception) -> None:
    """Log a failure of the layer, at most once a minute: every change of a wallet causes one."""
    global _logged_at
    if time.monotonic() - _logged_at >= LOG_SECONDS:
        _logged_at = time.monotonic()
        logger.warning(
            "%s the channel layer failed (%s: %s); streams fall back to reading every second",
            doing,
            type(error).__name__,
            error,
        )

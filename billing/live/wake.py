"""Waking the event streams when a wallet changed, through the channel layer.

A wake-up carries no state, only which wallets to look at again. It may come late, twice or never: the watcher of every
process that serves streams (`billing.live.watcher`) sees within a second whatever was lost here. That makes it right never to
wait for the layer, never to retry, and never to fail the caller.
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

# One group for all wallets: a process joins it once, however many streams it serves, and one message names every wallet
# that changed while the last one was on its way.
GROUP = "wallets"
SEND_SECONDS = 2  # a layer that takes longer is down
JOIN_SECONDS = 10  # the same, of joining the group: it comes with a connection, which is tried several times
PENDING_MAX = 10_000  # wallets waiting for a layer that is down; the watchers find the rest
REJOIN_SECONDS = 5
COMPLAIN_SECONDS = 60


def wake(wallet_id: int) -> None:
    """Let every open stream of the wallet look at it again, after the caller's transaction if there is one.

    Never raises and never waits. Costs some microseconds, and nothing at all where nobody can be listening.
    """
    transaction.on_commit(partial(_publisher.publish, wallet_id), robust=True)


async def listen(woken: Callable[[Collection[int]], None]) -> None:
    """Call `woken` with wallet ids as they come, until cancelled. Runs in the server's event loop, once a process."""
    loop = asyncio.get_running_loop()
    _publisher.serving.append(loop)
    try:
        while True:
            try:
                await _receive(woken)
            except Exception as error:  # whatever a layer raises: the watcher bridges the time until it is back
                _complain("listening to", error)
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
    """Hands wallet ids from any thread to the event loop that speaks with the layer.

    That is the server's loop where streams are served, for the in-memory layer's queues belong to it. Elsewhere (a
    worker, a web process nobody listens to) it is a loop in a thread of its own, made when it is first needed.
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
        except Exception as error:  # the caller has done its work and must not fail over this
            _complain("writing to", error)

    def _own_loop(self) -> asyncio.AbstractEventLoop | None:
        if isinstance(get_channel_layer(), InMemoryChannelLayer):
            return None  # it reaches this process only, and here is nobody
        with self._lock:
            if self._own is None:
                self._own = asyncio.new_event_loop()
                threading.Thread(target=self._own.run_forever, name="realtime", daemon=True).start()
        return self._own

    def _start_sending(self) -> None:
        loop = asyncio.get_running_loop()
        if self._sender is None or self._sender.done() or self._sender.get_loop() is not loop:
            self._sender = loop.create_task(self._send())

    async def _send(self) -> None:
        while wallets := self._take():
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await get_channel_layer().group_send(GROUP, {"type": "wallets.changed", "wallets": wallets})
            except Exception as error:  # whatever a layer raises
                _complain("writing to", error)

    def _take(self) -> list[int]:
        with self._lock:
            taken, self._pending = list(self._pending), set()
        return taken


_publisher = _Publisher()
_complained_at = -float(COMPLAIN_SECONDS)


def _complain(doing: str, error: Exception) -> None:
    """Log trouble with the layer, at most once a minute: when it is down every change of a wallet meets it."""
    global _complained_at
    if time.monotonic() - _complained_at >= COMPLAIN_SECONDS:
        _complained_at = time.monotonic()
        logger.warning("%s the channel layer failed (%s: %s); streams fall back to looking every second",
                       doing, type(error).__name__, error)  # fmt: skip

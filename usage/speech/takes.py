"""Speech that is being made in this process, for its customer who listens meanwhile.

A take is known by its customer and the key of the request that makes it, so a browser can listen
before that request is answered. Nothing depends on it: who finds no take, because it is over or is
made in another process, plays the stored file.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from uuid import UUID

BEGINS_SECONDS = 5  # the longest a listener waits for a take that has not begun

_lock = threading.Lock()
_takes: dict[tuple[UUID, str], Take] = {}
_waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()


class Take:
    """The samples of one generation as they are made (signed 16 bit, mono)."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._pieces: list[bytes] = []
        self._is_over = False

    def add(self, samples: bytes) -> None:
        with _lock:
            self._pieces.append(samples)
        _tell()

    def end(self) -> None:
        with _lock:
            self._is_over = True
        _tell()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The samples piece by piece, from the first on, until the take is over."""
        at = 0
        with _listening() as changed:
            while True:
                changed.clear()
                with _lock:
                    new, is_over = self._pieces[at:], self._is_over
                for piece in new:
                    yield piece
                at += len(new)
                if is_over and not new:
                    return
                if not new:
                    await changed.wait()


@contextmanager
def making(customer_id: UUID, key: str, sample_rate: int) -> Iterator[Take]:
    """The take of a request, until the block ends."""
    take = Take(sample_rate)
    with _lock:
        _takes[customer_id, key] = take
    _tell()
    try:
        yield take
    finally:
        with _lock:
            if _takes.get((customer_id, key)) is take:
                del _takes[customer_id, key]
        take.end()


async def find(customer_id: UUID, key: str, *, seconds: float = BEGINS_SECONDS) -> Take | None:
    """The take of that request, as soon as it has begun; None if it does not in time."""
    with _listening() as changed:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    changed.clear()
                    with _lock:
                        take = _takes.get((customer_id, key))
                    if take:
                        return take
                    await changed.wait()
        except TimeoutError:
            return None


@contextmanager
def _listening() -> Iterator[asyncio.Event]:
    """An event that is set whenever something about a take has changed."""
    listener = asyncio.get_running_loop(), asyncio.Event()
    with _lock:
        _waiting.add(listener)
    try:
        yield listener[1]
    finally:
        with _lock:
            _waiting.discard(listener)


def _tell() -> None:
    """Wake all listeners: there are few, each looks at its own take."""
    with _lock:
        for loop, changed in _waiting:
            loop.call_soon_threadsafe(changed.set)

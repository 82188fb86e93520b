"""A pool of helper processes that speak for one engine; helper.py is what runs in them.

Work is shared out by piece: each waits for a slot in order of arrival and gives it back when it is
spoken. So a long text joins the queue again after each of its pieces, and stops no short one.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from usage.engines import EngineClosed, EngineFailed, Status
from usage.engines.process import HelperGone, HelperProcess, HelperSpec, Unusable

logger = logging.getLogger(__name__)

START_SECONDS = 60  # for the model to load when nobody waits for it
REMEMBERED_PIECES = 50  # for the real-time factor


class Crashed(Exception):
    """The piece ended two helpers in a row."""


@dataclass(eq=False, slots=True)
class Slot:
    """The right to use one helper: one that idles, or one to be started."""

    helper: HelperProcess | None = None


class Pool:
    """At most `helpers` processes, started when they are needed.

    The slot used last is reused first, so that sequential requests need only one process.
    """

    def __init__(self, spec: HelperSpec, *, helpers: int) -> None:
        self.spec = spec
        self._lock = threading.Lock()
        self._idle = [Slot() for _ in range(helpers)]
        # In order of arrival. With queue.Queue newcomers can overtake waiting requests, so that
        # under load some would wait for ever.
        self._waiting: deque[Future[Slot]] = deque()
        self._running: set[HelperProcess] = set()
        self._closed = False
        self._restarts = 0
        self._problem = ""
        self._recent: deque[tuple[float, float]] = deque(maxlen=REMEMBERED_PIECES)

    def ask(self, request: Mapping[str, Any], *, seconds: float) -> tuple[dict[str, Any], bytes]:
        """Header and samples of the answer. A helper that dies or freezes is replaced and the
        request tried once more, at once.

        Waiting for a helper takes at most `seconds`, and so does each of the two answers; with the
        start of helpers all takes at most three times as long. Raises Crashed if the request ended
        both helpers, else EngineFailed.
        """
        end = time.monotonic() + 3 * seconds
        with self._slot(time.monotonic() + seconds) as slot:
            crashes = 0
            for left_after in (seconds, 0):  # for the other attempt
                started = False
                try:
                    helper = self._ready_helper(slot, end - left_after)
                    started = True
                    began = time.monotonic()
                    deadline = min(began + seconds, end)
                    header, samples = helper.ask({**request, "seconds": seconds}, deadline)
                    self._note(time.monotonic() - began, len(samples))
                    self._look_at_memory(slot)
                    return header, samples
                except (HelperGone, TimeoutError) as error:
                    crashes += started and isinstance(error, HelperGone)
                    self._replace(slot, str(error))
            if self._closed:
                raise EngineClosed
            if crashes == 2:
                raise Crashed
            raise EngineFailed("The speech engine did not answer. Try again in a moment.")

    def warm(self) -> None:
        """Start the helpers that do not run, unless their slots are in use. Raises EngineFailed."""
        with self._lock:
            idle = [slot for slot in self._idle if slot.helper is None]
            self._idle = [slot for slot in self._idle if slot.helper is not None]
        try:
            while idle:
                self._ready_helper(idle[-1], time.monotonic() + START_SECONDS)
                self._give_slot(idle.pop())
        except (HelperGone, TimeoutError) as error:
            self._replace(idle[-1], str(error))
            if self._closed:
                raise EngineClosed from error
            raise EngineFailed(f"The speech engine does not start: {error}") from error
        finally:
            for slot in idle:
                self._end(slot)
                self._give_slot(slot)

    def status(self) -> Status:
        with self._lock:
            work = sum(seconds for seconds, _ in self._recent)
            audio = sum(seconds for _, seconds in self._recent)
            return Status(
                alive=sum(helper.is_alive for helper in self._running),
                waiting=len(self._waiting),
                restarts=self._restarts,
                real_time_factor=work / audio if audio else None,
                problem=self._problem,
            )

    def close(self) -> None:
        """End the helpers. Requests in progress and those that wait raise EngineFailed at once."""
        with self._lock:
            self._closed = True
            while self._running:
                self._running.pop().end()
            while self._waiting:
                waiter = self._waiting.popleft()
                if waiter.set_running_or_notify_cancel():
                    waiter.set_exception(EngineClosed())

    @contextmanager
    def _slot(self, deadline: float) -> Iterator[Slot]:
        slot = self._take_slot(deadline)
        unharmed = False
        try:
            yield slot
            unharmed = True
        finally:
            if not unharmed:
                # Its socket may still deliver part of an answer.
                self._end(slot)
            self._give_slot(slot)

    def _take_slot(self, deadline: float) -> Slot:
        waiter: Future[Slot] = Future()
        with self._lock:
            if self._idle:
                return self._idle.pop()
            self._waiting.append(waiter)
        try:
            return waiter.result(timeout=max(0, deadline - time.monotonic()))
        except TimeoutError:
            if waiter.cancel():
                with self._lock:
                    if waiter in self._waiting:
                        self._waiting.remove(waiter)
                raise EngineFailed("The speech engine is busy. Try again in a moment.") from None
            return waiter.result()  # It was assigned after the timeout.

    def _give_slot(self, slot: Slot) -> None:
        with self._lock:
            while self._waiting:
                waiter = self._waiting.popleft()
                if waiter.set_running_or_notify_cancel():
                    waiter.set_result(slot)
                    return
            self._idle.append(slot)

    def _ready_helper(self, slot: Slot, deadline: float) -> HelperProcess:
        """The slot's helper, started if there is none or if it died while it was idle."""
        if slot.helper and not slot.helper.is_alive:
            self._end(slot)
        if slot.helper is None:
            slot.helper = self._start()
            try:
                slot.helper.wait_until_ready(deadline)
            except Unusable as error:
                self._problem = str(error)
                logger.error("The engine %s does not start: %s", self.spec.name, error)
                raise EngineFailed(f"The speech engine does not start: {error}") from error
            self._problem = ""
        return slot.helper

    def _start(self) -> HelperProcess:
        with self._lock:
            if self._closed:
                raise EngineClosed
            try:
                helper = HelperProcess(self.spec)
            except OSError as error:
                raise EngineFailed(f"The speech engine does not start: {error}") from error
            self._running.add(helper)
            return helper

    def _replace(self, slot: Slot, reason: str) -> None:
        """End the helper; the next request of the slot starts another."""
        if not self._closed:
            logger.warning("A helper of %s is replaced: %s", self.spec.name, reason)
        self._end(slot)
        with self._lock:
            self._restarts += 1

    def _end(self, slot: Slot) -> None:
        with self._lock:
            if slot.helper in self._running:
                self._running.remove(slot.helper)
                slot.helper.end()
        slot.helper = None

    def _note(self, work_seconds: float, samples_bytes: int) -> None:
        audio_seconds = samples_bytes / 2 / self.spec.sample_rate
        if audio_seconds:
            with self._lock:
                self._recent.append((work_seconds, audio_seconds))

    def _look_at_memory(self, slot: Slot) -> None:
        helper = slot.helper
        if helper and (used := helper.memory_bytes()) > self.spec.memory_bytes_max:
            limit = self.spec.memory_bytes_max
            self._replace(slot, f"it uses {used >> 20} MB of memory, of {limit >> 20} allowed")


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""The one database reader behind all event streams of a process.

Every second it reads version and plan of exactly the wallets that have a stream and compares them with what it last
reported: no clock and no window, so there is nothing to miss. A wake-up (`billing.live.wake`) only makes it look sooner.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from django.db import OperationalError, connection, reset_queries

from . import balance
from .balance import Mark, State

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
PAUSE_SECONDS = 0.01  # between two reads: bounds them at 100 a second, whatever the number of wake-ups


class Watcher:
    """A thread with a connection of its own, from `start` to `stop`. `report` gets changed wallets, in that thread."""

    def __init__(self, report: Callable[[list[State]], object]) -> None:
        self._report = report
        self._condition = threading.Condition()
        self._marks: dict[int, Mark] = {}
        self._woken: set[int] = set()
        self._stopping = False
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; it closes its connection on the way. Does not wait for it."""
        with self._condition:
            self._stopping = True
            self._condition.notify()

    def watch(self, state: State) -> None:
        """Report the wallet from now on, and once at once: it may have changed since `state` was read."""
        with self._condition:
            self._marks.setdefault(state.wallet_id, state.mark)
            self._woken.add(state.wallet_id)
            self._condition.notify()

    def forget(self, wallet_id: int) -> None:
        with self._condition:
            self._marks.pop(wallet_id, None)

    def wake(self, wallet_ids: Collection[int]) -> None:
        """Look at these now. Ids without a stream cost one lookup."""
        with self._condition:
            before = len(self._woken)
            self._woken.update(self._marks.keys() & wallet_ids)
            if len(self._woken) > before:
                self._condition.notify()

    def _run(self) -> None:
        try:
            while not self._stopping:
                woken, marks = self._wait()
                self._look(woken, marks)
                time.sleep(PAUSE_SECONDS)
        finally:
            connection.close()

    def _wait(self) -> tuple[set[int], dict[int, Mark]]:
        """Until a wallet was woken or the second is over. Returns what was woken, and what to compare if it is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._stopping or self._woken, timeout=self._look_at - time.monotonic())
            woken, self._woken = self._woken, set()
            if time.monotonic() < self._look_at:
                return woken, {}
            self._look_at = time.monotonic() + LOOK_SECONDS
            return woken, dict(self._marks)

    def _look(self, woken: set[int], marks: dict[int, Mark]) -> None:
        try:
            if marks:
                woken |= {wallet_id for wallet_id, mark in balance.marks(marks).items() if mark != marks[wallet_id]}
            if woken:
                states = balance.states(woken)
                if self._stopping:  # whoever listened is gone, and its event loop may be closed
                    return
                self._report(states)
                with self._condition:
                    self._marks |= {state.wallet_id: state.mark for state in states if state.wallet_id in self._marks}
        except Exception as error:  # the loop's boundary: the marks stayed, so the next look finds what this one lost
            trace = None if isinstance(error, OperationalError) else error  # the database is away, perhaps for an hour
            logger.error("the wallets could not be read (%s); looking again in a second", error, exc_info=trace)
            connection.close()
        finally:
            reset_queries()

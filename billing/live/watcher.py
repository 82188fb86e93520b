"""The watcher: one database reader for all event streams of a process.

Each second it reads version and plan of the wallets that have a stream, and what feeds tell of
them, and compares these with those it last reported. As it compares states and not times, no
lasting change can be missed. A wake-up (`billing.live.wake`) only makes it read sooner.
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

READ_SECONDS = 1.0
PAUSE_SECONDS = 0.01  # between two reads: at most 100 a second, however many wake-ups come


class Watcher:
    """A thread with its own database connection, running from `start` to `stop`.

    Calls `report` in that thread with the states of changed wallets.
    """

    def __init__(self, report: Callable[[list[State]], object]) -> None:
        self._report = report
        self._condition = threading.Condition()
        self._marks: dict[int, Mark] = {}
        self._woken: set[int] = set()
        self._stopping = False
        self._read_at = time.monotonic() + READ_SECONDS
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to close its connection and end. Does not wait for it."""
        with self._condition:
            self._stopping = True
            self._condition.notify()

    def watch(self, state: State) -> None:
        """Report the wallet's changes from now on.

        It is also reported once right away, as it may have changed since `state` was read.
        """
        with self._condition:
            self._marks.setdefault(state.wallet_id, state.mark)
            self._woken.add(state.wallet_id)
            self._condition.notify()

    def forget(self, wallet_id: int) -> None:
        with self._condition:
            self._marks.pop(wallet_id, None)

    def wake(self, wallet_ids: Collection[int]) -> None:
        """Read these wallets now. Those without a stream are ignored."""
        with self._condition:
            before = len(self._woken)
            self._woken.update(self._marks.keys() & wallet_ids)
            if len(self._woken) > before:
                self._condition.notify()

    def _run(self) -> None:
        try:
            while not self._stopping:
                woken, marks = self._wait()
                self._read(woken, marks)
                time.sleep(PAUSE_SECONDS)
        finally:
            connection.close()

    def _wait(self) -> tuple[set[int], dict[int, Mark]]:
        """Wait for a wake-up or the end of the second.

        Returns the woken wallets' ids, and the marks to compare if the second is over.
        """
        with self._condition:
            timeout = self._read_at - time.monotonic()
            self._condition.wait_for(lambda: self._stopping or self._woken, timeout=timeout)
            woken, self._woken = self._woken, set()
            if time.monotonic() < self._read_at:
                return woken, {}
            self._read_at = time.monotonic() + READ_SECONDS
            return woken, dict(self._marks)

    def _read(self, woken: set[int], marks: dict[int, Mark]) -> None:
        try:
            if marks:
                current = balance.marks(marks).items()
                woken |= {wallet_id for wallet_id, mark in current if mark != marks[wallet_id]}
            if woken:
                states = balance.states(woken)
                if self._stopping:  # no stream is left, and the event loop may be closed
                    return
                self._report(states)
                with self._condition:
                    watched = [state for state in states if state.wallet_id in self._marks]
                    self._marks |= {state.wallet_id: state.mark for state in watched}
        except Exception as error:  # the marks are unchanged, so the next read finds the changes
            # No traceback while the database is down, which may be for an hour.
            trace = None if isinstance(error, OperationalError) else error
            logger.error("reading wallets failed (%s); retrying in a second", error, exc_info=trace)
            connection.close()
        finally:
            reset_queries()

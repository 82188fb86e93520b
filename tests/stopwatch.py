"""Measures how long something takes, without what a busy machine adds to it."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path


class Stopwatch:
    """Runs from now on, for processes of this machine and the test's own.

    Linux says of each thread how long it was ready to run and no processor was free. That time is
    left out. On a machine that is not busy it is nothing, and elsewhere than on Linux unknown.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = (os.getpid(), *pids)
        self._queued: dict[Path, float] = {}
        self._look()
        self._before = dict(self._queued)
        self._began_at = time.monotonic()

    def seconds(self) -> float:
        elapsed = time.monotonic() - self._began_at
        self._look()
        return elapsed - sum(
            queued - self._before.get(thread, 0) for thread, queued in self._queued.items()
        )

    def seconds_until_end(self, process: subprocess.Popen, *, patience_seconds: float) -> float:
        """Until it has ended. Looks often: of a process that is gone nothing can be read."""
        while process.poll() is None:
            assert time.monotonic() - self._began_at < patience_seconds, "it does not end"
            self._look()
            time.sleep(0.01)
        return self.seconds()

    def _look(self) -> None:
        for pid in self._pids:
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError):  # it has ended
                    self._queued[thread] = int(thread.read_text().split()[1]) / 1e9

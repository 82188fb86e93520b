"""honcho's manager for `run_all`, which also restarts processes that end by themselves."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from honcho.manager import Manager

SOON_SECONDS = 10  # a process that ends sooner has failed to start
SOON_MAX = 3  # failed starts in a row before giving up


class Supervisor(Manager):  # type: ignore[misc]  # it has no types
    """`loop` ends after a signal, or once a process has repeatedly failed to start.

    `given_up` is the name of that process, else ''.
    """

    given_up = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._started: dict[str, float] = {}
        self._ended_soon: dict[str, int] = {}

    def _start(self) -> None:
        self._started = dict.fromkeys(self._processes, time.monotonic())
        super()._start()

    def _any_stopped(self) -> bool:
        """Restart the processes that ended. `loop` stops all processes if this returns True."""
        if not self._terminating:
            for name, process in self._processes.items():
                if process.get("returncode") is not None and not self._restart(name):
                    self.given_up = name
        return bool(super()._any_stopped())

    def _all_stopped(self) -> bool:
        """Whether it is over. honcho ends for good once all have stopped; ours are restarted."""
        return bool(self._terminating and super()._all_stopped())

    def _restart(self, name: str) -> bool:
        ended_soon = time.monotonic() - self._started[name] < SOON_SECONDS
        self._ended_soon[name] = self._ended_soon.get(name, 0) + 1 if ended_soon else 0
        if self._ended_soon[name] >= SOON_MAX:
            return False
        process = self._processes[name]
        returncode = process.pop("returncode")
        self._system_print(f"{name} ended by itself (rc={returncode}) and is restarted\n")
        self.returncode = None
        self._started[name] = time.monotonic()
        run, watched = process["obj"].run, (self.events, True)
        process["process"] = multiprocessing.Process(name=name, target=run, args=watched)
        process["process"].start()
        return True

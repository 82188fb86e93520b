"""honcho's manager for `run_all`, but a process that ends by itself is started again."""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from honcho.manager import Manager

SOON_SECONDS = 10  # a process that ends within this has not got as far as working
SOON_MAX = 3  # in a row: then it will not come up, and the last lines of its output say why


class Supervisor(Manager):  # type: ignore[misc]  # it has no types
    """`loop` ends after a signal, or when `given_up` names a process that would not come up."""

    given_up = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._started: dict[str, float] = {}
        self._ended_soon: dict[str, int] = {}

    def _start(self) -> None:
        self._started = dict.fromkeys(self._processes, time.monotonic())
        super()._start()

    def _any_stopped(self) -> bool:
        """What `loop` asks before it stops all of them."""
        if not self._terminating:
            for name, process in self._processes.items():
                if process.get("returncode") is not None and not self._again(name):
                    self.given_up = name
        return bool(super()._any_stopped())

    def _again(self, name: str) -> bool:
        ended_soon = time.monotonic() - self._started[name] < SOON_SECONDS
        self._ended_soon[name] = self._ended_soon.get(name, 0) + 1 if ended_soon else 0
        if self._ended_soon[name] >= SOON_MAX:
            return False
        process = self._processes[name]
        returncode = process.pop("returncode")
        self._system_print(f"{name} ended by itself (rc={returncode}) and is started again\n")
        self.returncode = None
        self._started[name] = time.monotonic()
        run, watched = process["obj"].run, (self.events, True)
        process["process"] = multiprocessing.Process(name=name, target=run, args=watched)
        process["process"].start()
        return True

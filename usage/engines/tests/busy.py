"""A model that works for as long as it is asked to, and says nothing. For tests of limits."""

import time
from pathlib import Path
from typing import Any

FOLDER = None
FORKS = False


class Busy:
    def begin(self, folder: Path | None) -> None:
        pass

    def speak(self, request: dict[str, Any]) -> tuple[list[tuple[float, float]], bytes]:
        end = time.process_time() + request["work_seconds"]
        while time.process_time() < end:
            pass
        return [], b""


def load() -> Busy:
    return Busy()

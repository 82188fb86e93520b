"""Time that goes on from a given moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta


def ticking(now: datetime) -> Callable[[], datetime]:
    """A clock that shows `now` and runs from there.

    For work that waits for others between two writes: the second write's moment is later than `now`, on whichever clock
    the caller lives (a test's or a simulation's may be years away).
    """
    began = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - began)

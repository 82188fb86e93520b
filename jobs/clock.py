"""Time that goes on from a given moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta


def ticking(now: datetime) -> Callable[[], datetime]:
    """A clock that shows `now` and runs from there.

    For work that makes several writes with calls between them: later writes carry later moments, on
    the caller's own clock (that of a test or a simulation may be years away).
    """
    began = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - began)

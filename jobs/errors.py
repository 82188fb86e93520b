"""What a job raises: two kinds of error of the outside world, and the request to run later.

Adapters raise subclasses of the first two.
"""

from __future__ import annotations


class Unavailable(Exception):
    """Try again later: the other side is down, slow or limiting us, or its answer was lost.

    `pause_seconds`: set if every row of the job would fail alike (a refused API key). The job
    pauses that long, and no row counts an attempt. `retry_after_seconds`: what the other side asked
    for.
    """

    def __init__(
        self, message: str, *, pause_seconds: int = 0, retry_after_seconds: float = 0
    ) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds
        self.retry_after_seconds = retry_after_seconds


class Rejected(Exception):
    """Do not try again: the other side understood and refused.

    The row is dead until a person decides."""


class Snooze(Exception):
    """Run again in `seconds`, because something else must come first; no attempt is counted."""

    def __init__(self, message: str, *, seconds: float = 2) -> None:
        super().__init__(message)
        self.seconds = seconds

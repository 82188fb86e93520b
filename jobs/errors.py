"""The two kinds of trouble a step can meet at the edge, and the wish to wait. Adapters raise subclasses of these."""

from __future__ import annotations


class Unavailable(Exception):
    """Try again later: the other side is down, slow, limiting us, or lost our answer.

    `pause_seconds`: when set, every row of the lane would fail alike (a refused API key); the lane rests that long and
    no row counts an attempt. `retry_after_seconds`: what the other side asked for, if it did.
    """

    def __init__(self, message: str, *, pause_seconds: int = 0, retry_after_seconds: float = 0) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds
        self.retry_after_seconds = retry_after_seconds


class Rejected(Exception):
    """Never: the other side understood and refuses. The row is dead until a person decides."""


class Snooze(Exception):
    """A predecessor is missing (no Metronome customer yet). Look again in `seconds`; no attempt is counted."""

    def __init__(self, message: str, *, seconds: float = 2) -> None:
        super().__init__(message)
        self.seconds = seconds

"""Whether the worker that runs a job was asked to stop: for jobs of many steps, to end early."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_asked: ContextVar[threading.Event | None] = ContextVar("asked", default=None)


def is_asked() -> bool:
    """Whether to give the row back now. False where no worker runs the job."""
    asked = _asked.get()
    return asked is not None and asked.is_set()


@contextmanager
def by(asked: threading.Event) -> Iterator[None]:
    """Inside, `is_asked` answers whether this event is set."""
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)

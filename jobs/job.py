"""What a worker knows of a job. `jobs.worker` has the two kinds: RowJob and BatchJob."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from django.db.models import QuerySet


class Job(Protocol):
    """One kind of work."""

    @property
    def name(self) -> str: ...

    @property
    def queue(self) -> str:
        """Which workers run it: those that serve this queue."""

    def due(self, now: datetime, /) -> QuerySet[Any]:
        """The rows waiting for this job; asked only whether there are any."""

    def run(self, now: datetime, /) -> int:
        """Work on one row, or on one batch of them.

        Returns how many were taken; 0 means that nothing could be done for now.
        """

    def prepare(self, now: datetime, /) -> None:
        """Make rows that must exist and do not. Workers call it at their start and now and then."""

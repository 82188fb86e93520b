"""A row's job done in this process, for those who wait for it: a command, an operator's page."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from django.db.models import QuerySet

from . import queue
from .errors import Rejected, Snooze, Unavailable
from .models import JobRow
from .worker import RowJob

J = TypeVar("J", bound=JobRow)


def do_now(job: RowJob, rows: QuerySet[J], *, now: datetime) -> None:
    """Run the job on the one row of `rows` in this process, under the same claim as a worker.

    Raises what the job raises, and Snooze if a worker has the row in hand.
    """
    queue_rows: Any = rows
    queue_rows.run_now(now)
    keys = list(rows.values_list("pk", flat=True))
    claimed = queue.claim(rows.model, among=keys, now=now, limit=1, lease_seconds=job.lease_seconds)
    if not claimed:
        raise Snooze("a worker is just at it")
    try:
        again_at = job.perform(claimed[0], now)
    except (Unavailable, Rejected, Snooze) as error:
        queue.fail(claimed[0], error, now=now)
        raise
    except KeyboardInterrupt:  # free for the next run at once, not when the lease ends
        queue.fail(claimed[0], Snooze("interrupted"), now=now)
        raise
    queue.complete(claimed, due_at=again_at)

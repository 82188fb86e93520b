"""Rows that jobs work on, the workers that run, and the jobs that are paused.

The row is the task: a model that mixes in `JobRow` carries the state of its own job. There is no
table of tasks, so the admin shows the thing itself (a payment, a webhook, a usage event) with its
attempts and its last error.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

from django.apps import apps
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

Row = TypeVar("Row", bound=models.Model, covariant=True)


class JobRowQuerySet(models.QuerySet[Row]):
    def due(self, now: datetime) -> Self:
        """Rows a worker may claim now: due, not dead, and not leased to another worker."""
        return self.filter(
            Q(leased_until=None) | Q(leased_until__lt=now), due_at__lte=now, dead_at=None
        )

    def dead(self) -> Self:
        return self.exclude(dead_at=None)

    # Other code writes the columns of a job by these methods only. Each returns how many rows it
    # wrote, and sets the columns `also` in the same UPDATE. All are safe while a worker holds the
    # row: when it gives the row back it leaves a `due_at` alone that moved meanwhile.

    def run_now(self, now: datetime, **also: Any) -> int:
        """Have the job run now, on dead rows too and with attempts counted anew."""
        return self.update(due_at=now, dead_at=None, attempts=0, **also)

    def schedule(self, at: datetime | None, **also: Any) -> int:
        """Have the job run at `at`, whenever it was to run. A dead row stays dead."""
        return self.update(due_at=at, **also)

    def schedule_by(self, at: datetime, **also: Any) -> int:
        """Have the job run at `at` at the latest, on the rows on which it is to run at all.

        The end of a lease is no promise to run again, so a row in a worker's hands is scheduled.
        """
        later = Q(due_at__gt=at) | Q(due_at=F("leased_until"))
        return self.filter(later).update(due_at=at, **also)

    def schedule_if_idle(self, at: datetime, **also: Any) -> int:
        """Have the job run at `at` on the rows on which it is not to run at all."""
        return self.update(due_at=Coalesce(F("due_at"), at), **also)

    def cancel(self, **also: Any) -> int:
        """Have the job not run any more, on dead rows either: they need nobody now."""
        return self.update(due_at=None, dead_at=None, last_error="", **also)


def due(at: datetime | None) -> dict[str, Any]:
    """The columns of a new row on which the job is to run at `at`: `create(…, **due(now))`."""
    return {"due_at": at}


class JobRow(models.Model):
    """Mixin for a row that a job works on. These columns are written inside this package only."""

    due_at = models.DateTimeField(
        null=True, blank=True, help_text="When a worker looks at this row. Empty: nothing to do."
    )
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True, default="")
    lease = models.CharField(max_length=32, null=True, blank=True)  # noqa: DJ001  NULL is "free", a token never empty
    leased_until = models.DateTimeField(null=True, blank=True)
    dead_at = models.DateTimeField(
        null=True, blank=True, help_text="Given up; needs a person. Retry makes it due again."
    )

    # How far ahead a row of this model is ever due, apart from back-offs and leases. Beyond that a
    # clock was wrong (jobs.queue.set_right). None: any distance is right, as for the end of a plan.
    due_within_seconds: ClassVar[int | None] = None

    objects = JobRowQuerySet.as_manager()

    class Meta:
        abstract = True
        indexes = [
            models.Index(
                fields=["due_at"],
                name="%(class)s_due",
                condition=Q(due_at__isnull=False, dead_at__isnull=True),
            ),
            models.Index(
                fields=["dead_at"], name="%(class)s_dead", condition=Q(dead_at__isnull=False)
            ),
        ]


class Heartbeat(models.Model):
    """One row per worker process, refreshed every ten seconds; a silent worker is a dead one."""

    worker = models.CharField(max_length=100, unique=True)
    queues = models.JSONField(default=list, help_text="Whose jobs it runs.")
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.worker


class PausedJob(models.Model):
    """A job that pauses because every row of it would fail alike (a refused API key, say)."""

    name = models.CharField(max_length=50, primary_key=True)
    paused_until = models.DateTimeField()
    reason = models.TextField()

    def __str__(self) -> str:
        return self.name


def job_models() -> list[type[JobRow]]:
    """Every model whose rows a job works on, of all apps."""
    return [model for model in apps.get_models() if issubclass(model, JobRow)]

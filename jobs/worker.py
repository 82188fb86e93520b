"""Jobs, and the worker that runs them pass by pass.

Each app lists its jobs as `JOBS` in `<app>/jobs.py`, where `all_jobs` finds them; this package
imports no other app.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.apps import apps
from django.db import Error, InterfaceError, OperationalError, close_old_connections
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from . import queue, stopping
from .errors import Rejected, Snooze, Unavailable
from .exists import Exist, composed
from .job import Job
from .models import Heartbeat, JobRow, PausedJob, job_models

logger = logging.getLogger(__name__)

DEFAULT_QUEUE = "default"

# How long a new row waits at most for an idle worker; asking takes some 5 ms of a core.
IDLE_SECONDS = 1
JOB_RUNS_MAX = 10  # how often one job runs in a pass before the next one does,
JOB_SECONDS = 10  # or for how long
SLOW_SECONDS = 2  # a job that takes longer ends the pass
TROUBLE_SECONDS = 2  # pause after the database failed
HEARTBEAT_SECONDS = 10
HEARTBEAT_STALE_SECONDS = 60  # six missed beats: health calls the worker gone
HEARTBEAT_FORGET_HOURS = 24
KEEP_UP_SECONDS = 600  # how often a worker makes missing rows and looks for a clock that was ahead


@dataclass(frozen=True)
class RowJob:
    """A job that takes one row at a time, which it claims.

    `perform(row, now)` runs outside any transaction and may call the outside world. It returns when
    to run again on the row (None: not again), or raises one of `jobs.errors`.
    """

    name: str
    model: type[JobRow]
    perform: Callable[[Any, datetime], datetime | None]
    lease_seconds: int = 120
    queue: str = DEFAULT_QUEUE
    make_rows: Callable[[datetime], None] | None = None  # for a job whose rows are always the same

    def due(self, now: datetime) -> QuerySet[Any]:
        return self.model._default_manager.due(now)

    def run(self, now: datetime) -> int:
        rows = queue.claim(self.model, now=now, limit=1, lease_seconds=self.lease_seconds)
        return self._perform_on(rows[0], now) if rows else 0

    def prepare(self, now: datetime) -> None:
        if self.make_rows:
            self.make_rows(now)

    def _perform_on(self, row: JobRow, now: datetime) -> int:
        """Run the job on a claimed row, give the row back, and log how it went in one line."""
        began_at = time.monotonic()
        try:
            again_at = self.perform(row, now)
        except Exception as error:  # the loop's boundary: one bad row must not stop the others
            return self._give_back(row, error, now, _milliseconds_since(began_at))
        is_ours = queue.complete([row], due_at=again_at)
        outcome = "done" if is_ours else "done, but its lease was over"
        again = f", again at {again_at:%Y-%m-%d %H:%M:%S}" if again_at else ""
        ms = _milliseconds_since(began_at)
        logger.info("%s %s: %s%s (%d ms)", self.name, row.pk, outcome, again, ms)
        return 1

    def _give_back(self, row: JobRow, error: Exception, now: datetime, ms: float) -> int:
        """Returns 0 if the next row would hardly fare better: one a pass tells when it would."""
        if isinstance(error, Unavailable) and error.pause_seconds:
            pause_job(self.name, seconds=error.pause_seconds, reason=str(error), now=now)
            error = Snooze(str(error), seconds=error.pause_seconds)
            queue.fail(row, error, now=now)
            return 0
        match error:
            case Unavailable():
                logger.warning("%s %s: %s; will try again (%d ms)", self.name, row.pk, error, ms)
            case Rejected():
                logger.error("%s %s: %s; needs a person (%d ms)", self.name, row.pk, error, ms)
            case Snooze():  # a row may do so every two seconds
                logger.debug("%s %s: snoozed: %s (%d ms)", self.name, row.pk, error, ms)
            case _:
                logger.exception("%s failed on row %s (%d ms)", self.name, row.pk, ms)
        queue.fail(row, error, now=now)
        return 0 if isinstance(error, Unavailable) else 1


@dataclass(frozen=True)
class BatchJob:
    """A job that takes several rows at a time, and claims or guards them itself.

    `due(now)` are the rows that wait, of which only the existence is asked. `perform(now)` works on
    one batch of them and returns how many it took: 0 if nothing could be done for now.
    """

    name: str
    due: Callable[[datetime], QuerySet[Any]]
    perform: Callable[[datetime], int]
    queue: str = DEFAULT_QUEUE

    def run(self, now: datetime) -> int:
        began_at = time.monotonic()
        taken = self.perform(now)
        if taken:
            logger.info("%s: %d rows (%d ms)", self.name, taken, _milliseconds_since(began_at))
        return taken

    def prepare(self, now: datetime) -> None:
        """Nothing: its rows come from elsewhere."""


def _milliseconds_since(began_at: float) -> float:
    return (time.monotonic() - began_at) * 1_000


def pause_job(name: str, *, seconds: int, reason: str, now: datetime) -> None:
    logger.error("%s pauses for %s s: %s", name, seconds, reason)
    PausedJob.objects.update_or_create(
        name=name, defaults={"paused_until": now + timedelta(seconds=seconds), "reason": reason}
    )


def all_jobs() -> list[Job]:
    """The `JOBS` of each `<app>/jobs.py`, in the order of INSTALLED_APPS."""
    autodiscover_modules("jobs")
    modules = (sys.modules.get(f"{app.name}.jobs") for app in apps.get_app_configs())
    return [job for module in modules for job in getattr(module, "JOBS", ())]


class UnknownQueue(Exception):
    """No job is on this queue. The text lists those there are."""


def queues() -> list[str]:
    """The queues that have jobs, and the default one."""
    return sorted({DEFAULT_QUEUE, *(job.queue for job in all_jobs())})


def jobs_on(names: Collection[str]) -> list[Job]:
    """The jobs of these queues, in their order. Raises UnknownQueue."""
    if unknown := [name for name in names if name not in queues()]:
        raise UnknownQueue(
            f"No job is on the queue {', '.join(unknown)}. The queues are: {', '.join(queues())}."
        )
    return [job for job in all_jobs() if job.queue in names]


class Worker:
    """Runs jobs pass by pass until stopped. Any number may run: claims keep their rows apart."""

    def __init__(
        self, jobs: Sequence[Job], *, clock: Callable[[], datetime] = timezone.now
    ) -> None:
        self.jobs = jobs
        self.clock = clock
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        self.queues = sorted({job.queue for job in jobs})
        self.stopping = threading.Event()
        self.beat_at: datetime | None = None
        self.kept_up_at: datetime | None = None
        self.slow_at: dict[str, float] = {}  # by job, if its last run was slow

    def run(self) -> None:
        """Work until `stop`, which lets the row in hand be finished and begins no other.

        A job of many steps gives its row back instead (`stopping.is_asked`)."""
        try:
            with stopping.by(self.stopping):
                while not self.stopping.is_set():
                    if not self._pass_safely():
                        self.stopping.wait(IDLE_SECONDS)
        finally:
            with suppress(Error):  # health finds the silence out by itself
                Heartbeat.objects.filter(worker=self.name).delete()

    def drain(self, *, passes_max: int = 1_000) -> int:
        """Work until nothing is due or nothing can be done, for tests and cron.

        Returns how many rows were taken.
        """
        taken = fruitless = 0
        for _ in range(passes_max):
            done, is_whole = self._pass()
            taken += done
            fruitless = 0 if done else fruitless + 1
            if not done and (is_whole or fruitless == len(self.jobs)):
                break
        return taken

    def stop(self) -> None:
        self.stopping.set()

    def run_pass(self) -> int:
        """Run the jobs that have something due. An idle pass costs one query.

        A job slower than SLOW_SECONDS ends the pass and runs last in the next one, so one hanging
        API delays the other jobs by one call at most.
        """
        return self._pass()[0]

    def _pass(self) -> tuple[int, bool]:
        """How many rows were taken, and whether every job could run."""
        now, taken = self.clock(), 0
        self._beat(now)
        for job in sorted(self._due_jobs(now), key=lambda job: self.slow_at.get(job.name, 0)):
            began_at = time.monotonic()
            taken += self._run(job)
            if time.monotonic() - began_at > SLOW_SECONDS:
                self.slow_at[job.name] = time.monotonic()
                return taken, False
            self.slow_at.pop(job.name, None)
        return taken, True

    def _run(self, job: Job) -> int:
        """Run one job a few times: so few that many rows or slow calls do not delay the others."""
        taken = 0
        until = time.monotonic() + JOB_SECONDS
        for _ in range(JOB_RUNS_MAX):
            if self.stopping.is_set() or time.monotonic() > until:
                break
            now = self.clock()
            self._beat(now)
            try:
                done = job.run(now)
            except (OperationalError, InterfaceError):
                raise
            except Exception:  # the loop's boundary: one broken job must not stop the others
                logger.exception("job %s failed", job.name)
                break
            taken += done
            if not done:
                break
        return taken

    def _pass_safely(self) -> int:
        try:
            self._keep_up(self.clock())
            return self.run_pass()
        except Error as error:
            # It may be away for an hour: no traceback each time.
            away = isinstance(error, (OperationalError, InterfaceError))
            logger.error(
                "the database is not answering (%s); trying again",
                error,
                exc_info=None if away else error,
            )
            close_old_connections()  # only now: a worker keeps its connection between passes
            self.stopping.wait(TROUBLE_SECONDS)
            return 0

    def prepare(self) -> None:
        """Make the rows that the jobs need."""
        for job in self.jobs:
            job.prepare(self.clock())

    def _keep_up(self, now: datetime) -> None:
        """What is seen to at the start, when our own clock went back, and every ten minutes."""
        age = now - self.kept_up_at if self.kept_up_at else None
        if age is None or not timedelta(0) <= age < timedelta(seconds=KEEP_UP_SECONDS):
            self.prepare()
            self._set_right(now)
            self.kept_up_at = now

    def _set_right(self, now: datetime) -> None:
        """Put right what a clock that was ahead has written, here or elsewhere."""
        beyond = now + timedelta(seconds=queue.AHEAD_MAX_SECONDS)
        Heartbeat.objects.filter(beat_at__gt=beyond).delete()  # a worker that lives beats again
        PausedJob.objects.filter(paused_until__gt=beyond).delete()
        for model in job_models():
            if rows := queue.set_right(model, now=now):
                logger.warning(
                    "a clock was ahead: %s %s are due now", rows, model._meta.verbose_name_plural
                )

    def _due_jobs(self, now: datetime) -> list[Job]:
        is_beating, is_any_paused, *due = self._exist(now)
        if not is_beating:  # an operator cleared the table
            self.beat_at = None
            return []
        names = set(_paused(now).values_list("name", flat=True)) if is_any_paused else set()
        return [
            job
            for job, is_due in zip(self.jobs, due, strict=True)
            if is_due and job.name not in names
        ]

    def _beat(self, now: datetime) -> None:
        if self.beat_at and timedelta(0) <= now - self.beat_at < timedelta(
            seconds=HEARTBEAT_SECONDS
        ):
            # And not if the clock went back: the beat would lie ahead of it, for hours perhaps.
            return
        if not self.beat_at:
            Heartbeat.objects.filter(
                beat_at__lt=now - timedelta(hours=HEARTBEAT_FORGET_HOURS)
            ).delete()
        beat = {"beat_at": now, "queues": self.queues}
        if not Heartbeat.objects.filter(worker=self.name).update(**beat):
            Heartbeat.objects.get_or_create(worker=self.name, defaults=beat | {"started_at": now})
        self.beat_at = now

    @cached_property
    def _exist(self) -> Exist:
        beat = "SELECT 1 FROM jobs_heartbeat WHERE worker = %s", [self.name]
        return Exist(beat, *map(composed, [_paused, *(job.due for job in self.jobs)]))


def _paused(now: datetime) -> QuerySet[PausedJob]:
    return PausedJob.objects.filter(paused_until__gt=now)

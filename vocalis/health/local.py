"""Health checks of our own rows, which need no network, and of the speech engines."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Max, Min

from jobs import overview
from jobs.models import Heartbeat, JobRow, PausedJob
from mails.models import OutboundMail
from usage.models import ReconciliationRun, UsageDiscrepancy, UsageEvent
from usage.speech.overview import engines

from . import money
from .check import Check, Status

UNSENT_WARN, UNSENT_ERROR = timedelta(minutes=5), timedelta(hours=1)
COMPARED_WARN = timedelta(days=1)  # with 100,000 active customers a run takes six hours


def local_checks(now: datetime, dead: dict[type[JobRow], int]) -> list[Check]:
    """The checks that need no network. `dead` is the result of `overview.dead_rows()`."""
    return [
        _webhook_secret(),
        _mail(),
        _worker(now),
        _paused_jobs(now),
        _unsent(now),
        _unsent_mails(now),
        _usage(now),
        _dead_rows(dead),
        *money.checks(now),
    ]


def engine_checks() -> list[Check]:
    """One check for each speech engine. Their figures are those of this process."""
    return [Check(f"engine {each.name}", each.level, each.detail) for each in engines()]


def _webhook_secret() -> Check:
    if settings.METRONOME_WEBHOOK_SECRETS:
        return Check("webhook secret", "ok", "set")
    status: Status = "warn" if settings.DEBUG else "error"
    empty = "METRONOME_WEBHOOK_SECRET is empty: webhooks cannot be verified"
    return Check("webhook secret", status, empty)


def _mail() -> Check:
    stays_here = settings.EMAIL_BACKEND.endswith(("console.EmailBackend", "kept.Backend"))
    if settings.DEBUG or not stays_here:
        return Check("mail", "ok", "as EMAIL_URL says")
    return Check(
        "mail",
        "warn",
        "EMAIL_URL writes e-mails to the worker's log, with their password reset links",
    )


def _worker(now: datetime) -> Check:
    last = Heartbeat.objects.aggregate(at=Max("beat_at"))["at"]
    heard = (
        f"last heartbeat {last:%Y-%m-%d %H:%M:%S} UTC"
        if last
        else "none runs: none was started, or all have stopped"
    )
    unserved = overview.unserved_queues(now)
    if unserved and overview.alive(now):
        heard = f"none serves the queue {', '.join(unserved)}; {heard}"
    return Check("worker", "error" if unserved else "ok", heard, "jobs_heartbeat")


def _paused_jobs(now: datetime) -> Check:
    paused = PausedJob.objects.filter(paused_until__gt=now)
    if texts := [f"{job.name} pauses: {job.reason}" for job in paused]:
        return Check("paused jobs", "error", "; ".join(texts), "jobs_pausedjob")
    return Check("paused jobs", "ok", "none", "jobs_pausedjob")


def _unsent(now: datetime) -> Check:
    oldest = UsageEvent.objects.filter(due_at__isnull=False, dead_at=None).aggregate(
        at=Min("created_at")
    )["at"]
    age = now - oldest if oldest else timedelta(0)
    status: Status = "error" if age > UNSENT_ERROR else "warn" if age > UNSENT_WARN else "ok"
    detail = f"waits since {oldest:%Y-%m-%d %H:%M} UTC" if oldest else "none waits"
    return Check("oldest unsent event", status, detail, "usage_usageevent?work=due")


def _usage(now: datetime) -> Check:
    differences = UsageDiscrepancy.objects.standing().count()
    until = ReconciliationRun.objects.filter(kind=ReconciliationRun.Kind.HOURS).aggregate(
        at=Max("since_at")
    )["at"]
    is_late = until is not None and now - until > COMPARED_WARN
    compared = f"compared until {until:%Y-%m-%d %H:%M} UTC" if until else "not compared yet"
    status: Status = "warn" if differences or is_late else "ok"
    detail = f"hours that differ: {differences}; {compared}"
    return Check("usage comparison", status, detail, "usage_usagediscrepancy?state=open")


def _dead_rows(dead: dict[type[JobRow], int]) -> Check:
    counts = [f"{count} of {model._meta.verbose_name_plural}" for model, count in dead.items()]
    return Check(
        "dead rows", "warn" if counts else "ok", f"{', '.join(counts) or 'none'} need a person"
    )


def _unsent_mails(now: datetime) -> Check:
    """Mails that wait for the mail server. One that was given up is among the dead rows."""
    waiting = OutboundMail.objects.filter(due_at__isnull=False, dead_at=None)
    oldest = waiting.aggregate(at=Min("created_at"))["at"]
    age = now - oldest if oldest else timedelta(0)
    status: Status = "error" if age > UNSENT_ERROR else "warn" if age > UNSENT_WARN else "ok"
    detail = f"waits since {oldest:%Y-%m-%d %H:%M} UTC" if oldest else "none waits"
    return Check("oldest unsent mail", status, detail, "mails_outboundmail?work=due")

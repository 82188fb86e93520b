"""The operator's start page: what needs a person, what waits, what answers, what was done.

Each person sees what they may look at. Nothing here waits for the network for more than a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db.models import Count, Min, Model, QuerySet, Sum
from django.urls import reverse

from billing.metronome.redaction import without_secrets
from billing.models import Payment
from billing.models.payments import dollars
from jobs import overview
from jobs.models import JobRow, PausedJob
from jobs.worker import RowJob, all_jobs
from mails.models import OutboundMail
from usage.models import UsageEvent

from .health import local, remote

# To see what is of no row: checks without a page, the remote sides, the speech engines.
GENERAL_PERMISSION = "jobs.view_heartbeat"
LATE, VERY_LATE = timedelta(minutes=1), timedelta(minutes=10)
# Work that failed is due again within this; from so many attempts on it is worth a look.
TRIED_AGAIN_WITHIN, FAILING_ATTEMPTS = timedelta(minutes=10), 3
COUNTED_MAX = 10_000
ACTS_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Waiting:
    """The rows of one kind that are due and were not taken yet, or failed and are tried again."""

    name: str
    jobs: str
    url: str
    count: int
    is_cut: bool
    oldest_at: datetime | None
    dead: int
    state: str
    level: str  # ok, warn or error


def check_rows(now: datetime) -> list[dict[str, str]]:
    """The health checks of our own rows, each with its URL and the permission to see it.

    Dead rows are listed by model.
    """
    dead = overview.dead_rows()
    checks = [
        check for check in local.local_checks(now, dead) if not (dead and check.name == "dead rows")
    ]
    rows = [_check_row(check.name, check.status, check.detail, check.admin) for check in checks]
    for model, count in dead.items():
        page = f"{model._meta.app_label}_{model._meta.model_name}?work=dead"
        name = f"dead {model._meta.verbose_name_plural}"
        rows.append(_check_row(name, "warn", f"{count} need a person", page))
    return rows


def waiting(viewer: Any, now: datetime) -> list[Waiting]:
    """What waits, since when, by kind of row; kinds of which nothing waits come last."""
    jobs: dict[type[JobRow], list[str]] = {}
    for job in all_jobs():
        if isinstance(job, RowJob):
            jobs.setdefault(job.model, []).append(job.name)
    paused = dict(PausedJob.objects.filter(paused_until__gt=now).values_list("name", "reason"))
    dead = overview.dead_rows()
    rows = [
        _waiting(model, names, paused, dead.get(model, 0), now)
        for model, names in jobs.items()
        if viewer.has_perm(_view(model))
    ]
    order = {"error": 0, "warn": 1, "ok": 2}
    return sorted(rows, key=lambda row: (order[row.level], -row.count, row.name))


def answers(viewer: Any) -> list[dict[str, Any]]:
    """What Metronome and Stripe answer right now."""
    if not viewer.has_perm(GENERAL_PERMISSION):
        return []
    return [
        {
            "name": one.name,
            "status": one.check.status,
            "detail": without_secrets(one.check.detail or "answers"),
            "age_seconds": one.age_seconds,
        }
        for one in remote.answers_now()
    ]


def figures(viewer: Any, now: datetime) -> list[dict[str, str]]:
    """The figures at the top: money stuck and taken, usage and mails on their way."""
    found: list[dict[str, str]] = []
    if viewer.has_perm("billing.view_payment"):
        found += [_stuck(now), _taken(now)]
    if viewer.has_perm("usage.view_usageevent"):
        rows: QuerySet[Any] = UsageEvent.objects.filter(due_at__isnull=False, dead_at=None)
        found.append(_unsent("Usage not yet at Metronome", rows, "event", now))
    if viewer.has_perm("mails.view_outboundmail"):
        rows = OutboundMail.objects.filter(due_at__isnull=False, dead_at=None)
        found.append(_unsent("Mails unsent", rows, "mail", now))
    return found


def acts(viewer: Any) -> QuerySet[LogEntry]:
    """What people did last, for those who may read the log."""
    if not viewer.has_perm("admin.view_logentry"):
        return LogEntry.objects.none()
    return LogEntry.objects.select_related("user").order_by("-pk")[:ACTS_SHOWN]


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago that was, such as "11 min"."""
    if at is None:
        return "—"
    seconds = max(0, int((now - at).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _waiting(
    model: type[JobRow], names: list[str], paused: dict[str, str], dead: int, now: datetime
) -> Waiting:
    due = model._default_manager.due(now)
    count = due.order_by().values("pk")[:COUNTED_MAX].count()
    oldest_at = due.aggregate(at=Min("due_at"))["at"] if count else None
    level, state = "ok", "flows" if count else "empty"
    if oldest_at and now - oldest_at > LATE:
        level, state = "warn", "late"
    if oldest_at and now - oldest_at > VERY_LATE:
        level = "error"
    failing = model._default_manager.filter(
        dead_at=None, attempts__gt=0, due_at__gt=now, due_at__lte=now + TRIED_AGAIN_WITHIN
    )
    failed = failing.order_by().values("pk")[:COUNTED_MAX].count()
    if failed and (worst := failing.order_by("-attempts", "pk").first()):
        state = f"{failed:,} failed and tried again: {without_secrets(worst.last_error)[:200]}"
        if level == "ok" and worst.attempts >= FAILING_ATTEMPTS:
            level = "warn"
    if reasons := [f"{name} pauses: {paused[name]}" for name in names if name in paused]:
        level, state = "error", without_secrets("; ".join(reasons))
    elif dead:
        level, state = ("warn" if level == "ok" else level), f"{state}; {dead} need a person"
    meta = model._meta
    query = "?work=due" if count or failed else ""
    return Waiting(
        name=str(meta.verbose_name_plural),
        jobs=", ".join(names),
        url=reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist") + query,
        count=count + failed,
        is_cut=COUNTED_MAX in (count, failed),
        oldest_at=oldest_at,
        dead=dead,
        state=state,
        level=level,
    )


def _stuck(now: datetime) -> dict[str, str]:
    found = Payment.objects.charged_not_granted().aggregate(
        count=Count("pk"), cents=Sum("amount_cents", default=0), at=Min("created_at")
    )
    some = f"{found['count']} charged, not granted; oldest {ago(found['at'], now)}"
    return {
        "name": "Money stuck",
        "value": dollars(found["cents"]),
        "detail": some if found["count"] else "all that was charged is granted or paid back",
        "level": "error" if found["count"] else "",
    }


def _taken(now: datetime) -> dict[str, str]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = Payment.objects.filter(created_at__gte=today)
    taken = rows.filter(state=Payment.State.CHARGED)
    found = taken.aggregate(count=Count("pk"), cents=Sum("amount_cents", default=0))
    failed = rows.filter(state=Payment.State.FAILED).count()
    return {
        "name": "Taken today (UTC)",
        "value": dollars(found["cents"]),
        "detail": f"{found['count']} payments, {failed} not paid",
        "level": "",
    }


def _unsent(name: str, rows: QuerySet[Any], what: str, now: datetime) -> dict[str, str]:
    count = rows.order_by().values("pk")[:COUNTED_MAX].count()
    at = rows.aggregate(at=Min("created_at"))["at"] if count else None
    late = at is not None and now - at > VERY_LATE
    more = " or more" if count == COUNTED_MAX else ""
    return {
        "name": name,
        "value": f"{count:,}{more}",
        "detail": f"oldest {what} {ago(at, now)}" if count else "nothing waits",
        "level": "warn" if late else "",
    }


def _check_row(name: str, status: str, detail: str, page: str) -> dict[str, str]:
    """`page` names a changelist, such as "billing_drift?state=open".

    A check without a page is shown to those who may see the workers' heartbeats.
    """
    label, _, query = page.partition("?")
    app, _, model = label.partition("_")
    url = reverse(f"admin:{label}_changelist") + f"?{query}" * bool(query) if label else ""
    return {
        "name": name,
        "status": status,
        "detail": detail,
        "url": url,
        "permission": f"{app}.view_{model}" if label else GENERAL_PERMISSION,
    }


def _view(model: type[Model]) -> str:
    return f"{model._meta.app_label}.view_{model._meta.model_name}"

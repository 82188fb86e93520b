"""Health checks: whether this process can serve requests (`/health`), and whether billing, jobs,
Metronome and the speech engines work (`/health/integrations`).

The admin's start page shows those of the checks that need no network, and the engines.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.conf import settings
from django.db import Error, connection
from django.db.models import Count, Max, Min
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing import metronome
from billing.metronome import catalogue, setup
from billing.metronome.redaction import without_secrets
from billing.models import AutoRecharge, Drift, Payment
from billing.payments.gateways.stripe import events
from jobs import overview
from jobs.errors import Rejected, Unavailable
from jobs.models import Heartbeat, JobRow, PausedJob
from usage.models import ReconciliationRun, UsageDiscrepancy, UsageEvent
from usage.speech.overview import engines

Status = Literal["ok", "warn", "error"]
STATUSES: tuple[Status, ...] = ("ok", "warn", "error")  # the report has the worst of its checks

CALL_SECONDS = 3  # per call to Metronome, without retries
ALL_SECONDS = 8  # for all checks of Metronome; some make several calls
# Each process queries Metronome at most once in this time, however many requests ask.
CACHE_SECONDS = 10
STALE_SECONDS = 30  # an older report is not returned while a new one is made
CHARGED_WARN, CHARGED_ERROR = timedelta(minutes=1), timedelta(minutes=10)  # usually seconds
UNSENT_WARN, UNSENT_ERROR = timedelta(minutes=5), timedelta(hours=1)
COMPARED_WARN = timedelta(days=1)  # with 100,000 active customers a run takes six hours


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check.

    `admin` names the changelist with the rows in question, such as "billing_drift?state=open".
    """

    name: str
    status: Status
    detail: str
    admin: str = ""


# --- This process ---------------------------------------------------------------------------------


@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """For load balancers: one SELECT, no calls to other services."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return JsonResponse(
            {"status": "error", "summary": "the database is not answering"}, status=503
        )
    return JsonResponse({"status": "ok"})


# --- The business behind it -----------------------------------------------------------------------


@never_cache
@require_safe
def integrations(request: HttpRequest) -> HttpResponse:
    """For monitors: 503 if a check is an error, else 200, also with warnings.

    Staff and requests with HEALTH_TOKEN see error texts, counts and addresses. Others see names and
    statuses only.
    """
    report = cached_report()
    if not may_see_details(request):
        named = [{"name": check["name"], "status": check["status"]} for check in report["checks"]]
        report = report | {"checks": named}
    return HttpResponse(
        without_secrets(json.dumps(report)),
        content_type="application/json",
        status=503 if report["status"] == "error" else 200,
    )


def may_see_details(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.HEALTH_TOKEN and scheme.lower() == "bearer":
        return constant_time_compare(token.strip(), settings.HEALTH_TOKEN)
    try:
        return request.user.is_staff
    except Error:  # the session is in the database
        return False


_lock = threading.Lock()
_last: tuple[float, dict[str, Any]] | None = None


def cached_report() -> dict[str, Any]:
    """The report of the last CACHE_SECONDS, or a new one.

    While one request makes a new report, the others get the last one unless it is older than
    STALE_SECONDS. If they waited while Metronome hangs, they would occupy the threads of pages.
    """
    global _last
    last = _last
    is_fresh = last is not None and time.monotonic() - last[0] <= STALE_SECONDS
    if not _lock.acquire(blocking=not is_fresh) and last:
        return last[1]
    try:
        if _last is None or time.monotonic() - _last[0] > CACHE_SECONDS:
            _last = time.monotonic(), report(now=timezone.now())
        return _last[1]
    finally:
        _lock.release()


def report(*, now: datetime) -> dict[str, Any]:
    """The report as JSON-serialisable data: status, summary, checked_at and checks."""
    try:
        local = [*local_checks(now, overview.dead_rows()), *engine_checks()]
    except Error:
        local = [Check("database", "error", "not answering")]
    checks = [*remote_checks(now), *local]
    status = max((check.status for check in checks), key=STATUSES.index)
    failing = [check.name for check in checks if check.status != "ok"]
    return {
        "status": status,
        "summary": f"not ok: {', '.join(failing)}" if failing else "all checks are ok",
        "checked_at": now.isoformat(),
        "checks": [
            {key: value for key, value in asdict(check).items() if key != "admin"}
            for check in checks
        ],
    }


# --- Metronome ------------------------------------------------------------------------------------


def remote_checks(now: datetime) -> list[Check]:
    """All checks that call Metronome or Stripe, in parallel.

    A check without a result after ALL_SECONDS is an error.
    """
    asks: dict[str, Callable[[], list[Check]]] = {"reachability": _connection_checks} | {
        name: _catalogue_check(name, ask, now) for name, ask in catalogue.CHECKS.items()
    }
    if settings.PAYMENT_GATEWAY == "stripe":
        asks["stripe"] = _stripe_checks
    pool = ThreadPoolExecutor(max_workers=len(asks), thread_name_prefix="health")
    try:
        answers = {name: pool.submit(_with_timeout, ask) for name, ask in asks.items()}
        wait(answers.values(), timeout=ALL_SECONDS)
        return [
            check
            for name, answer in answers.items()
            for check in (
                answer.result() if answer.done() else [Check(name, "error", "no answer in time")]
            )
        ]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _with_timeout(ask: Callable[[], list[Check]]) -> list[Check]:
    with metronome.call_timeout(CALL_SECONDS):
        return ask()


def _connection_checks() -> list[Check]:
    try:
        asked = time.monotonic()
        setup.pricing_units()
    except Unavailable as error:
        if error.pause_seconds:  # Metronome responded, but refused our API key
            return [Check("reachability", "ok", ""), Check("credentials", "error", str(error))]
        return [
            Check("reachability", "error", str(error)),
            Check("credentials", "error", "cannot be checked"),
        ]
    except Rejected as error:
        return [Check("reachability", "ok", ""), Check("credentials", "error", str(error))]
    answered = f"{settings.METRONOME_API_URL} answers in {time.monotonic() - asked:.1f} s"
    return [Check("reachability", "ok", answered), Check("credentials", "ok", "accepted")]


def _stripe_checks() -> list[Check]:
    """Whether Stripe answers, and our key may read what we need; nothing is written to find out."""
    asked = time.monotonic()
    try:
        refused = events.refused_rights()
    except (Unavailable, Rejected) as error:
        return [Check("stripe", "error", str(error))]
    if refused:
        return [Check("stripe", "error", f"the key lacks rights for: {', '.join(refused)}")]
    answered = f"{settings.STRIPE_API_URL} answers in {time.monotonic() - asked:.1f} s"
    return [Check("stripe", "ok", answered)]


def _catalogue_check(
    name: str, ask: Callable[[datetime], list[str]], now: datetime
) -> Callable[[], list[Check]]:
    def check() -> list[Check]:
        try:
            texts = ask(now)
        except (Unavailable, Rejected) as error:
            return [Check(name, "error", str(error))]
        if not texts:
            return [Check(name, "ok", "as it should be")]
        # Without notifications everything still works, only later: the hourly jobs find changes.
        return [Check(name, "warn" if name == "notifications" else "error", "; ".join(texts))]

    return check


# --- Our own rows ---------------------------------------------------------------------------------


def local_checks(now: datetime, dead: dict[type[JobRow], int]) -> list[Check]:
    """The checks that need no network. `dead` is the result of `overview.dead_rows()`."""
    return [
        _webhook_secret(),
        _mail(),
        _worker(now),
        _paused_jobs(now),
        _unsent(now),
        _usage(now),
        _dead_rows(dead),
        _charged(now),
        *_money(),
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


def _charged(now: datetime) -> Check:
    """Payments that were charged and have neither credits nor a refund yet."""
    stuck = Payment.objects.charged_not_granted()
    found = stuck.aggregate(oldest=Min("created_at"), count=Count("pk"))
    page = "billing_payment?state__in=charged,refunding"
    if not found["count"]:
        return Check("charged, not granted", "ok", "none", page)
    age = now - found["oldest"]
    status: Status = "error" if age > CHARGED_ERROR else "warn" if age > CHARGED_WARN else "ok"
    detail = f"{found['count']}; the oldest payment is {age.total_seconds():,.0f} s old"
    return Check("charged, not granted", status, detail, page)


def _money() -> list[Check]:
    drifts = Drift.objects.filter(state=Drift.State.OPEN).count()
    failed = AutoRecharge.objects.in_trouble().count()
    return [
        Check(
            "drift", "warn" if drifts else "ok", f"{drifts} open", "billing_drift?state__exact=open"
        ),
        # Only the customer can fix a declined card, so it is shown but is never a warning.
        Check(
            "auto-recharge", "ok", f"{failed} failed or stuck", "billing_autorecharge?trouble=yes"
        ),
    ]

"""Health checks: whether this process can serve requests (`/health`), and whether billing, jobs,
Metronome and the speech engines work (`/health/integrations`).

The admin's start page shows those of the checks that need no network, the engines, and what
Metronome and Stripe answer right now.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from billing.metronome.redaction import without_secrets
from jobs import overview

from .check import STATUSES, Check
from .local import engine_checks, local_checks
from .remote import remote_checks

# Each process queries Metronome at most once in this time, however many requests ask.
CACHE_SECONDS = 10
STALE_SECONDS = 30  # an older report is not returned while a new one is made


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

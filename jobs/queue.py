"""Claim, settle and fail rows that mix in `jobs.models.Job`.

A claim is a lease, not a lock: a worker killed at any instruction leaves a row that is due again when the lease ends.
So whatever is done under a claim must be safe to do twice, and a lease must outlive the slowest call made under it.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Case, DateTimeField, F, Q, QuerySet, Value, When

from .errors import NotYet, Rejected, Unavailable
from .models import Job

J = TypeVar("J", bound=Job)

BACKOFF_FIRST_SECONDS = 1
BACKOFF_MAX_SECONDS = 120  # after an outage of any length everything is tried again within two minutes
UNAVAILABLE_ATTEMPTS_MAX = 2_000  # about 2.7 days at the cap: a weekend, and as long as Metronome retries its webhooks
UNEXPECTED_ATTEMPTS_MAX = 10  # an error nobody foresaw is a bug; some ten minutes of retries, then a person looks


def claim(rows: QuerySet[J], *, now: datetime, limit: int, lease_seconds: int) -> list[J]:
    """Take up to `limit` due rows of `rows` for this worker alone, oldest first.

    The ids are locked before the UPDATE: `UPDATE … WHERE id IN (SELECT … LIMIT n)` by itself hands the same rows to two
    workers on PostgreSQL. SQLite has no row locks and needs none: our transactions there start with BEGIN IMMEDIATE.
    `due_at` moves to the end of the lease, a moment no nudge can name: whoever finds another value there knows that the
    row was nudged, even by a clock that stands still.
    """
    token = secrets.token_hex(16)
    until = now + timedelta(seconds=lease_seconds)
    with transaction.atomic():
        free = rows.select_for_update(skip_locked=True, of=("self",)).order_by("due_at")
        claimed = list(free.due(now)[:limit])  # type: ignore[attr-defined]
        if claimed:
            rows.model._default_manager.filter(pk__among=[row.pk for row in claimed]).update(
                lease=token, leased_until=until, due_at=until
            )
    for row in claimed:
        row.lease, row.leased_until, row.due_at = token, until, until
    return claimed


def settle(rows: Sequence[Job], *, due_at: datetime | None = None, **also: Any) -> int:
    """Give rows of one claim back as done, due again at `due_at` or never. Returns how many were still ours.

    `also` are further columns to set in the same UPDATE. A row that was nudged while we held it stays due, so a nudge
    is never lost.
    """
    return _give_back(rows, due_at=due_at, attempts=0, last_error="", **also) if rows else 0


def fail(row: Job, error: Exception, *, now: datetime) -> None:
    """Give a claimed row back after `error`: later for what may pass, dead for what will not."""
    _fail_alike([row], row.attempts, error, now)


def fail_all(rows: Sequence[Job], error: Exception, *, now: datetime) -> None:
    """Give rows of one claim back after the one `error` they share: as `fail`, in an UPDATE per count of attempts."""
    for attempts in sorted({row.attempts for row in rows}):
        _fail_alike([row for row in rows if row.attempts == attempts], attempts, error, now)


def _fail_alike(rows: Sequence[Job], attempts: int, error: Exception, now: datetime) -> None:
    text = f"{type(error).__name__}: {error}"[:2_000]
    if isinstance(error, NotYet):
        _give_back(rows, due_at=now + timedelta(seconds=error.seconds), attempts=attempts, last_error=text)
        return
    attempts += 1
    attempts_max = UNAVAILABLE_ATTEMPTS_MAX if isinstance(error, Unavailable) else UNEXPECTED_ATTEMPTS_MAX
    if isinstance(error, Rejected) or attempts >= attempts_max:
        _give_back(rows, due_at=now, attempts=attempts, last_error=text, dead_at=now)
        return
    asked = error.retry_after_seconds if isinstance(error, Unavailable) else 0
    wait = timedelta(seconds=max(asked, backoff_seconds(attempts)))
    _give_back(rows, due_at=now + wait, attempts=attempts, last_error=text)


def backoff_seconds(attempts: int) -> float:
    """Doubling wait with a cap, and half to full of it at random so that rows which failed together spread out."""
    ceiling = min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** min(attempts, 20))
    return ceiling * random.uniform(0.5, 1)


def _give_back(
    rows: Sequence[Job],
    *,
    due_at: datetime | None,
    attempts: int,
    last_error: str,
    dead_at: datetime | None = None,
    **also: Any,
) -> int:
    first = rows[0]
    moment = DateTimeField(null=True)
    unmoved = Q(due_at=first.due_at)
    changed = (
        type(first)
        ._default_manager.filter(pk__among=[row.pk for row in rows], lease=first.lease)
        .update(
            due_at=Case(When(unmoved, then=Value(due_at, output_field=moment)), default=F("due_at")),
            dead_at=Case(When(unmoved, then=Value(dead_at, output_field=moment)), default=F("dead_at")),
            attempts=attempts,
            last_error=last_error,
            lease=None,
            leased_until=None,
            **also,
        )
    )
    for row in rows:
        row.attempts, row.last_error, row.dead_at = attempts, last_error, dead_at
        row.lease, row.leased_until = None, None
    return changed

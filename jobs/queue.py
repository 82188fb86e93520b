"""Claim rows that mix in `jobs.models.JobRow`, and give them back: completed, or failed.

Failed work is retried with a back-off, or needs a person: `fail` decides by the kind of error.

A claim is a lease, not a lock: a worker killed at any instruction leaves a row that is due again
when the lease ends. So whatever is done under a claim must be safe to do twice, and a lease must
outlive the slowest call made under it, or be renewed meanwhile (`extend`).
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Case, F, Q, When

from .errors import Rejected, Snooze, Unavailable
from .models import JobRow

J = TypeVar("J", bound=JobRow)

BACKOFF_FIRST_SECONDS = 1
# After an outage of any length everything is tried again within two minutes.
BACKOFF_MAX_SECONDS = 120
UNAVAILABLE_ATTEMPTS_MAX = 2_000  # 2.7 days at the cap: a weekend, and as long as Metronome retries
# Longer than any lease, back-off (two minutes) and wait that others ask for (five)
AHEAD_MAX_SECONDS = 900
LEASE_MAX_SECONDS = 600
UNEXPECTED_ATTEMPTS_MAX = 10  # an unforeseen error is a bug: ten minutes of retries, then a person


def claim(
    model: type[J],
    *,
    now: datetime,
    limit: int,
    lease_seconds: int,
    among: Sequence[Any] | None = None,
    fields: Sequence[str] = (),
) -> list[J]:
    """Lease up to `limit` due rows to this worker, oldest first.

    `among`: only rows with these primary keys. `fields`: the attributes to load, the key and
    `attempts` among them; by default all.

    The rows are locked before the UPDATE: `UPDATE … WHERE id IN (SELECT … LIMIT n)` alone gives the
    same rows to two workers on PostgreSQL. SQLite has no row locks and needs none, because our
    transactions start there with BEGIN IMMEDIATE.

    claim() sets due_at to the end of the lease. If it differs when the job ends, another run was
    requested meanwhile, and we leave it.
    """
    token = secrets.token_hex(16)
    until = _lease_end(now, lease_seconds, token)
    chosen, keys = ("", []) if among is None else _keyed(model, among)
    columns = ", ".join(_column(model, name) for name in fields) or "*"
    lock = (
        " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    )
    rows: Any = model._default_manager
    # The usual answer, for which no transaction need begin.
    if not _is_any_due(model, chosen, keys, now):
        return []
    with transaction.atomic():
        claimed: list[J] = list(
            rows.raw(
                f"SELECT {columns} FROM {_table(model)} WHERE {DUE}{chosen}"
                f" ORDER BY due_at LIMIT %s{lock}",
                [_moment(now), _moment(now), *keys, limit],
            )
        )
        if claimed:
            these, keys = _keyed(model, [row.pk for row in claimed])
            with connection.cursor() as cursor:
                cursor.execute(
                    f"UPDATE {_table(model)} SET lease = %s, leased_until = %s, due_at = %s"
                    f" WHERE TRUE{these}",
                    [token, _moment(until), _moment(until), *keys],
                )
    for row in claimed:
        row.lease, row.leased_until, row.due_at = token, until, until
    return claimed


def complete(rows: Sequence[JobRow], *, due_at: datetime | None = None, **also: Any) -> int:
    """Give rows of one claim back as done, due again at `due_at` or never.

    `also` are further columns to set in the same UPDATE. A row on which another run was requested
    meanwhile stays due. Returns how many rows were still ours.
    """
    return _give_back(rows, due_at=due_at, attempts=0, last_error="", **also) if rows else 0


def fail(row: JobRow, error: Exception, *, now: datetime) -> None:
    """Give a claimed row back after `error`: due later if that may pass, else dead."""
    _fail_alike([row], row.attempts, error, now)


def fail_all(rows: Sequence[JobRow], error: Exception, *, now: datetime) -> None:
    """`fail` for rows of one claim with the same error: an UPDATE for each count of attempts."""
    for attempts in sorted({row.attempts for row in rows}):
        _fail_alike([row for row in rows if row.attempts == attempts], attempts, error, now)


def extend(row: J, *, seconds: int, now: datetime) -> bool:
    """Renew the lease of a claimed row.

    It then lasts `seconds` from now on, and never ends earlier than before. For work that takes
    minutes, so that its lease need not be as long as the slowest.

    Returns whether the row is still ours. If not, another worker has it: end without a result.
    A run that was asked for meanwhile stays asked for: `due_at` follows the lease only where it was
    still the end of it, as `claim` has left it.
    """
    if seconds > LEASE_MAX_SECONDS:
        raise ValueError(
            f"a lease of {seconds} s would pass for the work of a clock that was ahead"
        )
    if row.lease is None:
        return False
    until = _lease_end(now, seconds, row.lease)
    if row.leased_until and row.leased_until > until:
        until = row.leased_until
    model = type(row)
    these, keys = _keyed(model, [row.pk])
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_table(model)} SET leased_until = %s,"
            f" due_at = CASE WHEN due_at = leased_until THEN %s ELSE due_at END"
            f" WHERE lease = %s{these}",
            [_moment(until), _moment(until), row.lease, *keys],
        )
        is_ours: bool = cursor.rowcount == 1
    if is_ours:
        row.leased_until, row.due_at = until, until
    return is_ours


def set_right(model: type[JobRow], *, now: datetime) -> int:
    """Make rows due now that are leased or put off further ahead than any worker does.

    Their writer's clock was ahead; they would wait until the right clock gets there. A worker whose
    clock still is ahead loses its lease, like one that was too slow. Returns how many rows there
    were.
    """
    beyond = now + timedelta(seconds=AHEAD_MAX_SECONDS)
    rows = model._default_manager.filter(due_at__isnull=False, dead_at=None)
    leased = rows.filter(leased_until__gt=beyond).update(
        lease=None,
        leased_until=None,
        due_at=Case(When(due_at__gt=now, then=now), default=F("due_at")),
    )
    put_off = Q(due_at__gt=beyond) & ~Q(last_error="")  # complete() clears it: backing off
    if model.due_within_seconds is not None:
        put_off |= Q(due_at__gt=beyond + timedelta(seconds=model.due_within_seconds))
    return leased + rows.filter(put_off, leased_until=None).update(due_at=now)


def _fail_alike(rows: Sequence[JobRow], attempts: int, error: Exception, now: datetime) -> None:
    text = f"{type(error).__name__}: {error}"[:2_000]
    if isinstance(error, Snooze):
        _give_back(
            rows, due_at=now + timedelta(seconds=error.seconds), attempts=attempts, last_error=text
        )
        return
    attempts += 1
    attempts_max = (
        UNAVAILABLE_ATTEMPTS_MAX if isinstance(error, Unavailable) else UNEXPECTED_ATTEMPTS_MAX
    )
    if isinstance(error, Rejected) or attempts >= attempts_max:
        _give_back(rows, due_at=now, attempts=attempts, last_error=text, dead_at=now)
        return
    asked = error.retry_after_seconds if isinstance(error, Unavailable) else 0
    wait = timedelta(seconds=max(asked, backoff_seconds(attempts)))
    _give_back(rows, due_at=now + wait, attempts=attempts, last_error=text)


def backoff_seconds(attempts: int) -> float:
    """A doubling wait with a cap.

    A row waits half to full of it, by chance, so that rows failing together spread out."""
    ceiling: float = min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2 ** min(attempts, 20))
    return ceiling * random.uniform(0.5, 1)


def _give_back(
    rows: Sequence[JobRow],
    *,
    due_at: datetime | None,
    attempts: int,
    last_error: str,
    dead_at: datetime | None = None,
    **also: Any,
) -> int:
    """One UPDATE of the rows of a claim that are still ours.

    Where `due_at` is no longer the end of the lease, another run was asked for meanwhile: it stays,
    and the row alive.
    """
    model = type(rows[0])
    these, keys = _keyed(model, [row.pk for row in rows])
    more = "".join(f", {_column(model, name)} = %s" for name in also)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {_table(model)}"
            f" SET due_at = CASE WHEN due_at = leased_until THEN %s ELSE due_at END,"
            f" dead_at = CASE WHEN due_at = leased_until THEN %s ELSE dead_at END,"
            f" attempts = %s, last_error = %s, lease = NULL, leased_until = NULL{more}"
            f" WHERE lease = %s{these}",
            [
                *(_moment(due_at), _moment(dead_at), attempts, last_error),
                *(
                    _field(model, name).get_db_prep_save(value, connection)
                    for name, value in also.items()
                ),
                *(rows[0].lease, *keys),
            ],
        )
        changed: int = cursor.rowcount
    for row in rows:
        row.attempts, row.last_error, row.dead_at = attempts, last_error, dead_at
        row.lease, row.leased_until = None, None
    return changed


# --- SQL ------------------------------------------------------------------------------------------
# Not by the ORM: composing its statements took four times as long as executing them.

# As JobRowQuerySet.due.
DUE = "due_at <= %s AND dead_at IS NULL AND (leased_until IS NULL OR leased_until < %s)"


def _is_any_due(model: type[JobRow], chosen: str, keys: Sequence[Any], now: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM {_table(model)} WHERE {DUE}{chosen} LIMIT 1",
            [_moment(now), _moment(now), *keys],
        )
        return cursor.fetchone() is not None


def _lease_end(now: datetime, seconds: int, token: str) -> datetime:
    """Not to the second: nobody who asks for another run shall name this very moment."""
    return now + timedelta(seconds=seconds, microseconds=1 + int(token[:5], 16) % 999_999)


def _table(model: type[JobRow]) -> str:
    return connection.ops.quote_name(model._meta.db_table)


def _field(model: type[JobRow], name: str) -> Any:
    return model._meta.get_field(name)


def _column(model: type[JobRow], name: str) -> str:
    return connection.ops.quote_name(_field(model, name).column)


def _keyed(model: type[JobRow], keys: Sequence[Any]) -> tuple[str, list[Any]]:
    """The condition that a row has one of these keys: one array on PostgreSQL (`id__among`)."""
    column = _column(model, model._meta.pk.name)
    adapted = [model._meta.pk.get_db_prep_value(key, connection) for key in keys]
    if connection.vendor == "postgresql":
        return f" AND {column} = ANY(%s)", [adapted]
    return f" AND {column} IN ({', '.join(['%s'] * len(adapted))})", adapted


def _moment(moment: datetime | None) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)

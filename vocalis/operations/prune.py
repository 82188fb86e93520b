"""Delete what nobody needs any more: processed webhooks, usage sent long ago, usage discrepancies
resolved long ago, ended sessions, requests for a new password.

Never what the ledger refers to (entries, reservations, grants, payments), and never a row whose
work is not done.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from accounts.models import PasswordReset
from billing.models import InboundWebhook
from jobs.walk import CHUNK, walk
from usage.models import UsageDiscrepancy, UsageEvent

DAYS_MIN = 7  # Metronome repeats a webhook for two days, and people ask about last week's
DAYS_MAX = 36_500
# While Metronome takes and compares events: to send again, to compare, to know what was closed.
EVENT_DAYS_MIN = 35


class DaysOutOfRange(ValueError):
    """Younger than Metronome and operators allow, or older than any row can be."""


def prunable(*, days: int, now: datetime) -> dict[str, QuerySet[Any]]:
    """What can go, by the word it is counted under. Raises DaysOutOfRange."""
    if not DAYS_MIN <= days <= DAYS_MAX:
        raise DaysOutOfRange(
            f"--days is {DAYS_MIN} to {DAYS_MAX:,}: "
            "Metronome repeats webhooks for two days, and operators replay them."
        )
    before = now - timedelta(days=days)
    events_before = now - timedelta(days=max(days, EVENT_DAYS_MIN))
    return {
        "webhooks": InboundWebhook.objects.filter(
            received_at__lt=before,
            processed_at__isnull=False,
            due_at=None,
            dead_at=None,
            lease=None,
        ),
        "usage events": UsageEvent.objects.filter(
            happened_at__lt=events_before,
            sent_at__lt=events_before,
            due_at=None,
            dead_at=None,
            lease=None,
            reservation__reported_at__isnull=False,
        ),
        "usage discrepancies": UsageDiscrepancy.objects.filter(
            resolved_at__lt=events_before, due_at=None, lease=None
        ),
        "password resets": PasswordReset.objects.filter(
            asked_at__lt=before, due_at=None, lease=None
        ),
        "sessions": Session.objects.filter(expire_date__lt=now),
    }


def prune(*, days: int, dry_run: bool, now: datetime) -> Iterator[tuple[str, Any]]:
    """Delete them a chunk at a time.

    Yields the word and the key of every row; raises DaysOutOfRange.
    """
    for what, rows in prunable(days=days, now=now).items():
        keys: list[Any] = []
        for row in walk(rows.only("pk")):
            keys.append(row.pk)
            if len(keys) == CHUNK:
                yield from _delete(what, rows, keys, dry_run)
                keys = []
        yield from _delete(what, rows, keys, dry_run)


def _delete(
    what: str, rows: QuerySet[Any], keys: list[Any], dry_run: bool
) -> Iterator[tuple[str, Any]]:
    if keys and not dry_run:
        rows.filter(pk__in=keys).delete()  # with the conditions: one that was replayed since stays
    for key in keys:
        yield what, key

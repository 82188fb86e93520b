"""Deletes old rows: processed webhooks, deliveries of webhooks and deleted endpoints, acknowledged
usage events, resolved usage discrepancies, mails, banners, password resets, expired sessions
and the notes of them.

Rows that the ledger refers to (reservations, grants, payments) and rows whose job is not done are
never deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from accounts.models import BrowserSession, PasswordReset
from billing.models import InboundWebhook
from jobs.walk import CHUNK, walk
from mails.models import OutboundMail
from notifications.models import Banner, OutboundWebhook, WebhookEndpoint
from usage.models import UsageDiscrepancy, UsageEvent

DAYS_MIN = 7  # Metronome repeats a webhook for two days, and people ask about last week's
DAYS_MAX = 36_500
# Metronome accepts events for 34 days, so until then they may have to be compared or sent again.
EVENT_DAYS_MIN = 35
MAIL_DAYS_MIN = 400  # a card expires once, a plan may be yearly by agreement
DELIVERY_DAYS_MIN = 30  # the page of an endpoint says so


class DaysOutOfRange(ValueError):
    """`days` is not within DAYS_MIN and DAYS_MAX."""


def prunable(*, days: int, now: datetime) -> dict[str, QuerySet[Any]]:
    """The rows that can be deleted, by the label they are counted under. Raises DaysOutOfRange."""
    if not DAYS_MIN <= days <= DAYS_MAX:
        raise DaysOutOfRange(
            f"--days is {DAYS_MIN} to {DAYS_MAX:,}: "
            "Metronome repeats webhooks for two days, and operators replay them."
        )
    before = now - timedelta(days=days)
    events_before = now - timedelta(days=max(days, EVENT_DAYS_MIN))
    mails_before = now - timedelta(days=max(days, MAIL_DAYS_MIN))
    deliveries_before = now - timedelta(days=max(days, DELIVERY_DAYS_MIN))
    return {
        "webhooks": InboundWebhook.objects.filter(
            received_at__lt=before,
            processed_at__isnull=False,
            due_at=None,
            dead_at=None,
            lease=None,
        ),
        "deliveries of webhooks": OutboundWebhook.objects.filter(
            created_at__lt=deliveries_before, due_at=None, dead_at=None, lease=None
        ),
        "deleted webhook endpoints": WebhookEndpoint.objects.filter(
            deleted_at__lt=deliveries_before, webhooks=None
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
        "banners": Banner.objects.filter(until_at__lt=mails_before),
        # The key of a mail keeps it from being written again: so long as anything may tell of its
        # event once more.
        "mails": OutboundMail.objects.filter(
            created_at__lt=mails_before, due_at=None, dead_at=None, lease=None
        ),
        "password resets": PasswordReset.objects.filter(
            asked_at__lt=before, due_at=None, lease=None
        ),
        "sessions": Session.objects.filter(expire_date__lt=now),
        # A session has ended long before.
        "browsers": BrowserSession.objects.filter(
            seen_at__lt=now - timedelta(seconds=settings.SESSION_COOKIE_AGE, days=days)
        ),
    }


def prune(*, days: int, dry_run: bool, now: datetime) -> Iterator[tuple[str, Any]]:
    """Delete the prunable rows in chunks. With `dry_run` nothing is deleted.

    Yields (label, primary key) of every row. Raises DaysOutOfRange.
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
        # `rows` still has its conditions, so a webhook replayed in the meantime is kept.
        rows.filter(pk__in=keys).delete()
    for key in keys:
        yield what, key

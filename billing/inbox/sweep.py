"""Fetches the events that Stripe could not deliver, once an hour, as if they had been delivered.

Stripe tries for three days, and its list of events reaches back thirty. A site that was away for
longer, or whose endpoint was wrong, misses nothing.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta

from billing.models import EventSweep, InboundWebhook
from billing.payments.gateways.stripe import events
from jobs.models import due
from jobs.worker import RowJob

from . import receive

SOURCE = InboundWebhook.Source.STRIPE
EVERY_SECONDS = 3_600
REACHES_BACK = timedelta(days=30)
# Events that are still being delivered are seen again until Stripe has given them up.
DELIVERED_FOR = timedelta(days=4)

logger = logging.getLogger(__name__)


def make_rows(now: datetime) -> None:
    """The one row."""
    row, _ = EventSweep.objects.get_or_create(source=SOURCE, defaults=due(now))
    EventSweep.objects.filter(pk=row.pk).schedule_if_idle(now)


def sweep(row: EventSweep, now: datetime) -> datetime:
    """Store what was not delivered; once each, as all webhooks. Returns when to look again."""
    since = now - REACHES_BACK
    if row.swept_until:
        since = max(since, row.swept_until - DELIVERED_FOR)
    for event in events.undelivered(since=since):
        try:
            payload = receive.parse(json.dumps(event).encode())
        except receive.Malformed as error:
            logger.error("an event of Stripe that cannot be stored: %s", error)
            continue
        receive.store(source=SOURCE, payload=payload, now=now)
    EventSweep.objects.filter(pk=row.pk).update(swept_until=now)
    return now + timedelta(seconds=EVERY_SECONDS)


SWEEP = RowJob("inbox.sweep", EventSweep, sweep, make_rows=make_rows)

"""Usage events to Metronome: up to a hundred in one call, settled together.

A batch that was sent but not settled is sent again: Metronome ignores a transaction id it has seen in the last 34 days.
A call either takes all of its events or none.
https://docs.metronome.com/guides/events/send-usage-events
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import Error, transaction
from django.db.models import QuerySet

from accounts.models import Customer
from billing import ledger, metronome, sync
from jobs import queue
from jobs.errors import NotYet, Rejected, Unavailable
from jobs.worker import pause_lane

from .clock import ticking
from .models import UsageEvent

logger = logging.getLogger(__name__)

BATCH = 100  # what one ingest call may carry
LEASE_SECONDS = 120  # twelve times the time-out of the call
WINDOW = timedelta(days=34)  # older events are refused, and with them the whole batch they are in
WINDOW_MARGIN = timedelta(minutes=5)  # on the way, and between the clocks
ABOUT_EVENTS = {400, 413, 422}  # what the answer says is about these events, not about us or Metronome's state
LONE_REJECTS = 5  # that many with one message are not bad events but a misunderstanding between the two sides
PAUSE_SECONDS = 300


class Misunderstood(Exception):
    """Metronome refuses in a way that would hit every event alike."""


class Report:
    name = "report"

    def due(self, now: datetime) -> QuerySet[UsageEvent]:
        return UsageEvent.objects.due(now)

    def run(self, now: datetime) -> int:
        clock = ticking(now)
        events = queue.claim(UsageEvent.objects.all(), now=now, limit=BATCH, lease_seconds=LEASE_SECONDS)
        late = [event for event in events if event.happened_at < now - WINDOW + WINDOW_MARGIN]
        if late:
            error = Rejected(
                "older than the 34 days in which Metronome takes events; settle it with the customer by hand"
            )
            logger.error("%s usage events are %s", len(late), error)
            queue.fail_all(late, error, now=now)
        try:
            for event, why in self._send(_open(events), clock):
                logger.error("usage event %s: %s; needs a person", event, why)
                queue.fail(event, why, now=clock())
        except Unavailable as error:
            self._wait(_open(events), error, clock())
            return 0
        except Misunderstood as error:
            self._pause(_open(events), str(error), PAUSE_SECONDS, clock())
            return 0
        except Error:
            raise
        except Exception as error:  # the loop's boundary: what we do not understand must not stop the other steps
            logger.exception("reporting failed")
            queue.fail_all(_open(events), error, now=clock())
            return 0
        return len(events)

    def _send(
        self, events: Sequence[UsageEvent], clock: Callable[[], datetime]
    ) -> list[tuple[UsageEvent, metronome.MetronomeRejected]]:
        """Send them, in ever smaller parts if refused. Returns the refused ones; everything else is settled."""
        refused: list[tuple[UsageEvent, metronome.MetronomeRejected]] = []
        alike: Counter[str] = Counter()
        parts = [list(events)] if events else []
        while parts:
            part = parts.pop()
            try:
                metronome.ingest([_payload(event) for event in part])
            except metronome.MetronomeRejected as error:
                if error.status not in ABOUT_EVENTS:
                    raise Misunderstood(str(error)) from error
                if len(part) > 1:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                refused.append((part[0], error))
                alike[_shape(str(error))] += 1
                if max(alike.values()) >= LONE_REJECTS:
                    raise Misunderstood(f"{LONE_REJECTS} events refused alike: {error}") from error
            else:
                self._acknowledge(part, clock())
        return refused

    def _acknowledge(self, events: list[UsageEvent], now: datetime) -> None:
        with transaction.atomic():
            queue.settle(events, sent_at=now)
            ledger.acknowledge(reservation_ids=[event.reservation_id for event in events], now=now)
        sync.soon({event.customer_id for event in events}, now=now)

    def _wait(self, events: list[UsageEvent], error: Unavailable, now: datetime) -> None:
        if error.pause_seconds:
            self._pause(events, str(error), error.pause_seconds, now)
            return
        logger.warning("%s usage events wait: %s", len(events), error)
        queue.fail_all(events, error, now=now)

    def _pause(self, events: list[UsageEvent], reason: str, seconds: int, now: datetime) -> None:
        pause_lane(self.name, seconds=seconds, reason=reason, now=now)
        queue.fail_all(events, NotYet(reason, seconds=seconds), now=now)


def _open(events: list[UsageEvent]) -> list[UsageEvent]:
    """Those not yet given back to the queue."""
    return [event for event in events if event.lease]


def _payload(event: UsageEvent) -> dict[str, Any]:
    return {
        "transaction_id": event.transaction_id,
        "customer_id": Customer(id=event.customer_id).stable_alias,  # known without reading the row
        "event_type": event.event_type,
        "timestamp": event.happened_at.isoformat().replace("+00:00", "Z"),
        "properties": event.properties,
    }


def _shape(message: str) -> str:
    """The message without what differs from event to event: ids and numbers."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "#", message)


REPORT = Report()

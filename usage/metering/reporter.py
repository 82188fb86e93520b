"""Report usage events to Metronome: up to a hundred in one call.

Several calls are claimed and completed together.

A long queue is sent from a thread, so that the database works while Metronome does; the thread
never uses the database. Events that were sent and not marked sent are sent again: Metronome ignores
a transaction id it has seen in the last 34 days. A call takes all of its events or none.
https://docs.metronome.com/guides/events/send-usage-events
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import stable_alias_of
from billing import ledger, metronome
from billing.sync import schedule
from jobs import queue
from jobs.clock import ticking
from jobs.errors import Rejected, Snooze, Unavailable
from jobs.worker import BatchJob, pause_job
from usage.models import UsageEvent

logger = logging.getLogger(__name__)

BATCH = 100  # what one ingest call may carry
CLAIM = 500  # five calls: claiming and completing rows by the hundred took longer than sending them
# How long one call goes on claiming before the worker's other jobs run.
AHEAD = timedelta(seconds=1)
LEASE_SECONDS = 120  # more than the time-outs of ten calls: a claim waits for the one before
NEEDED = (
    "id",
    "transaction_id",
    "customer_id",
    "event_type",
    "happened_at",
    "properties",
    "reservation_id",
    "attempts",
)
WINDOW = timedelta(days=34)  # older events are refused, and with them the whole batch they are in
WINDOW_MARGIN = timedelta(minutes=5)  # on the way, and between the clocks
# What the answer says is about these events, not about us or Metronome's state.
ABOUT_EVENTS = {400, 413, 422}
# That many with one message are not bad events: we and Metronome disagree on something.
LONE_REJECTS = 5
PAUSE_SECONDS = 300


class Misunderstood(Exception):
    """Metronome refuses in a way that would hit every event alike."""


@dataclass
class Outcome:
    """What became of events: taken, or refused for good.

    After `error` those in neither list are still to be sent.
    """

    sent: list[UsageEvent] = field(default_factory=list)
    refused: list[tuple[UsageEvent, metronome.MetronomeRejected]] = field(default_factory=list)
    error: Exception | None = None


class Reporter:
    def report(self, now: datetime) -> int:
        """Send what is due.

        While one claim is being sent, the next is made and the last one completed.
        """
        clock = ticking(now)
        taken = 0
        events = self._claim(now)
        with ThreadPoolExecutor(max_workers=1) as sender:
            sent = _begin(events, sender)
            while events:
                ahead = (
                    self._claim(clock()) if len(events) == CLAIM and clock() < now + AHEAD else []
                )
                outcome = sent()
                if not outcome.error:
                    sent = _begin(ahead, sender)
                self._complete(outcome, clock)
                if outcome.error:
                    for rows in filter(None, [_still_claimed(events), _still_claimed(ahead)]):
                        self._wait(rows, outcome.error, clock())
                    return 0
                taken += len(events)
                events = ahead
        return taken

    def _claim(self, now: datetime) -> list[UsageEvent]:
        events = queue.claim(
            UsageEvent, fields=NEEDED, now=now, limit=CLAIM, lease_seconds=LEASE_SECONDS
        )
        self._bury(
            [event for event in events if event.happened_at < now - WINDOW + WINDOW_MARGIN], now
        )
        return events

    def _complete(self, outcome: Outcome, clock: Callable[[], datetime]) -> None:
        if outcome.sent:
            with transaction.atomic():
                queue.complete(outcome.sent, sent_at=clock())
                ledger.acknowledge(
                    reservation_ids=[event.reservation_id for event in outcome.sent], now=clock()
                )
            schedule.soon({event.customer_id for event in outcome.sent}, now=clock())
        for event, why in outcome.refused:
            logger.error("usage event %s: %s; needs a person", event, why)
            queue.fail(event, why, now=clock())

    def _bury(self, late: list[UsageEvent], now: datetime) -> None:
        if late:
            error = Rejected(
                "older than the 34 days in which Metronome takes events; settle it by hand"
            )
            logger.error("%s usage events are %s", len(late), error)
            queue.fail_all(late, error, now=now)

    def _wait(self, events: list[UsageEvent], error: Exception, now: datetime) -> None:
        """Give them back for later. If every event would fail alike, pause the job."""
        pause = (
            PAUSE_SECONDS
            if isinstance(error, Misunderstood)
            else getattr(error, "pause_seconds", 0)
        )
        if pause:
            pause_job(REPORT.name, seconds=pause, reason=str(error), now=now)
            queue.fail_all(events, Snooze(str(error), seconds=pause), now=now)
            return
        expected = isinstance(error, Unavailable)
        logger.warning(
            "%s usage events wait: %s", len(events), error, exc_info=None if expected else error
        )
        queue.fail_all(events, error, now=now)


def _begin(events: list[UsageEvent], sender: Executor) -> Callable[[], Outcome]:
    """Begin to send them; what it returns waits for the outcome.

    A claim that is not full is the last: it needs no thread.
    """
    waiting = _still_claimed(events)
    return sender.submit(send, waiting).result if len(events) == CLAIM else partial(send, waiting)


def send(events: list[UsageEvent]) -> Outcome:
    """Send them in full calls.

    A call that is refused is split in halves, until each bad event is alone.
    """
    outcome = Outcome()
    alike: Counter[str] = Counter()
    parts = [events[at : at + BATCH] for at in range(0, len(events), BATCH)][::-1]
    while parts and not outcome.error:
        part = parts.pop()
        try:
            metronome.ingest([_payload(event) for event in part])
            outcome.sent += part
        except metronome.MetronomeRejected as error:
            if error.status not in ABOUT_EVENTS:
                outcome.error = Misunderstood(str(error))
            elif len(part) > 1:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
            else:
                outcome.refused.append((part[0], error))
                alike[_shape(str(error))] += 1
                if max(alike.values()) >= LONE_REJECTS:
                    outcome.error = Misunderstood(f"{LONE_REJECTS} events refused alike: {error}")
        except Exception as error:  # an error nobody foresaw may pass, like an outage
            outcome.error = error
    if outcome.error:
        outcome.refused.clear()  # they may not be bad: everything may be refused
    return outcome


def _still_claimed(events: list[UsageEvent]) -> list[UsageEvent]:
    """Those that are not given back to the queue yet."""
    return [event for event in events if event.lease]


def _payload(event: UsageEvent) -> dict[str, Any]:
    return {
        "transaction_id": event.transaction_id,
        "customer_id": stable_alias_of(event.customer_id),
        "event_type": event.event_type,
        "timestamp": event.happened_at.isoformat().replace("+00:00", "Z"),
        "properties": event.properties,
    }


def _shape(message: str) -> str:
    """The message without what differs from event to event: ids and numbers."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "#", message)


def unsent(now: datetime) -> QuerySet[UsageEvent]:
    return UsageEvent.objects.due(now)


REPORT = BatchJob("usage.report", unsent, Reporter().report)

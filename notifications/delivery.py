"""The job that delivers webhooks: on a queue of its own, several at a time.

    pending → delivered          answered 2xx
        ├→ failed                three days are over
        └→ cancelled             its endpoint is disabled or deleted: by 410, or by its customer

Anything but 2xx and 410 is tried again, after the waits of `WAITS_SECONDS` or what the receiver
asks for. A worker killed on the way sends it again: receivers know it by its id. The calls are made
in threads that never use the database.

An endpoint that is slow takes from others the places of a batch. So it rests after it: whoever lets
us wait has at most a fifth of one place.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from jobs import queue
from jobs.clock import ticking
from jobs.worker import BatchJob

from . import network, signature
from .models import OutboundWebhook, WebhookEndpoint
from .network import Answer

logger = logging.getLogger(__name__)

QUEUE = "webhooks"
AT_ONCE = 16
LEASE_SECONDS = 60  # more than a delivery takes, and a wait for the database after it
# After the first attempt, the second, … and the last one again until three days are over.
WAITS_SECONDS = (5, 60, 300, 1_800, 7_200, 21_600, 43_200)
JITTER = 0.2  # a wait is up to so much longer, so that what failed together is not sent together
ASKED_SECONDS_MAX = 86_400  # the longest wait that a receiver may ask for
SLOW_SECONDS = 5  # who takes longer rests
REST_FACTOR = 4  # for so many times as long as it took
ANSWER_CHARACTERS_MAX = 1_000  # kept for the page
USER_AGENT = "Vocalis-Webhooks/1"

GONE = "It answered 410, which asks for no more."
REDIRECTS = "It answered {status}: redirects are not followed. Enter the address it leads to."
DISABLED = "Its endpoint was disabled."
CANCELLED = "It was cancelled."

State = OutboundWebhook.State


def waiting(now: datetime) -> QuerySet[Any]:
    return OutboundWebhook.objects.due(now)


def deliver(now: datetime) -> int:
    """Send what is due, up to AT_ONCE of it at the same time. Returns how many rows were taken."""
    rows = queue.claim(OutboundWebhook, now=now, limit=AT_ONCE, lease_seconds=LEASE_SECONDS)
    if not rows:
        return 0
    clock = ticking(now)
    endpoints = WebhookEndpoint.objects.in_bulk({row.endpoint_id for row in rows})
    todo: list[tuple[OutboundWebhook, WebhookEndpoint]] = []
    for row in rows:
        endpoint = endpoints.get(row.endpoint_id)
        if endpoint is not None and not _is_settled(row, endpoint, now):
            todo.append((row, endpoint))
    if todo:
        with ThreadPoolExecutor(max_workers=len(todo)) as callers:
            sent = [callers.submit(_send, row, endpoint, now) for row, endpoint in todo]
        for (row, endpoint), answer in zip(todo, sent, strict=True):
            if (error := answer.exception()) is None:
                _record(row, endpoint, answer.result(), clock)
            else:  # a bug of ours, which must not stop the others
                logger.error("%s failed on row %s", DELIVER.name, row.pk, exc_info=error)
                queue.fail(row, Exception(type(error).__name__), now=clock())
    return len(rows)


def _is_settled(row: OutboundWebhook, endpoint: WebhookEndpoint, now: datetime) -> bool:
    """Whether there is nothing to send now; the row is given back then."""
    if row.state != State.PENDING:
        queue.complete([row])
    elif not endpoint.is_enabled:
        queue.complete([row], state=State.CANCELLED, failure=DISABLED)
    elif endpoint.rests_until_at and endpoint.rests_until_at > now:
        queue.complete([row], due_at=endpoint.rests_until_at)
    else:
        return False
    return True


def _send(row: OutboundWebhook, endpoint: WebhookEndpoint, now: datetime) -> Answer:
    body = row.body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        **signature.headers(row.message_id, body, endpoint.secrets(now), now),
    }
    return network.post(endpoint.url, body, headers)


# --- What follows ---------------------------------------------------------------------------------


def _record(
    row: OutboundWebhook, endpoint: WebhookEndpoint, answer: Answer, clock: Callable[[], datetime]
) -> None:
    now = clock()
    state, again_at = _outcome(row, answer, now)
    outcome = {
        "tries": row.tries + 1,
        "tried_at": now,
        "status": answer.status,
        "answer": _excerpt(answer.body),
        "failure": "" if state == State.DELIVERED else _failure(answer),
        "milliseconds": round(answer.seconds * 1_000),
    }
    with transaction.atomic():
        # The endpoint first, as whoever disables it does: then neither waits for the other.
        if not _lock(endpoint, answer, now) and state == State.PENDING:
            state, again_at = State.CANCELLED, None
        queue.complete([row], due_at=again_at, state=state, **outcome)
    said = answer.status or outcome["failure"]
    logger.info("%s %s: %s (%d ms)", DELIVER.name, row.pk, said, outcome["milliseconds"])


def _lock(endpoint: WebhookEndpoint, answer: Answer, now: datetime) -> bool:
    """Lock the endpoint for the transaction, and write what follows for it.

    Returns whether anything more may be sent to it.
    """
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    is_enabled = rows.select_for_update().values_list("is_enabled", flat=True).first()
    if answer.status == 410:
        disable(endpoint, because=GONE, now=now)
    elif answer.seconds > SLOW_SECONDS:
        rows.update(rests_until_at=now + timedelta(seconds=REST_FACTOR * answer.seconds))
    return bool(is_enabled)


def _outcome(row: OutboundWebhook, answer: Answer, now: datetime) -> tuple[str, datetime | None]:
    """The state of a row after an attempt, and when the next one is."""
    if answer.status is not None and 200 <= answer.status < 300:
        return State.DELIVERED, None
    if answer.status == 410:
        return State.CANCELLED, None
    if now >= row.give_up_at:
        return State.FAILED, None
    wait = WAITS_SECONDS[min(row.tries, len(WAITS_SECONDS) - 1)] * (1 + random.uniform(0, JITTER))
    wait = max(wait, min(_asked_seconds(answer.retry_after, now), ASKED_SECONDS_MAX))
    return State.PENDING, min(now + timedelta(seconds=wait), row.give_up_at)


def _asked_seconds(retry_after: str, now: datetime) -> float:
    """What the header asks for, in seconds or as a date; 0 if it says nothing that can be read."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 0
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def _failure(answer: Answer) -> str:
    if answer.status is None:
        return answer.failure[:200]
    if answer.status == 410:
        return GONE
    if 300 <= answer.status < 400:
        return REDIRECTS.format(status=answer.status)
    return f"It answered {answer.status}."


def _excerpt(body: bytes) -> str:
    """The beginning of an answer as text. NUL, which PostgreSQL does not take, is made visible."""
    return body.decode("utf-8", "replace").replace("\0", "\ufffd")[:ANSWER_CHARACTERS_MAX]


def disable(endpoint: WebhookEndpoint, *, because: str, now: datetime) -> None:
    """Send nothing more to it. What waits for it is cancelled, and can be sent again later."""
    with transaction.atomic():
        WebhookEndpoint.objects.filter(pk=endpoint.pk, is_enabled=True).update(
            is_enabled=False, disabled_at=now, disabled_because=because
        )
        rows: Any = OutboundWebhook.objects.filter(endpoint=endpoint, state=State.PENDING)
        rows.cancel(state=State.CANCELLED, failure=DISABLED)


def cancel(row: OutboundWebhook) -> bool:
    """Send it no more. Returns False if it was not waiting."""
    rows: Any = OutboundWebhook.objects.filter(pk=row.pk, state=State.PENDING)
    return bool(rows.cancel(state=State.CANCELLED, failure=CANCELLED))


DELIVER = BatchJob("webhooks.deliver", waiting, deliver, queue=QUEUE)

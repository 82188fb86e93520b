"""Events become rows: a mail, and one for each endpoint that wants them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import mails
from accounts.models import Customer
from jobs.models import due

from . import banners
from .kinds import KINDS, NOTICES
from .models import OutboundWebhook, WebhookEndpoint

KEY_CHARACTERS_MAX = 100
GIVE_UP_DAYS = 3  # after which a delivery has failed


def emit(
    customer_id: UUID,
    kind: str,
    key: str,
    data: dict[str, Any],
    now: datetime,
    *,
    by_webhook: bool = True,
    by_mail: bool = True,
) -> None:
    """See `notifications.emit`."""
    if kind not in KINDS and kind not in NOTICES:
        raise ValueError(f"{kind} is no kind of event")
    if kind in KINDS and by_webhook:
        write(_wanting(customer_id, kind), kind, key, data, now)
    if kind in NOTICES and by_mail:
        user_id = Customer.objects.values_list("user_id", flat=True).get(pk=customer_id)
        mails.write(user_id, kind, key, data, now)
        banners.put_up(customer_id, kind, key, data, now)


def is_wanted(customer_id: UUID, *kinds: str) -> bool:
    """Whether anybody is to be told of events of these kinds: for those that take work to know."""
    return any(_wanting(customer_id, *kinds))


def write(
    endpoints: Iterable[WebhookEndpoint], kind: str, key: str, data: dict[str, Any], now: datetime
) -> None:
    """The row of an event for each of these endpoints, unless it is there. Raises ValueError."""
    if not 0 < len(key) <= KEY_CHARACTERS_MAX:
        raise ValueError(f"the key of an event is 1 to {KEY_CHARACTERS_MAX} characters")
    rows = [
        OutboundWebhook(
            endpoint=endpoint,
            kind=kind,
            key=key,
            body=body(kind, data, now),
            give_up_at=now + timedelta(days=GIVE_UP_DAYS),
            created_at=now,
            **due(now),
        )
        for endpoint in endpoints
    ]
    if rows:
        OutboundWebhook.objects.bulk_create(rows, ignore_conflicts=True)


def body(kind: str, data: dict[str, Any], now: datetime) -> str:
    """What is sent, in ASCII: then its characters are its bytes."""
    at = now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": at, "data": data}, separators=(",", ":"))


def _wanting(customer_id: UUID, *kinds: str) -> list[WebhookEndpoint]:
    enabled = WebhookEndpoint.objects.filter(customer_id=customer_id, is_enabled=True)
    return [one for one in enabled.only("id", "events") if not set(kinds).isdisjoint(one.events)]

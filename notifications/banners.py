"""Banners: what the customer is told by mail and should see on the pages as well, until it is over.

A page shows one of them, the most urgent. Its words and its way out are the subject and the first
button of the mail (`mails.render.headline`), so both say the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from mails import render

from .models import Banner


@dataclass(frozen=True, slots=True)
class Traits:
    """How a kind is shown: `until` names the moment in its data when it is over, else `days`."""

    tone: str  # bad, warn or ok
    until: str = ""
    days: int = 14


# Most urgent first.
SHOWN: dict[str, Traits] = {
    "payment.disputed": Traits("bad", days=90),
    "payment.action_needed": Traits("warn", "confirm_by"),
    "renewal.declined": Traits("bad", "ends_at"),
    "plan.ended": Traits("bad"),
    "recharge.declined": Traits("bad"),
    "recharge.limit_reached": Traits("warn", "resets_at"),
    "balance.depleted": Traits("warn"),
    "balance.low": Traits("warn"),
    "recharge.limit_near": Traits("warn", "resets_at"),
    "card.expires_soon": Traits("warn", days=31),
    "trial.ends_soon": Traits("warn", "ends_at"),
    "credits.ending": Traits("warn", "ends_at"),
    "plan.renews_soon": Traits("ok", "at"),
    "payment.refund_failed": Traits("warn", days=30),
    "payment.refunded": Traits("ok", days=7),
}
URGENCY = {kind: place for place, kind in enumerate(SHOWN)}

_PAID = ("payment.action_needed", "renewal.declined", "balance.depleted", "balance.low")
# What is over with an event of this kind.
CLOSES: dict[str, tuple[str, ...]] = {
    "payment.received": (*_PAID, "plan.ended", "recharge.declined"),
    "payment.disputed": ("payment.disputed",),
    "payment.refund_failed": ("payment.refunded", "payment.refund_failed"),
    "payment.refunded": ("payment.refund_failed",),
    "recharge.done": ("recharge.declined", "recharge.limit_reached", *_PAID[2:]),
    "recharge.limit_reached": ("recharge.limit_near",),
    "balance.depleted": ("balance.low",),
    "plan.ended": ("renewal.declined", "plan.renews_soon", "trial.ends_soon"),
    "plan.changed": ("plan.ended", "plan.renews_soon", "trial.ends_soon"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A banner as a page shows it."""

    id: int
    tone: str
    words: str
    label: str
    url: str

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def put_up(customer_id: UUID, kind: str, key: str, data: dict[str, Any], now: datetime) -> None:
    """Show an event, and no longer what is over with it. In the transaction of the event."""
    if closed := CLOSES.get(kind):
        rows = Banner.objects.filter(customer_id=customer_id, kind__in=closed, closed_at=None)
        rows.exclude(kind=kind, key=key).update(closed_at=now)
    traits = SHOWN.get(kind)
    if traits is None or _is_no_news(kind, data):
        return
    row = Banner(
        customer_id=customer_id,
        kind=kind,
        key=key,
        data=data,
        urgency=URGENCY[kind],
        until_at=_until(traits, data, now),
        created_at=now,
    )
    Banner.objects.bulk_create([row], ignore_conflicts=True)


def take_down(customer_id: UUID, kind: str, key_begins: str, now: datetime) -> None:
    """Show those no longer whose key begins so: what they tell of is over."""
    rows = Banner.objects.filter(customer_id=customer_id, kind=kind, closed_at=None)
    rows.filter(key__startswith=key_begins).update(closed_at=now)


def open_ones(now: datetime) -> QuerySet[Banner]:
    """What is to be seen now, the most urgent and of these the newest first."""
    rows = Banner.objects.filter(closed_at=None, until_at__gt=now)
    return rows.order_by("urgency", "-created_at")


def shown(row: Banner) -> Shown:
    words, label, url = _headline(row.kind, json.dumps(row.data, sort_keys=True))
    return Shown(row.pk, SHOWN[row.kind].tone, words, label, url)


def close(*, customer_id: UUID, banner_id: int, now: datetime) -> bool:
    """Take a banner down, because its customer has read it. Returns whether it was up."""
    rows = Banner.objects.filter(pk=banner_id, customer_id=customer_id, closed_at=None)
    return bool(rows.update(closed_at=now))


@lru_cache(maxsize=2_000)  # a watcher asks each second, for every open page
def _headline(kind: str, data: str) -> tuple[str, str, str]:
    return render.headline(kind, json.loads(data))


def _is_no_news(kind: str, data: dict[str, Any]) -> bool:
    """Whether the customer did it a moment ago, was told of it as it came, or it asks nothing."""
    if kind == "payment.disputed":
        return data.get("state") == "won"  # good news: the mail tells it, and nothing is to be done
    return kind == "plan.ended" and data.get("reason") in ("cancelled", "trial")


def _until(traits: Traits, data: dict[str, Any], now: datetime) -> datetime:
    at = data.get(traits.until) if traits.until else None
    if not at:
        return now + timedelta(days=traits.days)
    found = datetime.fromisoformat(at)
    return found if found.tzinfo else found.replace(tzinfo=UTC)

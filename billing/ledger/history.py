"""How a balance came about and how long it will last: what pages of numbers read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.models import CreditGrant, LedgerEntry

from .drawdown import draw_order

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the balance that is no usage, in credits."""

    at: datetime
    kind: str  # of `LedgerEntry.Kind`
    amount: int
    balance_after: int
    name: str  # of the grant, or why it was adjusted


@dataclass(frozen=True, slots=True)
class Outlook:
    """How long credits last at a rate, without any that come later.

    `left` is what is there after each 24 hours. `empty_at` is when the last one is gone, None if
    that is later than was asked, or there is none. `unused` are credits that end before they are
    used, soonest first.
    """

    left: tuple[int, ...]
    empty_at: datetime | None
    unused: tuple[tuple[datetime, int], ...]


def changes(*, wallet_id: int, since: datetime, limit: int) -> list[Change]:
    """Grants, expiries and adjustments since then, newest first; no captures, and at most `limit`.

    Read by an index that has no captures, so it costs the same however much was used.
    """
    rows = LedgerEntry.objects.filter(wallet=wallet_id, created_at__gte=since)
    rows = rows.exclude(kind=LedgerEntry.Kind.CAPTURE).select_related("grant")
    return [
        Change(
            row.created_at,
            row.kind,
            row.amount,
            row.balance_after,
            row.grant.name if row.grant else row.note,
        )
        for row in rows.order_by("-created_at", "-version")[:limit]
    ]


def outlook(*, wallet_id: int, credits_a_day: int, now: datetime, days: int) -> Outlook:
    """What so many credits a day leave of those that are there now, drawn in Metronome's order."""
    rows = CreditGrant.objects.filter(wallet=wallet_id, remaining__gt=0)
    grants = sorted(rows.filter(starts_at__lte=now, ends_at__gt=now), key=draw_order)
    rest = {grant.pk: grant.remaining for grant in grants}
    left: list[int] = []
    unused: list[tuple[datetime, int]] = []
    empty_at = None
    for number in range(days if grants else 0):
        begins, ends = now + number * DAY, now + (number + 1) * DAY
        wanted, last_at = credits_a_day, begins
        for grant in grants:
            # Of one that ends on this day, what is wanted until then.
            share = max(min(grant.ends_at, ends) - begins, timedelta()) / DAY
            taken = min(rest[grant.pk], wanted, int(credits_a_day * share))
            rest[grant.pk] -= taken
            wanted -= taken
            if rest[grant.pk] and grant.ends_at <= ends:
                unused.append((grant.ends_at, rest[grant.pk]))
                last_at = max(last_at, grant.ends_at)
                rest[grant.pk] = 0
        left.append(sum(rest.values()))
        if not left[-1]:
            used = (credits_a_day - wanted) / max(credits_a_day, 1)
            empty_at = max(last_at, begins + used * DAY)
            break
    return Outlook(tuple(left), empty_at, tuple(sorted(unused)))

"""Which grants pay for which usage, as Metronome decides it: hour by hour, whichever usage or grant was heard of first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F

from billing.hours import floor_hour
from billing.models import CreditGrant, LedgerEntry, Reservation

from . import sql

INVOICE_GRACE = timedelta(hours=24)  # Metronome's default; then the usage of a month is final, and who paid for it too

# A grant that was heard of before its start is not in the balance, and so neither drawn nor expired, until a worker has
# started it.
STARTED = """(created_at >= starts_at OR EXISTS (
   SELECT 1 FROM billing_ledgerentry WHERE grant_id = billing_creditgrant.id AND kind = 'grant'))"""
DRAWABLE = f"""
SELECT id, priority, is_free, starts_at, ends_at, remaining FROM billing_creditgrant
 WHERE wallet_id = %s AND remaining > 0 AND starts_at <= %s AND {STARTED}"""

Drawn = Counter[tuple[datetime, int]]  # credits by full hour and pool


class Candidate(NamedTuple):
    """A row of DRAWABLE."""

    id: int
    priority: Any
    is_free: bool
    starts_at: datetime
    ends_at: datetime
    remaining: int


def draw_order(grant: CreditGrant | Candidate) -> tuple[Any, ...]:
    """Metronome's order, to sort by: priority, free before paid, soonest end, earliest start. It is stated nowhere else."""
    return grant.priority, not grant.is_free, grant.ends_at, grant.starts_at, grant.id


@dataclass(frozen=True, slots=True)
class Pool:
    """What a grant has to give, and to usage from which full hour on until when. Pools come in the order of drawing."""

    id: int
    credits: int
    since: datetime
    ends_at: datetime

    def covers(self, hour: datetime) -> bool:
        return self.since <= hour < self.ends_at


def draw(pools: Sequence[Pool], usage: Mapping[datetime, int]) -> Drawn:
    """What the usage of each full hour, in credits, takes of which pool. What no pool of its hour has, it takes of any,
    the last in order first."""
    left = {pool.id: pool.credits for pool in pools}
    drawn: Drawn = Counter()
    lacking = {
        hour: _take(hour, usage[hour], [p.id for p in pools if p.covers(hour)], left, drawn) for hour in sorted(usage)
    }
    for hour, credits in lacking.items():
        _take(hour, credits, reversed(list(left)), left, drawn)
    return drawn


def _take(hour: datetime, credits: int, ids: Iterable[int], left: dict[int, int], drawn: Drawn) -> int:
    """Take `credits` of the pools in turn; returns what they did not have."""
    for pool_id in ids:
        if part := min(credits, left[pool_id]):
            left[pool_id] -= part
            drawn[hour, pool_id] += part
            credits -= part
    return credits


def allocate_anew(
    ordered: Sequence[CreditGrant], drawn: Drawn, usage: Mapping[datetime, int]
) -> tuple[Drawn, list[int]]:
    """Decide anew who pays for what is drawn of these grants, and for `usage` beside it.

    Returns what changes, and what each grant has left then.
    """
    before, wanted = Counter[int](), Counter(usage)
    for (hour, grant_id), credits in drawn.items():
        before[grant_id] += credits
        wanted[hour] += credits
    # Without what expired of an ended grant: it had no use for that, and has still less for what others take off it.
    changes = draw(
        [Pool(one.id, one.remaining + before[one.id], pays_since(one), one.ends_at) for one in ordered], wanted
    )
    changes.subtract(drawn)
    taken = Counter[int]()
    for (_, grant_id), credits in changes.items():
        taken[grant_id] += credits
    return changes, [one.remaining - taken[one.id] for one in ordered]


def rest_after_reservations(wallet_id: int, grant_ids: Sequence[int], *, seconds: int) -> dict[int, int]:
    """What each grant has left when the open holds are captured; empty if there are none. `seconds` as `consumed_since`."""
    held = Counter[datetime]()
    for amount, created_at in (
        Reservation.objects.open().filter(wallet_id=wallet_id).values_list("amount", "created_at")
    ):
        held[created_at] += amount
    if not held:
        return {}
    drawn = consumed_since(wallet_id, floor_hour(min(held)), seconds=seconds)
    grants = CreditGrant.objects.filter(id__in={*grant_ids, *(grant_id for _, grant_id in drawn)})
    ordered = sorted(grants, key=draw_order)
    return dict(zip([one.id for one in ordered], allocate_anew(ordered, drawn, held)[1], strict=True))


def drawn_grants(wallet_id: int, now: datetime) -> list[CreditGrant]:
    """Live grants of which something was drawn, the last in Metronome's order first."""
    drawn = CreditGrant.objects.filter(wallet_id=wallet_id, remaining__lt=F("granted"), starts_at__lte=now)
    return sorted(drawn.exclude(ends_at__lte=now), key=draw_order, reverse=True)


def drawable(wallet_id: int, moment: datetime) -> list[tuple[int, int]]:
    """What usage of that moment could draw, as (grant, remaining) in Metronome's order; what had ended by then comes last.

    The usage event carries the time of its reservation, so it draws from what was valid then, even if that has ended since.
    """
    with connection.cursor() as cursor:
        cursor.execute(DRAWABLE, [wallet_id, sql.at(moment)])
        rows = [
            Candidate(grant_id, priority, is_free, sql.aware(starts_at), sql.aware(ends_at), remaining)
            for grant_id, priority, is_free, starts_at, ends_at, remaining in cursor.fetchall()
        ]
    ordered = sorted(rows, key=lambda one: (one.ends_at <= moment, draw_order(one)))
    return [(one.id, one.remaining) for one in ordered]


def pays_since(grant: CreditGrant) -> datetime:
    """From which full hour on the grant pays: never in a month whose invoice was final when Metronome made it, or, if it has
    not said when, when we heard of it. Months are UTC's, as Metronome invoices them."""
    made_at = grant.made_at or grant.created_at
    return max(floor_hour(grant.starts_at), floor_hour(made_at - INVOICE_GRACE).replace(day=1, hour=0))


def consumed_since(wallet_id: int, since: datetime, *, seconds: int) -> Drawn:
    """What usage since the full hour `since` drew of which grant, as last decided.

    `seconds` is how long after its reservation usage may be captured.
    """
    entries = LedgerEntry.objects.filter(wallet_id=wallet_id).order_by("-version")
    # Versions rise with time, but for requests under way at once: the index on them leads to where to begin.
    before = entries.filter(created_at__lt=since - timedelta(seconds=seconds))
    entries = entries.filter(version__gt=before.values_list("version", flat=True).first() or 0)
    drawn: Drawn = Counter()
    for consumptions, reserved_at in entries.exclude(consumptions=[]).values_list(
        "consumptions", "reservation__created_at"
    ):
        for grant_id, credits, *stamp in consumptions:
            hour = datetime.fromtimestamp(stamp[0], UTC) if stamp else floor_hour(reserved_at)
            if hour >= since:
                drawn[hour, grant_id] += credits
    return drawn

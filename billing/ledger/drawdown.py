"""Which grant pays for which usage, hour by hour, following Metronome's rules.

The result does not depend on the order in which usage and grants become known here: when a
backdated grant or late usage arrives, the hours since are allocated again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F

from billing.hours import floor_hour
from billing.models import CreditGrant, LedgerEntry, Reservation

from . import sql

# Metronome's default grace period. 24 hours after a month ends its invoice is final, and with it
# which credits covered the usage of that month.
INVOICE_GRACE = timedelta(hours=24)

# A grant that became known before its start is not part of the balance until a worker starts it.
# Until then its credits are neither consumed nor expired.
STARTED = """(created_at >= starts_at OR EXISTS (
   SELECT 1 FROM billing_ledgerentry WHERE grant_id = billing_creditgrant.id AND kind = 'grant'))"""
DRAWABLE = f"""
SELECT id, priority, is_free, starts_at, ends_at, remaining FROM billing_creditgrant
 WHERE wallet_id = %s AND remaining > 0 AND starts_at <= %s AND {STARTED}"""

Allocation = Counter[tuple[datetime, int]]  # credits by full hour and grant id


class Candidate(NamedTuple):
    """A row of DRAWABLE."""

    id: int
    priority: Any
    is_free: bool
    starts_at: datetime
    ends_at: datetime
    remaining: int


def draw_order(grant: CreditGrant | Candidate) -> tuple[Any, ...]:
    """Sort key of the order in which Metronome draws from grants.

    Lower priority number, then free before paid, then soonest end, then earliest start. All code
    that needs the order calls this function.
    """
    return grant.priority, not grant.is_free, grant.ends_at, grant.starts_at, grant.id


@dataclass(frozen=True, slots=True)
class Pool:
    """The credits of one grant, for usage of the full hours from `since` until `ends_at`."""

    id: int
    credits: int
    since: datetime
    ends_at: datetime

    def covers(self, hour: datetime) -> bool:
        return self.since <= hour < self.ends_at


def allocate(pools: Sequence[Pool], usage: Mapping[datetime, int]) -> Allocation:
    """Distribute `usage` (credits by full hour) over `pools`, which are in draw order.

    Hours are served in order of time, each from the pools that cover it. What those cannot cover is
    then taken from any pool, starting with the last in draw order.
    """
    left = {pool.id: pool.credits for pool in pools}
    allocation: Allocation = Counter()
    uncovered = {
        hour: _take(hour, usage[hour], [p.id for p in pools if p.covers(hour)], left, allocation)
        for hour in sorted(usage)
    }
    for hour, credits in uncovered.items():
        _take(hour, credits, reversed(list(left)), left, allocation)
    return allocation


def _take(
    hour: datetime, credits: int, ids: Iterable[int], left: dict[int, int], allocation: Allocation
) -> int:
    """Take `credits` from the pools in the order of `ids`. Returns what they could not cover."""
    for pool_id in ids:
        if part := min(credits, left[pool_id]):
            left[pool_id] -= part
            allocation[hour, pool_id] += part
            credits -= part
    return credits


def plan_reallocation(
    ordered: Sequence[CreditGrant], consumed: Allocation, usage: Mapping[datetime, int]
) -> tuple[Allocation, list[int]]:
    """Allocate again what was consumed of these grants, together with additional `usage`.

    `ordered` are grants in draw order, `consumed` is what they cover now, `usage` is in credits by
    full hour. Returns the changes against `consumed` (credits, signed) and the new remaining
    credits of each grant. Writes nothing.
    """
    before, wanted = Counter[int](), Counter(usage)
    for (hour, grant_id), credits in consumed.items():
        before[grant_id] += credits
        wanted[hour] += credits
    # Start from remaining + consumed. Expired credits are left out: no usage can draw them.
    changes = allocate(
        [
            Pool(one.id, one.remaining + before[one.id], covers_since(one), one.ends_at)
            for one in ordered
        ],
        wanted,
    )
    changes.subtract(consumed)
    taken = Counter[int]()
    for (_, grant_id), credits in changes.items():
        taken[grant_id] += credits
    return changes, [one.remaining - taken[one.id] for one in ordered]


def remaining_after_reservations(
    wallet_id: int, grant_ids: Sequence[int], *, seconds: int
) -> dict[int, int]:
    """Remaining credits by grant id if all open reservations were captured in full.

    Empty if there are no open reservations. `seconds` as in `consumed_since`.
    """
    reserved = Counter[datetime]()
    for amount, created_at in (
        Reservation.objects.open().filter(wallet_id=wallet_id).values_list("amount", "created_at")
    ):
        reserved[created_at] += amount
    if not reserved:
        return {}
    consumed = consumed_since(wallet_id, floor_hour(min(reserved)), seconds=seconds)
    grants = CreditGrant.objects.filter(
        id__in={*grant_ids, *(grant_id for _, grant_id in consumed)}
    )
    ordered = sorted(grants, key=draw_order)
    remaining = plan_reallocation(ordered, consumed, reserved)[1]
    return dict(zip([one.id for one in ordered], remaining, strict=True))


def partly_consumed_grants(wallet_id: int, now: datetime) -> list[CreditGrant]:
    """Grants in force of which something was consumed, in reverse draw order."""
    consumed = CreditGrant.objects.filter(
        wallet_id=wallet_id, remaining__lt=F("granted"), starts_at__lte=now
    )
    return sorted(consumed.exclude(ends_at__lte=now), key=draw_order, reverse=True)


def drawable(wallet_id: int, moment: datetime) -> list[tuple[int, int]]:
    """The grants that usage of `moment` may draw from, as (grant id, remaining) in draw order.

    Usage is rated at the time of its reservation, so `moment` may be past. Grants that had ended by
    then come last.
    """
    with connection.cursor() as cursor:
        cursor.execute(DRAWABLE, [wallet_id, sql.at(moment)])
        rows = [
            Candidate(grant_id, priority, is_free, sql.aware(starts), sql.aware(ends), remaining)
            for grant_id, priority, is_free, starts, ends, remaining in cursor.fetchall()
        ]
    ordered = sorted(rows, key=lambda one: (one.ends_at <= moment, draw_order(one)))
    return [(one.id, one.remaining) for one in ordered]


def differences(wallet_id: int, left: Mapping[str, Decimal], now: datetime) -> Counter[str]:
    """Credits of grants in force that we have and Metronome has not, by commit; fewer are negative.

    `left` is what Metronome has left of each commit. Fractions of a credit are no difference.
    """
    drawable_ids = [grant_id for grant_id, _ in drawable(wallet_id, now)]
    held: Counter[str] = Counter()
    for grant in CreditGrant.objects.filter(id__in=drawable_ids, ends_at__gt=now):
        held[grant.remote_id] += grant.remaining
    return Counter({commit: int(held[commit] - left.get(commit, 0)) for commit in {*held, *left}})


def surplus_first(
    drawable: Sequence[tuple[int, int]], differences: Mapping[str, int]
) -> list[tuple[int, int]]:
    """`drawable` with the credits that Metronome does not have at its front.

    A grant of which only a part is surplus comes twice: with that part, then with the rest.
    """
    grants = CreditGrant.objects.filter(id__in=[grant_id for grant_id, _ in drawable])
    commits = dict(grants.values_list("id", "remote_id"))
    surplus, first, rest = Counter(differences), [], []
    for grant_id, remaining in drawable:
        part = max(0, min(remaining, surplus[commits[grant_id]]))
        surplus[commits[grant_id]] -= part
        first.append((grant_id, part))
        rest.append((grant_id, remaining - part))
    return [one for one in first + rest if one[1]]


def shortfalls(
    grants: Iterable[CreditGrant], differences: Mapping[str, int]
) -> list[tuple[CreditGrant, int]]:
    """The grants of which Metronome has more than we, and how much more."""
    return [(grant, -more) for grant in grants if (more := differences.get(grant.remote_id, 0)) < 0]


def covers_since(grant: CreditGrant) -> datetime:
    """The first full hour whose usage the grant may cover.

    Not before its start, and not in a month whose invoice was final when Metronome created the
    grant (or when we first saw it, if Metronome gave no time). Months are UTC months, as on
    Metronome's invoices.
    """
    made_at = grant.made_at or grant.created_at
    return max(floor_hour(grant.starts_at), open_since(made_at))


def open_since(moment: datetime) -> datetime:
    """The start of the first month whose invoice is not final at `moment`."""
    return floor_hour(moment - INVOICE_GRACE).replace(day=1, hour=0)


def consumed_since(wallet_id: int, since: datetime, *, seconds: int) -> Allocation:
    """What usage since the full hour `since` consumes of which grant, after all reallocations.

    `seconds` is how long after its reservation usage may still be captured.
    """
    entries = LedgerEntry.objects.filter(wallet_id=wallet_id).order_by("-version")
    # Versions rise with time, except among concurrent requests. Their index finds the first entry
    # to read without a scan of all captures.
    before = entries.filter(created_at__lt=since - timedelta(seconds=seconds))
    entries = entries.filter(version__gt=before.values_list("version", flat=True).first() or 0)
    consumed: Allocation = Counter()
    for consumptions, reserved_at in entries.exclude(consumptions=[]).values_list(
        "consumptions", "reservation__created_at"
    ):
        for grant_id, credits, *unix_hour in consumptions:
            hour = (
                datetime.fromtimestamp(unix_hour[0], UTC) if unix_hour else floor_hour(reserved_at)
            )
            if hour >= since:
                consumed[hour, grant_id] += credits
    return consumed

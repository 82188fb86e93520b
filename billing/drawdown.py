"""Which grants pay for which usage, as Metronome decides it: hour by hour, whichever usage or grant was heard of first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q

from .models import CreditGrant, LedgerEntry

Drawn = Counter[tuple[datetime, int]]  # credits by full hour and pool


@dataclass(frozen=True, slots=True)
class Pool:
    """What a grant has to give, and from when to when. Pools come in the order in which they are drawn."""

    id: int
    credits: int
    starts_at: datetime
    ends_at: datetime | None

    def covers(self, hour: datetime) -> bool:
        return floor_hour(self.starts_at) <= hour and (self.ends_at is None or hour < self.ends_at)


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


def draw_anew(ordered: Sequence[CreditGrant], drawn: Drawn, usage: Mapping[datetime, int]) -> tuple[Drawn, list[int]]:
    """Decide anew who pays for what is drawn of these grants, and for `usage` beside it.

    Returns what changes, and what each grant has left then.
    """
    before, wanted = Counter[int](), Counter(usage)
    for (hour, grant_id), credits in drawn.items():
        before[grant_id] += credits
        wanted[hour] += credits
    # Without what expired of an ended grant: it had no use for that, and has still less for what others take off it.
    changes = draw(
        [Pool(one.id, one.remaining + before[one.id], one.starts_at, one.ends_at) for one in ordered], wanted
    )
    changes.subtract(drawn)
    taken = Counter[int]()
    for (_, grant_id), credits in changes.items():
        taken[grant_id] += credits
    return changes, [one.remaining - taken[one.id] for one in ordered]


def floor_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def drawn_since(wallet_id: int, since: datetime, *, seconds: int) -> Drawn:
    """What usage since the full hour `since` drew of which grant, as last decided.

    `seconds` is how long after its reservation usage may be captured.
    """
    entries = LedgerEntry.objects.filter(wallet_id=wallet_id).order_by("-version")
    # Versions rise with time, but for requests under way at once: the index on them leads to where to begin.
    before = entries.filter(created_at__lt=since - timedelta(seconds=seconds))
    entries = entries.filter(version__gt=before.values_list("version", flat=True).first() or 0)
    drawn: Drawn = Counter()
    for draws, reserved_at in entries.exclude(draws=[]).values_list("draws", "reservation__created_at"):
        for grant_id, credits, *stamp in draws:
            hour = datetime.fromtimestamp(stamp[0], UTC) if stamp else floor_hour(reserved_at)
            if hour >= since:
                drawn[hour, grant_id] += credits
    return drawn


def has_turned(wallet_id: int, hour: datetime, now: datetime) -> bool:
    """Whether a grant began or ended since that hour, so that it matters for usage of it in which order it is drawn."""
    if hour == floor_hour(now):
        return False
    turned = Q(starts_at__gt=hour, starts_at__lte=now) | Q(ends_at__gt=hour, ends_at__lte=now)
    return CreditGrant.objects.filter(turned, wallet_id=wallet_id).exists()

"""What a customer used in a range of days: the page, its CSV and `GET /v1/usage` all read this.

From `UsageDay` only, so the cost depends on days, voices and keys, not on how much was spoken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.db.models import Case, F, Max, Q, QuerySet, Sum, Value, When
from django.db.models.functions import TruncMonth, TruncWeek

from accounts.models import ApiKey, Customer

from .models import SITE, UsageDay, VoiceType
from .speech.voices import HOUSE

DAYS_MAX = 366
SERIES_MAX = 5  # of a chart: four and “Other”, or five
COLUMNS = {"day": "day", "voice": "voice", "key": "api_key", "tier": "voice_type"}
SPLITS = ("voice", "key", "tier")
Every = Literal["day", "week", "month"]
OTHER = "Other"
IMPORTED, ON_THE_SITE, WITHOUT_TIER = "Imported", "Studio", "Without a tier"


class WrongDays(ValueError):
    """The days are no range. The text says what to choose."""


@dataclass(frozen=True, slots=True)
class Span:
    """UTC days from `start` up to, and not including, `end`."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def last(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def before(self) -> Span:
        """As many days, right before it."""
        return Span(self.start - timedelta(days=self.days), self.start)

    def checked(self) -> Span:
        """Raises WrongDays."""
        if not 0 < self.days <= DAYS_MAX:
            raise WrongDays(f"Choose dates with 1 to {DAYS_MAX} days between them.")
        return self


class Total(NamedTuple):
    """Sums of usage, by what was asked for; None where it was not, or where there is none."""

    day: date | None
    voice: str | None
    key: UUID | None
    tier: str | None
    characters: int
    credits: int
    generations: int
    audio_ms: int


class Series(NamedTuple):
    """One part of a chart. `value` is what the column holds, None for all the others together."""

    value: str | UUID | None
    name: str
    credits: int


class Once(NamedTuple):
    """A cost that is no usage by the character: an own voice."""

    day: date
    name: str
    credits: int


def of(customer: Customer, span: Span) -> QuerySet[UsageDay]:
    return UsageDay.objects.filter(customer=customer, day__gte=span.start, day__lt=span.end)


def spoken(customer: Customer, span: Span) -> QuerySet[UsageDay]:
    return of(customer, span).filter(kind=UsageDay.Kind.SPEECH)


def totals(customer: Customer, span: Span, groups: Collection[str]) -> Iterator[Total]:
    """Speech by one or more of day, voice, key and tier, in that order."""
    names = {group: COLUMNS[group] for group in COLUMNS if group in groups}
    rows: Any = spoken(customer, span).order_by().values(*names.values())
    summed = rows.annotate(
        n_characters=Sum("characters"),
        n_credits=Sum("credits"),
        n_generations=Sum("generations"),
        n_audio=Sum("audio_ms"),
    )
    for row in summed.order_by(*names.values()):
        key = row.get("api_key")
        yield Total(
            day=row.get("day"),
            voice=row.get("voice") or None,
            key=None if key == SITE else key,
            tier=row.get("voice_type") or None,
            characters=row["n_characters"],
            credits=row["n_credits"],
            generations=row["n_generations"],
            audio_ms=row["n_audio"],
        )


def whole(customer: Customer, span: Span) -> Total:
    """All speech of the range in one."""
    names = ("characters", "credits", "generations", "audio_ms")
    found = spoken(customer, span).aggregate(**{f"n_{name}": Sum(name) for name in names})
    return Total(None, None, None, None, *(found[f"n_{name}"] or 0 for name in names))


def once(customer: Customer, span: Span, names: Names) -> list[Once]:
    """What was paid once, by day and name."""
    rows = of(customer, span).filter(kind=UsageDay.Kind.OWN_VOICE, credits__gt=0)
    found = rows.order_by("day", "voice").values_list("day", "voice", "voice_name", "credits")
    return [Once(day, names.voice(voice, name), credits) for day, voice, name, credits in found]


def series(customer: Customer, span: Span, split: str, names: Names) -> list[Series]:
    """The parts of a chart, biggest first; the last is “Other” if there are more than fit."""
    column = COLUMNS[split]
    rows: Any = spoken(customer, span).order_by().values(column)
    found = list(rows.annotate(sum=Sum("credits"), name=Max("voice_name")).order_by("-sum", column))
    shown = found if len(found) <= SERIES_MAX else found[: SERIES_MAX - 1]
    parts = [
        Series(row[column], names.of(split, row[column], row["name"]), row["sum"]) for row in shown
    ]
    rest = sum(row["sum"] for row in found[len(shown) :])
    return [*parts, Series(None, OTHER, rest)] if len(found) > len(shown) else parts


def buckets(
    customer: Customer, span: Span, split: str, parts: list[Series], every: Every
) -> dict[date, list[int]]:
    """Credits of each part, by the first day of each day, week (from Monday) or month, without
    gaps.
    """
    column = COLUMNS[split]
    place = Case(
        *(
            When(Q((column, part.value)), then=Value(number))
            for number, part in enumerate(parts)
            if part.value is not None
        ),
        default=Value(len(parts) - 1),
    )
    at: Any = {"day": F("day"), "week": TruncWeek("day"), "month": TruncMonth("day")}[every]
    rows: Any = spoken(customer, span).order_by().annotate(bucket=at, place=place)
    found = {first: [0] * len(parts) for first in firsts(span, every)}
    for first, number, credits in (
        rows.values("bucket", "place")
        .annotate(sum=Sum("credits"))
        .values_list("bucket", "place", "sum")
    ):
        found[first][number] += credits
    return found


def firsts(span: Span, every: Every) -> list[date]:
    """The first day of every bucket of the range; of the first one it may be before the range."""
    at = first_of(span.start, every)
    found = []
    while at < span.end:
        found.append(at)
        at = after(at, every)
    return found


def first_of(day: date, every: Every) -> date:
    if every == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if every == "month" else day


def after(first: date, every: Every) -> date:
    """The first day of the bucket after this one."""
    if every == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if every == "week" else 1)


def by_day(customer: Customer, span: Span) -> Counter[date]:
    """Credits of speech and of what was paid once, by day: all that the balance lost to usage."""
    rows: Any = of(customer, span).order_by().values("day")
    return Counter(dict(rows.annotate(sum=Sum("credits")).values_list("day", "sum")))


def speech_by_day(customer: Customer, span: Span) -> Counter[date]:
    """Credits of speech by day; days without any are missing."""
    rows: Any = spoken(customer, span).order_by().values("day")
    summed = rows.annotate(sum=Sum("credits")).filter(sum__gt=0)
    return Counter(dict(summed.values_list("day", "sum")))


def first_day(customer: Customer) -> date | None:
    """Of the first text that was ever spoken."""
    rows = UsageDay.objects.filter(customer=customer, kind=UsageDay.Kind.SPEECH)
    return rows.order_by("day").values_list("day", flat=True).first()


class Names:
    """What the values of columns are called, looked up once for each kind of them."""

    def __init__(self, customer: Customer) -> None:
        self._customer = customer
        self._keys: dict[UUID, str] | None = None
        self._own: dict[str, str] | None = None

    def of(self, split: str, value: Any, kept: str) -> str:
        if split == "voice":
            return self.voice(value, kept)
        return self.key(value) if split == "key" else self.tier(value)

    def voice(self, voice: str, kept: str) -> str:
        """`kept`: the name it had when it was last used."""
        if not voice:
            return IMPORTED
        if voice in HOUSE:
            return HOUSE[voice].name
        if self._own is None:
            rows = self._customer.voices.values_list("id", "name")
            self._own = {str(voice_id): name for voice_id, name in rows}
        return self._own.get(voice) or kept or voice[:60]

    def key(self, key: UUID) -> str:
        if key == SITE:
            return ON_THE_SITE
        if self._keys is None:
            self._keys = dict(
                ApiKey.objects.filter(customer=self._customer).values_list("pk", "name")
            )
        return self._keys.get(key) or "Deleted key"

    def tier(self, tier: str) -> str:
        return VoiceType(tier).label if tier in VoiceType.values else WITHOUT_TIER


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)

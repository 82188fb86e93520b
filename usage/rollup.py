"""Usage by day (`UsageDay`): counted where credits are captured, and put right from the rows.

Counting is one statement in the transaction of the capture, not a job that follows the events:
the sums are exact at any moment and whoever dies, and no watermark can pass over an event that
commits late. It comes before the capture, as the rows of every caller do, so the wallet is locked
no longer than without it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import CharField, Count, F, Max, Q, QuerySet, Sum, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Floor, TruncDate

from accounts.models import Customer
from billing import ledger

from .models import SITE, Generation, UsageDay, UsageEvent, Voice

# Events of imported usage are the only rows it has, and are deleted after 35 days at the earliest.
IMPORTS_KEPT_DAYS = 34
KINDS = {"voice_generation": UsageDay.Kind.SPEECH, "voice_cloning": UsageDay.Kind.OWN_VOICE}
ADD = """
INSERT INTO usage_usageday AS kept
       (customer_id, day, kind, voice, voice_type, api_key, voice_name,
        characters, credits, generations, audio_ms)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (customer_id, day, kind, voice, voice_type, api_key) DO UPDATE SET
       characters = kept.characters + excluded.characters,
       credits = kept.credits + excluded.credits,
       generations = kept.generations + excluded.generations,
       audio_ms = kept.audio_ms + excluded.audio_ms,
       voice_name = CASE excluded.voice_name WHEN '' THEN kept.voice_name
                    ELSE excluded.voice_name END"""


@dataclass(frozen=True, slots=True)
class With:
    """What usage was made with: a voice, and an API key if a program asked. Empty: imported."""

    voice: str = ""
    voice_name: str = ""
    api_key_id: UUID | None = None
    duration_seconds: float = 0.0


IMPORTED = With()


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Which row of a customer's days counts it."""

    day: date
    kind: str
    voice: str
    voice_type: str
    api_key: UUID


@dataclass(slots=True)
class Sums:
    """Signed, as what is added to a row."""

    characters: int = 0
    credits: int = 0
    generations: int = 0
    audio_ms: int = 0
    voice_name: str = ""

    def __bool__(self) -> bool:
        return any((self.characters, self.credits, self.generations, self.audio_ms))


def milliseconds(duration_seconds: float | None) -> int:
    """Whole ones, cut off as the database cuts them in `differences`."""
    return math.floor((duration_seconds or 0.0) * 1_000)


def place(
    event_type: str, properties: Mapping[str, str], happened_at: datetime, used: With
) -> Place:
    """Where a usage event counts."""
    return Place(
        day=happened_at.astimezone(UTC).date(),
        kind=KINDS[event_type],
        voice=used.voice,
        voice_type=properties.get("voice_type", ""),
        api_key=used.api_key_id or SITE,
    )


def sums(properties: Mapping[str, str], credits: int, used: With) -> Sums:
    """What a usage event adds."""
    return Sums(
        characters=int(properties.get("text_length", 0)),
        credits=credits,
        generations=1,
        audio_ms=milliseconds(used.duration_seconds),
        voice_name=used.voice_name,
    )


def add(customer_id: UUID, found: Iterable[tuple[Place, Sums]]) -> None:
    """Add to the customer's days, in the caller's transaction and before it captures credits."""
    together: dict[Place, Sums] = defaultdict(Sums)
    for where, more in found:
        kept = together[where]
        kept.characters += more.characters
        kept.credits += more.credits
        kept.generations += more.generations
        kept.audio_ms += more.audio_ms
        kept.voice_name = more.voice_name or kept.voice_name
    with connection.cursor() as cursor:
        # In one order: two that add to the same rows wait for each other, and never in a circle.
        for where, more in sorted(together.items(), key=lambda item: item[0]):
            *which, api_key = astuple(where)
            numbers = (more.characters, more.credits, more.generations, more.audio_ms)
            which[0] = connection.ops.adapt_datefield_value(where.day)
            cursor.execute(
                ADD,
                [
                    ledger.sql.key(customer_id),
                    *which,
                    ledger.sql.key(api_key),
                    more.voice_name,
                    *numbers,
                ],
            )


def lengthen(generation: Generation, duration_seconds: float) -> None:
    """Count a generation's audio as this long from now on, in the transaction that makes it so."""
    more = milliseconds(duration_seconds) - milliseconds(generation.duration_seconds)
    if more and generation.reservation:
        used = With(generation.voice, "", generation.reservation.api_key_id)
        properties = {"voice_type": generation.voice_type}
        where = place("voice_generation", properties, generation.reservation.created_at, used)
        add(generation.customer_id, [(where, Sums(audio_ms=more))])


def forget_names(customer: Customer) -> None:
    UsageDay.objects.filter(customer=customer).update(voice_name="")


# --- From the rows --------------------------------------------------------------------------------


def repair(customer: Customer, *, dry_run: bool, now: datetime) -> int:
    """Add to the customer's days what they differ from the rows. Returns how many rows are changed,
    with `dry_run` how many would be.

    It stops nobody: what is captured meanwhile is in the rows and in the days, or in neither, so
    the difference stays what it was. Only two repairs of one customer wait for each other.
    """
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        found = differences(customer, now)
        if found and not dry_run:
            add(customer.pk, found.items())
            empty = {"characters": 0, "credits": 0, "generations": 0, "audio_ms": 0}
            UsageDay.objects.filter(customer=customer, **empty).delete()
    return len(found)


def differences(customer: Customer, now: datetime) -> dict[Place, Sums]:
    """What the rows have more than the days, by place; empty if they agree. One statement, so one
    moment.

    Usage that was imported is compared as long as its events are kept.
    """
    since = (now - timedelta(days=IMPORTS_KEPT_DAYS)).astimezone(UTC).date()
    parts = [_spoken(customer), _own_voices(customer), _imported(customer, since)]
    counted = _counted(customer, since)
    found: dict[Place, Sums] = defaultdict(Sums)
    for day, kind, voice, tier, api_key, name, *numbers in counted.union(*parts, all=True):
        if kind == UsageDay.Kind.OWN_VOICE and voice:
            voice = str(UUID(voice))  # as one database writes a UUID, or as the other
        kept = found[Place(day, kind, voice, tier, api_key)]
        kept.voice_name = kept.voice_name or name
        kept.characters += numbers[0]
        kept.credits += numbers[1]
        kept.generations += numbers[2]
        kept.audio_ms += numbers[3]
    return {where: more for where, more in found.items() if more}


def _grouped(rows: QuerySet[Any], name: Any, sums: dict[str, Any], **dims: Any) -> QuerySet[Any]:
    """Rows as tuples: the fields of a `Place`, a name, and the four numbers of `Sums`."""
    grouped: Any = rows.order_by().annotate(**dims).values(*dims)
    found: QuerySet[Any] = grouped.annotate(a_name=name, **sums)
    return found.values_list(*dims, "a_name", *sums)


def _sums(characters: Any, credits: Any, audio_ms: Any) -> dict[str, Any]:
    return {
        "s_characters": characters,
        "s_credits": Sum(credits),
        "s_generations": Count("pk"),
        "s_audio": audio_ms,
    }


NOTHING = Value(0, models.BigIntegerField())


def _counted(customer: Customer, since: date) -> QuerySet[Any]:
    rows = UsageDay.objects.filter(customer=customer).exclude(voice="", day__lt=since)
    return rows.values_list(
        "day",
        "kind",
        "voice",
        "voice_type",
        "api_key",
        Value("", CharField()),
        -F("characters"),
        -F("credits"),
        -F("generations"),
        -F("audio_ms"),
    )


def _spoken(customer: Customer) -> QuerySet[Any]:
    milliseconds = Floor(Coalesce(F("duration_seconds"), 0.0) * 1_000)
    return _grouped(
        Generation.objects.filter(customer=customer, state=Generation.State.DONE),
        Max("voice_name"),
        _sums(
            Sum(Coalesce("characters_spoken", F("characters"))),
            "credits",
            Sum(Cast(milliseconds, models.BigIntegerField())),
        ),
        **_dims(Value(UsageDay.Kind.SPEECH), F("voice"), F("voice_type")),
    )


def _own_voices(customer: Customer) -> QuerySet[Any]:
    return _grouped(
        Voice.objects.filter(customer=customer, reservation__isnull=False),
        Max("name"),
        _sums(NOTHING, "credits", NOTHING),
        **_dims(Value(UsageDay.Kind.OWN_VOICE), F("id"), Value("")),
    )


def _imported(customer: Customer, since: date) -> QuerySet[Any]:
    kind = models.Case(
        *(models.When(event_type=name, then=Value(kind.value)) for name, kind in KINDS.items()),
        output_field=CharField(),
    )
    rows = UsageEvent.objects.filter(
        Q(reservation__generation=None, reservation__voice=None),
        customer=customer,
        happened_at__gte=datetime(since.year, since.month, since.day, tzinfo=UTC),
    )
    length = Coalesce(Cast(KT("properties__text_length"), models.BigIntegerField()), NOTHING)
    tier = Coalesce(KT("properties__voice_type"), Value(""), output_field=CharField())
    dims = _dims(kind, Value(""), tier)
    return _grouped(rows, Value("", CharField()), _sums(Sum(length), "credits", NOTHING), **dims)


def _dims(kind: Any, voice: Any, tier: Any) -> dict[str, Any]:
    return {
        "d_day": TruncDate("reservation__created_at", tzinfo=UTC),
        "d_kind": Cast(kind, CharField()),
        "d_voice": Cast(voice, CharField()),
        "d_tier": Cast(tier, CharField()),
        "d_key": Coalesce("reservation__api_key_id", Value(SITE, models.UUIDField())),
    }

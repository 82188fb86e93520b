"""What was used in a range: by column, biggest first, without gaps and without foreign days."""

from __future__ import annotations

import uuid
from datetime import date, timedelta

import pytest

from billing import keys
from usage import statistics
from usage.models import Voice
from usage.statistics import Once, Series, Span

from .usage_days import used

pytestmark = pytest.mark.django_db
FRIDAY = date(2026, 11, 27)
SPAN = Span(date(2026, 11, 23), date(2026, 11, 30))


def test_a_range_and_as_many_days_before_it():
    assert (SPAN.days, SPAN.last) == (7, date(2026, 11, 29))
    assert SPAN.before == Span(date(2026, 11, 16), date(2026, 11, 23))
    assert SPAN.checked() == SPAN
    for wrong in (Span(FRIDAY, FRIDAY), Span(FRIDAY, FRIDAY + timedelta(days=367))):
        with pytest.raises(statistics.WrongDays, match="1 to 366 days"):
            wrong.checked()


def test_totals_by_column_and_in_one(alice, bob):
    key = uuid.uuid4()
    used(alice, FRIDAY, 10)
    used(alice, FRIDAY, 20, api_key=key)
    used(alice, SPAN.start, 5, voice="premium-nora", voice_type="premium", characters=3)
    used(alice, SPAN.start, 25_000, kind="own_voice", voice="x", voice_type="")
    used(alice, SPAN.end, 1_000)
    used(alice, SPAN.start - timedelta(days=1), 1_000)
    used(bob, FRIDAY, 1_000)

    whole = statistics.whole(alice, SPAN)
    assert (whole.credits, whole.characters, whole.generations, whole.audio_ms) == (
        35,
        33,
        3,
        3_000,
    )
    by_key = statistics.totals(alice, SPAN, ["key"])
    assert {(row.key, row.credits) for row in by_key} == {(None, 15), (key, 20)}
    found = list(statistics.totals(alice, SPAN, ["voice", "day"]))
    assert [(row.day, row.voice, row.tier, row.credits) for row in found] == [
        (SPAN.start, "premium-nora", None, 5),
        (FRIDAY, "standard-ava", None, 30),
    ]
    assert statistics.whole(alice, Span(date(2020, 1, 1), date(2020, 2, 1))).credits == 0


def test_what_was_paid_once_is_told_apart_and_named(alice, now):
    voice = Voice.objects.create(
        customer=alice, key="v", name="Mine", engine="espeak", credits=25_000, created_at=now
    )
    used(alice, FRIDAY, 25_000, kind="own_voice", voice=str(voice.id), voice_name="Before")
    used(alice, FRIDAY, 7)

    assert statistics.once(alice, SPAN, statistics.Names(alice)) == [Once(FRIDAY, "Mine", 25_000)]
    assert statistics.by_day(alice, SPAN) == {FRIDAY: 25_007}
    assert statistics.speech_by_day(alice, SPAN) == {FRIDAY: 7}
    assert statistics.first_day(alice) == FRIDAY


def test_a_chart_has_at_most_five_parts_biggest_first(alice):
    for number in range(1, 8):
        used(alice, FRIDAY, number * 10, voice=f"gone-{number}", voice_name=f"Voice {number}")
    used(alice, FRIDAY - timedelta(days=1), 4, voice="gone-1", voice_name="Voice 1")

    parts = statistics.series(alice, SPAN, "voice", statistics.Names(alice))
    assert parts == [
        Series("gone-7", "Voice 7", 70),
        Series("gone-6", "Voice 6", 60),
        Series("gone-5", "Voice 5", 50),
        Series("gone-4", "Voice 4", 40),
        Series(None, "Other", 64),
    ]
    by_day = statistics.buckets(alice, SPAN, "voice", parts, "day")
    assert len(by_day) == 7
    assert by_day[FRIDAY] == [70, 60, 50, 40, 60]
    assert by_day[FRIDAY - timedelta(days=1)] == [0, 0, 0, 0, 4]
    assert statistics.buckets(alice, SPAN, "voice", parts, "week") == {
        SPAN.start: [70, 60, 50, 40, 64]
    }
    assert statistics.buckets(alice, SPAN, "voice", parts, "month") == {
        date(2026, 11, 1): [70, 60, 50, 40, 64]
    }


def test_exactly_five_parts_have_their_names(alice, now):
    names = []
    for number in range(5):
        key, _ = keys.create(customer=alice, name=f"Key {number}", now=now)
        used(alice, FRIDAY, 100 - number, api_key=key.id)
        names.append(key.name)

    parts = statistics.series(alice, SPAN, "key", statistics.Names(alice))
    assert [part.name for part in parts] == names


def test_values_have_names_that_people_know(alice, now):
    names = statistics.Names(alice)
    key, _ = keys.create(customer=alice, name="Pipeline", now=now)

    assert names.of("key", statistics.SITE, "") == "Studio"
    assert names.of("key", key.id, "") == "Pipeline"
    assert names.of("voice", "standard-ava", "Old name") == "Ava"
    assert names.of("voice", "remote/x", "From afar") == "From afar"
    assert names.of("voice", "", "") == "Imported"
    assert [names.of("tier", tier, "") for tier in ("premium", "standard", "")] == [
        "Premium",
        "Standard",
        "Without a tier",
    ]


def test_weeks_begin_on_monday_and_months_on_the_first():
    year = Span(date(2026, 1, 1), date(2027, 1, 1))
    assert statistics.firsts(year, "week")[0] == date(2025, 12, 29)
    assert len(statistics.firsts(year, "month")) == 12
    assert statistics.firsts(SPAN, "day") == [SPAN.start + timedelta(days=n) for n in range(7)]

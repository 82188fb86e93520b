"""Usage as CSV: the sums that page and API show, and every generation, safe to open."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta

import pytest
from django.urls import reverse

from usage import statistics
from usage.models import Generation
from usage.pages import export
from usage.tests.usage_days import used

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def rows(page, what, **query) -> list[dict[str, str]]:
    answer = page.get(reverse("usage-csv", args=[what]), query)
    assert answer.status_code == 200 and answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def spoke(customer, key, at, text="Hello", **fields):
    usual = {"voice": "standard-ava", "voice_name": "Ava", "voice_type": "standard"}
    done = {"state": "done", "characters": 5, "credits": 5, "duration_seconds": 1.5}
    times = {"created_at": at, "taken_at": at}
    return Generation.objects.create(
        customer=customer, key=key, text=text, **usual | done | times | fields
    )


def test_days_are_those_of_the_page(page, alice, bob, now):
    today = now.date()
    used(alice, today, 300, audio_ms=1_234)
    used(alice, today - DAY, 25_000, kind="own_voice", voice="", voice_type="", characters=0)
    used(alice, today - 40 * DAY, 7)
    used(bob, today, 999)

    found = rows(page, "days", range="30")
    assert found[1] == {
        "day": f"{today}",
        "voice": "Ava",
        "voice_id": "standard-ava",
        "api_key": "Studio",
        "tier": "standard",
        "kind": "speech",
        "characters": "300",
        "credits": "300",
        "generations": "1",
        "audio_seconds": "1.234",
    }
    assert [row["credits"] for row in found] == ["25000", "300"]
    span = statistics.Span(today - 30 * DAY, today + DAY)
    assert statistics.whole(alice, span).credits == 300


def test_every_generation_comes_once_however_many_there_are(page, alice, now, monkeypatch):
    monkeypatch.setattr(export, "CHUNK", 2)
    for number in range(7):  # several in one instant
        spoke(alice, f"{number}", now - timedelta(minutes=number // 3))
        used(alice, (now - number * DAY).date(), 10)
    spoke(alice, "failed", now, state="failed")

    found = rows(page, "generations")
    assert len({row["id"] for row in found}) == len(found) == 8
    assert sorted(row["credits"] for row in found) == ["0", *["5"] * 7]
    assert [row["created_at"] for row in found] == sorted(row["created_at"] for row in found)
    assert len(rows(page, "days")) == 7


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\n=1", "＝1", '=HYPERLINK("x")']
)
def test_no_text_is_a_formula(page, alice, now, text):
    spoke(alice, "k", now, text=text, voice_name=text[:60])

    (found,) = rows(page, "generations")
    assert found["text"] == f"'{text}" and found["voice"].startswith("'")


def test_other_texts_are_as_they_were_written(page, alice, now):
    text = 'Say "hello", then\nnothing; 1 = 1'
    spoke(alice, "k", now, text=text)
    assert rows(page, "generations")[0]["text"] == text


def test_it_is_a_file_of_the_range_that_was_asked_for(page, now):
    query = {"range": "own", "from": "2026-01-05", "to": "2026-02-04"}
    answer = page.get(reverse("usage-csv", args=["days"]), query)
    assert answer["Content-Disposition"] == (
        'attachment; filename="vocalis-days-2026-01-05-2026-02-04.csv"'
    )
    assert answer["Cache-Control"] == "no-store"
    wrong = page.get(reverse("usage-csv", args=["days"]), {"range": "own", "from": "x"})
    assert wrong.status_code == 422 and "Choose a first and a last day" in wrong.text
    assert page.get("/usage/all.csv").status_code == 404


def test_under_asgi_a_piece_is_made_when_the_one_before_it_was_sent():
    made = []

    def source():
        for number in range(export.CHUNK * 2 + 1):
            made.append(number)
            yield (number,)

    async def read():
        counts = []
        async for piece in export.File(("n",), source(), "x.csv"):
            counts.append((piece.count(b"\n"), len(made)))
        return counts

    # The head before any row is read, then so many rows at once.
    assert asyncio.run(read()) == [(1, 0), (500, 500), (500, 1000), (1, 1001)]

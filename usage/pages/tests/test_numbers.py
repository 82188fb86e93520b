"""The charts of the usage page, and the tables behind them."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from django.http import QueryDict
from django.urls import reverse

from billing import ledger
from conftest import fund
from usage.pages import charts, numbers, ranges
from usage.statistics import Span
from usage.tests.usage_days import used

DAY = timedelta(days=1)


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def today(now):
    return now.date()


def html_of(page, **query) -> str:
    answer = page.get(reverse("usage"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_first_page_says_where_it_went(page, alice, today):
    used(alice, today, 300, audio_ms=3_725_000)
    used(alice, today - DAY, 1_200, voice="premium-nora", voice_type="premium", generations=2)
    used(alice, today - DAY, 25_000, kind="own_voice", voice="x", voice_name="Mine", voice_type="")
    used(alice, today - 31 * DAY, 1_000)
    html = html_of(page)
    text = words(html)

    assert "Spoken 1,500 ▲ 50 % on the 30 days before: 1,000" in text
    assert "Once 25,000 own voice Mine" in text
    assert "Audio 1 h 2 min 3 generations, 1,500 characters" in text
    assert "Nora 1,200 Ava 300" in text
    assert html.count('<rect class="f1"') == html.count('<rect class="f2"') == 2  # wide and narrow
    assert html.count('class="m-once"') == 2 and "Own voice, once: 25,000" in html
    assert f"{numbers.title(today, 'day', Span(today, today))}: 300 credits" in html
    assert '<td role="cell" class="num" data-label="Once">25,000</td>' in html
    assert "<script>" not in html and " style=" not in html


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"by": "key"}, "Studio 300"),
        ({"by": "tier"}, "Standard 300"),
        ({"every": "week"}, "Credits by week"),
        ({"every": "month", "range": "90"}, "Credits by month"),
        ({"range": "7"}, "nothing in the 7 days before"),
        ({"range": "nonsense", "by": "x", "every": "y"}, "Credits by day"),
    ],
)
def test_it_is_shown_as_asked(page, alice, today, query, expected):
    used(alice, today, 300)
    assert expected in words(html_of(page, **query))


def test_links_keep_what_is_chosen_otherwise(page, alice, today):
    used(alice, today, 300)
    html = html_of(page, range="7", by="key", every="week")

    assert 'href="?range=7&amp;every=day&amp;by=key"' in html
    assert 'href="?range=7&amp;every=week&amp;by=tier"' in html
    assert 'href="?range=90&amp;by=key"' in html
    assert 'href="/usage/days.csv?range=7&amp;every=week&amp;by=key"' in html


def test_days_of_one_s_own_and_what_is_wrong_about_them(page, alice, today):
    used(alice, today - 400 * DAY, 300)
    first = today - 401 * DAY
    html = html_of(page, **{"range": "own", "from": f"{first}", "to": f"{today - 399 * DAY}"})
    assert "Spoken 300" in words(html) and f'value="{first}"' in html

    for wrong in (
        {"from": "x", "to": f"{today}"},
        {"from": f"{today}", "to": f"{today + DAY}"},
        {"from": f"{today}", "to": f"{today - DAY}"},
        {"from": f"{today - 366 * DAY}", "to": f"{today}"},
        {},
    ):
        answer = page.get(reverse("usage"), {"range": "own", **wrong})
        assert answer.status_code == 422
        assert ranges.WRONG in answer.text and 'aria-describedby="wrong-dates"' in answer.text


def test_ranges_are_whole_utc_days(now):
    noon = now.replace(year=2026, month=3, day=15, hour=23)
    span = {
        name: ranges.shown(QueryDict(f"range={name}"), noon).span for name in ("7", "month", "last")
    }
    tomorrow = date(2026, 3, 16)
    assert span == {
        "7": Span(date(2026, 3, 9), tomorrow),
        "month": Span(date(2026, 3, 1), tomorrow),
        "last": Span(date(2026, 2, 1), date(2026, 3, 1)),
    }


def test_the_balance_is_reckoned_back_to_the_credit(alice, now):
    noon = now.replace(hour=12, minute=0, second=0)
    wallet = fund(alice, 1_000, noon - 20 * DAY, segment_id="old", ends_at=noon - 3 * DAY)
    for number in (10, 5):
        at = noon - number * DAY
        reserved = ledger.reserve(wallet_id=wallet.pk, key=f"{number}", amount=100, now=at)
        ledger.capture(reservation_id=reserved.id, now=at)
        used(alice, at.date(), 100)
    ledger.expire_ended(wallet_id=wallet.pk, now=noon - 3 * DAY, at=noon - 3 * DAY)
    fund(alice, 5_000, noon - 2 * DAY, segment_id="new", ends_at=noon + 90 * DAY)
    shown = ranges.shown(QueryDict(), noon)

    found = numbers.context(alice, shown, noon)
    assert (found["balance_from"], found["balance_to"]) == (0, 5_000)
    assert [(row.word, row.amount, row.balance_after) for row in found["changes"]] == [
        ("Came", 5_000, 5_000),
        ("Expired", -800, 0),
        ("Came", 1_000, 1_000),
    ]
    by_day = dict(pair.split(":") for pair in found["points_written"].split())
    at = numbers.statistics.midnight
    day = {n: by_day[f"{int(at((noon - n * DAY).date()).timestamp())}"] for n in (19, 9, 4, 1)}
    assert day == {19: "1000", 9: "900", 4: "800", 1: "5000"}


def test_a_balance_that_changed_too_often_is_not_drawn_by_halves(page, alice, now, monkeypatch):
    fund(alice, 10, now, segment_id="a")
    fund(alice, 10, now, segment_id="b")
    monkeypatch.setattr(numbers, "CHANGES_MAX", 1)
    assert "changed more than 1 times" in words(html_of(page))


def test_the_cost_does_not_grow_with_use(page, alice, now, today, django_assert_max_num_queries):
    fund(alice, 10, now)

    def use(voices):
        for number in range(20):
            for voice in voices:
                used(alice, today - number * DAY, 300, voice=f"voice-{voice}")
                used(alice, today - number * DAY, 9, kind="own_voice", voice=f"own-{voice}")

    use([0])
    html_of(page)  # the first page of a session also notes the session
    with django_assert_max_num_queries(24) as few:
        html_of(page)
    use(range(1, 9))
    with django_assert_max_num_queries(len(few)):
        html_of(page)


def test_axes_are_round_and_reach_the_highest_column():
    assert charts.scale(0) == [0, 1, 2, 3, 4]
    assert charts.scale(13_400) == [0, 5_000, 10_000, 15_000, 20_000]
    assert charts.scale(9) == [0, 3, 6, 9, 12]
    assert [charts.short(number) for number in (0, 999, 12_500, 3_000_000)] == [
        "0",
        "999",
        "12.5k",
        "3M",
    ]


def test_columns_stand_on_the_base_and_on_each_other():
    first, second = date(2026, 1, 1), date(2026, 1, 2)
    found = charts.bars(
        charts.WIDE,
        {first: [50, 50], second: [0, 0]},
        {first: "a", second: "b"},
        {first: "1", second: "2"},
        [(first, "once", "Own voice, once: 25,000"), (first, "again", "Own voice, once: 25,000")],
    )
    low, high = found.columns[0].parts
    assert float(low.y) + float(low.height) == charts.WIDE.base
    assert float(high.y) + float(high.height) == pytest.approx(float(low.y) - charts.GAP, abs=0.11)
    assert found.columns[1].parts == ()
    assert [bool(mark.label) for mark in found.marks] == [True, False]  # no room for two


def test_titles_say_what_a_column_is_of():
    span = Span(date(2026, 11, 4), date(2026, 12, 3))
    assert numbers.title(date(2026, 11, 28), "day", span) == "Sat 28 Nov 2026"
    assert numbers.title(date(2026, 11, 2), "week", span) == "4 to 8 Nov 2026"
    assert numbers.title(date(2026, 11, 30), "week", span) == "30 Nov to 2 Dec 2026"
    assert numbers.title(date(2026, 11, 1), "month", span) == "4 to 30 Nov 2026"
    whole = Span(date(2026, 11, 1), date(2026, 12, 1))
    assert numbers.title(date(2026, 11, 1), "month", whole) == "November 2026"

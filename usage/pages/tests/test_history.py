"""The usage page: what was made, what it cost, and whether billing knows."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from billing import ledger
from conftest import fund
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent
from usage.pages import history
from usage.speech import own_voice, problems, speak


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    class Fake(QuickEngine):
        def speak(self, pieces, **how):
            if any("fail" in piece.spoken for piece in pieces):
                raise EngineFailed("The speech engine is busy.")
            return super().speak(pieces, **how)

    for module in (speak, own_voice):
        monkeypatch.setattr(module, "engine", lambda name: Fake())


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


def say(customer, now, text="Hello there.", key="k"):
    return speak.speak(customer=customer, text=text, voice_id="standard", key=key, now=now)


def html_of(page, **query) -> str:
    answer = page.get(reverse("usage"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_billing_history_tells_what_credits_were_used_for(
    page, alice, wallet, now, django_assert_max_num_queries
):
    say(alice, now, text="Hello.")
    fund(alice, 25_000, now)
    settings = {"pitch": 0.95, "range": 1.2, "pace": 0.9}
    own_voice.set_up(customer=alice, name="Mine", settings=settings, key="v", now=now)
    reservation = ledger.reserve(wallet_id=wallet.pk, key="import", amount=9, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)

    page.get(reverse("billing"))  # the first page of a session also notes the session
    with CaptureQueriesContext(connection) as few:
        html = page.get(reverse("billing")).content.decode()
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    rows = {"Speech Ava, 6 characters": "−6", "Own voice Mine": "−25,000", "Used": "−9"}
    for words, amount in rows.items():  # with the moment between them
        assert re.search(rf"{words} \d+ \w+ \d+, \d\d:\d\d {amount} ", shown)

    for number in range(9):
        say(alice, now, text="Hello.", key=f"{number}")
    with django_assert_max_num_queries(len(few)):
        page.get(reverse("billing"))


def test_an_empty_page_leads_to_the_studio(page):
    assert "Nothing spoken yet." in html_of(page)


def test_a_row_tells_what_it_cost_and_whether_it_was_sent(page, alice, wallet, now):
    generation = say(alice, now, text="Good morning. " * 20)
    html = html_of(page)
    assert "Good morning." in html and "Good morning. " * 10 not in html
    assert ">Waiting<" in html and ">280<" in html and f"/studio/{generation.id}/audio/" in html

    UsageEvent.objects.update(sent_at=now)
    assert ">Sent<" in html_of(page)

    UsageEvent.objects.update(sent_at=None, dead_at=now)
    assert ">Problem<" in html_of(page)


def test_a_failed_generation_cost_nothing(page, alice, wallet, now):
    with pytest.raises(problems.SpeechFailed):
        say(alice, now, text="fail")

    html = html_of(page)
    assert "Failed, not charged" in html and ">0</td>" in html
    assert "Nothing used in these days." in html


def test_pages_walk_through_everything_once_even_in_one_instant(
    page, alice, wallet, now, django_assert_max_num_queries
):
    fund(alice, 1_000, now)
    for number in range(2 * history.PAGE + 3):
        say(alice, now - timedelta(minutes=number // 10), text=f"Number {number}!", key=str(number))

    seen, query = [], {}
    for _ in range(10):
        rows, next_id = history._page(alice, query.get("before", ""))
        seen += [row.id for row in rows]
        # The first page has the charts as well.
        with django_assert_max_num_queries(10 if query else 25) as queries:
            html = html_of(page, **query)
        assert not any("COUNT(*)" in query["sql"] for query in queries)
        if not next_id:
            break
        assert f"before={next_id}" in html
        query = {"before": str(next_id)}

    assert len(seen) == len(set(seen)) == 2 * history.PAGE + 3
    assert "Older" not in html and "Newest" in html


def test_a_wrong_or_foreign_place_starts_at_the_newest(page, alice, bob, wallet, now):
    fund(bob, 100, now)
    theirs = say(bob, now - timedelta(days=1))
    say(alice, now, text="Mine")

    for before in ("x", str(theirs.id)):
        assert "Mine" in html_of(page, before=before)


def test_texts_are_searched_page_by_page_and_only_one_s_own(page, alice, bob, wallet, now):
    fund(alice, 1_000, now)
    fund(bob, 100, now)
    say(bob, now, text="A lamp of bob's")
    say(alice, now, text="Nothing of the kind")
    for number in range(history.PAGE + 1):
        say(alice, now - timedelta(minutes=number), text=f"The LAMP {number}", key=str(number))

    html = html_of(page, q=" lamp ")
    assert html.count("Receipt and whole text") == history.PAGE
    assert "Nothing of the kind" not in html and "bob" not in html and "Credits by day" not in html
    (older,) = re.findall(r'href="\?before=([-0-9a-f]+)&amp;q=lamp"', html)
    assert html_of(page, q="lamp", before=older).count("Receipt and whole text") == 1
    assert "No text has “x&lt;y”" in html_of(page, q="x<y")


def test_a_search_ends_with_the_newest_texts(page, alice, wallet, now, monkeypatch):
    monkeypatch.setattr(history, "SEARCHED_MAX", 1)
    say(alice, now - timedelta(days=1), text="Old lamp", key="a")
    say(alice, now, text="New lamp", key="b")

    html = html_of(page, q="lamp")
    assert "New lamp" in html and "Old lamp" not in html and "your newest 1." in html


@pytest.mark.parametrize(("zone", "clock"), [("", "12:00"), ("Asia/Tokyo", "21:00")])
def test_moments_are_the_readers_and_keep_utc(page, alice, wallet, now, zone, clock):
    User.objects.update(time_zone=zone)
    noon = now.replace(year=2026, month=1, day=2, hour=12, minute=0, second=0, microsecond=0)
    say(alice, noon)

    html = html_of(page)
    title = 'title="2 January 2026, 12:00 UTC"'
    assert (
        f'<time datetime="2026-01-02T12:00:00+00:00" {title}>'
        f"<span>2 Jan,</span> <span>{clock}</span></time>"
    ) in html
    assert (f"Times are of {zone}." if zone else "Times are UTC.") in html


def test_others_see_nothing(page, bob, now):
    fund(bob, 100, now)
    say(bob, now, text="Secret")

    assert "Secret" not in html_of(page)
    assert Generation.objects.count() == 1


def test_own_voices_are_usage_too(page, alice, now):
    fund(alice, 30_000, now)
    own_voice.set_up(customer=alice, name="Mine", settings={"pitch": 1.05}, key="v", now=now)

    html = html_of(page)
    assert "Own voices" in html and ">25,000<" in html and ">Waiting<" in html


def test_the_page_asks_to_log_in(client, db):
    assert client.get(reverse("usage")).status_code == 302

"""How long audio is kept stands on the pages, and so does the button that makes it again, free."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from billing.models import Subscription, Wallet
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent
from usage.speech import expiry, retention, speak

JSON = {"HTTP_ACCEPT": "application/json"}
MARCH = datetime(2027, 3, 5, 12, tzinfo=UTC)
FORM = {"text": "Hello", "voice": "standard", "key": "k"}


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    fake = QuickEngine()
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def spoken(alice, wallet, now):
    generation = speak.speak(customer=alice, text="Hello", voice_id="standard", key="k", now=now)
    Generation.objects.update(audio_until_at=MARCH)
    return generation


@pytest.fixture
def again(spoken):
    return reverse("again", args=[spoken.id])


def expire(at=MARCH):
    assert expiry.EXPIRE.run(at) == 1


def lose():
    default_storage.delete(Generation.objects.get().audio)


def read(page, url: str) -> str:
    """The page with its moments as they are read."""
    return re.sub("</?time[^>]*>", "", page.get(url).text)


def test_the_pages_say_until_when_audio_is_kept(page, alice, spoken, now):
    for url in ("/studio/", f"/studio/?done={spoken.id}"):
        assert "Kept until 5 March 2027" in read(page, url)
    assert "until 5 Mar 2027" in read(page, "/usage/")
    assert "Without a plan, new audio is kept for 30 days" in page.get("/usage/").text
    Subscription.objects.create(customer=alice, plan="pro", state="active", key="p", created_at=now)
    assert "Your Pro plan keeps audio for 365 days" in page.get("/usage/").text

    Generation.objects.update(audio_until_at=None)
    assert "until 5 Mar" not in read(page, "/usage/") and "Kept until" not in read(page, "/studio/")


def test_each_plan_says_how_long_it_keeps_audio(page):
    html = page.get("/billing/plans/").text

    for days in ("for 30 days", "for 90 days", "for 365 days", "until you have it deleted"):
        assert f"Audio is kept {days}." in html


def test_a_program_is_told_until_when(page, wallet):
    answer = page.post("/studio/", FORM, **JSON).json()

    assert datetime.fromisoformat(answer["audio_until"]) > datetime.now(UTC) + timedelta(days=29)


def test_after_that_they_say_when_it_was_deleted_and_offer_to_make_it_again(page, spoken, again):
    expire()
    sound = reverse("audio", args=[spoken.id])

    for url in ("/studio/", f"/studio/?done={spoken.id}", "/usage/"):
        html = read(page, url)
        assert "eleted on 5 March 2027" in html and f'action="{again}"' in html
        assert sound not in html
    answer = page.get(sound)
    assert answer.status_code == 404 and "was deleted on 5 March 2027" in answer.text
    assert f'action="{again}"' in answer.text
    assert page.get(reverse("words", args=[spoken.id]) + "?format=srt").status_code == 200


def test_a_key_whose_audio_was_deleted_charges_nothing_and_names_the_way(page, spoken, again):
    expire()

    answer = page.post("/studio/", FORM, **JSON)

    assert answer.status_code == 410 and "deleted on 5 March 2027" in answer.json()["error"]
    assert answer.json()["again_url"] == again
    shown = page.post("/studio/", FORM)
    assert shown.status_code == 410 and 'name="key" value="k"' not in shown.text
    assert Wallet.objects.values_list("balance", "reserved").get() == (495, 0)


@pytest.mark.parametrize("gone", [expire, lose])
def test_the_button_leads_back_to_a_player(page, spoken, again, gone):
    gone()

    answer = page.post(again)

    assert answer.status_code == 302 and answer["Location"] == f"/studio/?done={spoken.id}"
    html = page.get(answer["Location"]).text
    assert reverse("audio", args=[spoken.id]) in html and "Make it again" not in html
    assert page.get(reverse("audio", args=[spoken.id])).status_code == 200
    assert Wallet.objects.values_list("balance", "reserved").get() == (495, 0)
    assert UsageEvent.objects.count() == 1


def test_a_program_gets_the_address_and_pays_nothing(page, spoken, again, engine):
    expire()

    answer = page.post(again, **JSON)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["id"], told["credits"]) == (str(spoken.id), 0)
    assert page.get(told["audio_url"]).status_code == page.get(told["words_url"]).status_code == 200
    calls = engine.calls
    assert page.post(again, **JSON).json() == told and engine.calls == calls


def test_a_second_click_waits_for_the_first(page, spoken, again, engine):
    expire()
    seen = []

    def meanwhile():
        engine.during = lambda: None
        seen.append(page.post(again))
        seen.append(page.post(again, **JSON))
        seen.append(page.get(f"/studio/?done={spoken.id}"))
        seen.append(page.get("/usage/"))

    engine.during = meanwhile
    page.post(again)

    click, program, shown, listed = seen
    assert (click.status_code, click["Location"]) == (302, f"/studio/?done={spoken.id}")
    assert program.status_code == 409 and program["Retry-After"]
    assert "being made again" in shown.text and shown["Refresh"]
    assert "Being made again" in listed.text and again not in listed.text


def test_what_cannot_be_done_is_said_in_words(page, spoken, again, engine, monkeypatch):
    expire()

    def fail():
        raise EngineFailed("The speech engine is busy.")

    engine.during = fail
    answer = page.post(again)
    assert answer.status_code == 503 and "The speech engine is busy." in answer.text

    monkeypatch.setattr(retention, "AGAIN_PER_HOUR", 1)
    answer = page.post(again)
    assert answer.status_code == 429 and answer["Retry-After"] and "in the last hour" in answer.text
    told = page.post(again, **JSON)
    assert told.status_code == 429 and "Try again in 60 minutes" in told.json()["error"]

    monkeypatch.undo()
    Generation.objects.update(voice="standard-nobody", voice_name="Nobody")
    answer = page.post(again)
    assert answer.status_code == 410 and "The voice Nobody does not exist" in answer.text


def test_it_is_the_owners_alone_and_no_other_site_can_ask_for_it(
    client, alice, bob, spoken, again, engine
):
    expire()
    engine.calls = 0
    client.force_login(bob.user)
    assert client.post(again).status_code == client.post(again, **JSON).status_code == 404
    client.force_login(alice.user)
    assert client.post(reverse("again", args=[uuid4()])).status_code == 404
    Generation.objects.update(state="failed")
    assert client.post(again).status_code == 404
    Generation.objects.update(state="done")
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice.user)
    assert strict.post(again).status_code == strict.post(again, **JSON).status_code == 403
    assert client.get(again)["Location"] == "/usage/"
    client.logout()
    assert client.post(again, **JSON).status_code == 401
    assert engine.calls == 0

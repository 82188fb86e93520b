"""A visitor's own sentence on the front page: heard free, within limits, in nobody's way."""

from __future__ import annotations

import re

import pytest
from django.core.cache import cache

from accounts import throttle
from billing.models import LedgerEntry, Reservation
from usage.engines import Status
from usage.models import Generation
from usage.speech import sentence
from usage.speech.problems import SpeechFailed

pytestmark = pytest.mark.django_db
URL = "/hear/"
VOICE = "standard-classic"  # spoken by the quickest engine
SOUND = {"accept": "audio/mpeg"}


@pytest.fixture(autouse=True)
def throttled(settings):
    settings.RATELIMIT_ENABLE = True


def hear(client, text="Good evening.", voice=VOICE, **headers):
    return client.post(URL, {"text": text, "voice": voice}, headers=headers or SOUND)


def test_it_is_heard_and_nothing_of_it_is_kept(client):
    response = hear(client)

    assert (response.status_code, response["Content-Type"]) == (200, "audio/mpeg")
    assert response.content[:1] == b"\xff" and len(response.content) > 4_000
    assert "no-store" in response["Cache-Control"]
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"
    for rows in (Generation, Reservation, LedgerEntry):
        assert not rows.objects.exists()


def test_without_script_the_page_has_it_in_a_player_for_two_minutes(client):
    page = hear(client, text="Good <evening>.", accept="text/html").text
    [source] = re.findall(r'<audio[^>]* src="([^"]+)"', page)

    assert "Good &lt;evening&gt;.</textarea>" in page
    assert client.get(source)["Content-Type"] == "audio/mpeg"
    assert client.get("/hear/another/").status_code == 404
    cache.clear()
    assert client.get(source).status_code == 404


@pytest.mark.parametrize(
    ("text", "voice", "words"),
    [
        ("", VOICE, "Write something to speak."),
        ("x" * 201, VOICE, "up to 200 characters; this has 201"),
        ("x" * 1_000_000, VOICE, "far over"),
        ("Good evening.", "premium-nora", "Choose one of these voices."),
        ("Good evening.", "", "Choose one of these voices."),
        ("你好", "standard-ava", "does not speak"),
    ],
)
def test_what_cannot_be_spoken_is_told_in_words_and_stays_in_the_form(client, text, voice, words):
    response = hear(client, text, voice)
    assert response.status_code == 422 and words in response.json()["error"]

    page = hear(client, text, voice, accept="text/html")
    assert page.status_code == 422 and words in page.text
    assert text[:20] in page.text


def test_a_visitor_hears_so_many_in_a_day_and_is_told_what_there_is_then(client, monkeypatch):
    monkeypatch.setitem(throttle.RATES, "free sentence", ("", "2/d"))

    assert [hear(client).status_code for _ in range(3)] == [200, 200, 429]
    assert "50,000 free credits" in hear(client).json()["error"]
    assert (
        client.post(
            URL, {"text": "Good evening.", "voice": VOICE}, headers=SOUND, REMOTE_ADDR="192.0.2.7"
        ).status_code
        == 200
    ), "another visitor still hears"
    assert "for one visitor today" in hear(client, accept="text/html").text


def test_all_visitors_together_hear_so_many_in_a_day(client, settings):
    settings.FREE_SENTENCES_A_DAY = 1
    assert hear(client).status_code == 200

    second = client.post(
        URL, {"text": "Good evening.", "voice": VOICE}, headers=SOUND, REMOTE_ADDR="192.0.2.7"
    )

    assert second.status_code == 429 and "all spoken" in second.json()["error"]


def test_none_a_day_takes_the_form_away(client, settings):
    settings.FREE_SENTENCES_A_DAY = 0

    assert "data-try" not in client.get("/").text
    assert hear(client).status_code == 429


def test_one_is_spoken_at_a_time_and_none_waits(client):
    with sentence.place():
        response = hear(client)

    assert response.status_code == 503 and response["Retry-After"] == "5"
    assert "Try again in a few seconds." in response.json()["error"]
    assert hear(client).status_code == 200


def test_customers_texts_go_first(client, monkeypatch):
    waiting = Status(alive=1, waiting=1, restarts=0, real_time_factor=None)
    monkeypatch.setattr(sentence, "statuses", lambda: {"kokoro": waiting})

    assert hear(client).status_code == 503


def test_an_engine_that_fails_is_told_and_its_place_is_free_again(client, monkeypatch):
    def fail(*args, **kwargs):
        raise SpeechFailed("The speech engine did not answer. Try again in a moment.")

    with monkeypatch.context() as patched:
        patched.setattr(sentence, "spoken", fail)
        assert hear(client).status_code == 503
    assert hear(client).status_code == 200


def test_only_quick_standard_voices_of_the_house_speak_free(client):
    found = {speaker.id for speaker in sentence.speakers()}

    assert {"standard-ava", "standard-june", "standard-clara", VOICE} == found
    page = client.get("/").text
    assert set(re.findall(r'name="voice" value="([^"]+)"', page)) == found


def test_another_site_cannot_have_a_visitor_ask():
    from django.test import Client

    assert hear(Client(enforce_csrf_checks=True)).status_code == 403

"""Who waits for a long text sees how far it is, hears it, and may stop it; nobody else may."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.core.files.storage import default_storage
from django.db import connections
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone

from conftest import PASSWORD, fund
from usage.audio import decode
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation
from usage.pages import answers, listen
from usage.speech import long, speak

TEXT = (
    "The first sentence is this one. The second sentence is that one. "
    "The third sentence is here. The fourth sentence is the last one."
)
SECOND = bytes(range(200)) * 240  # a second of sound at 24,000 samples


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    class Slow(QuickEngine):
        characters_max = first_characters_max = 100
        characters_a_second = 1

    slow = Slow(samples=SECOND)
    monkeypatch.setattr(speak, "engine", lambda name: slow)
    monkeypatch.setattr(long, "engine", lambda name: slow)
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)  # a piece at a time
    monkeypatch.setattr(long, "PART_SECONDS", -1)
    monkeypatch.setattr(answers, "WAIT_SECONDS", 0)
    return slow


@pytest.fixture
def browser(alice, wallet):
    client = Client()
    assert client.login(username="alice@example.com", password=PASSWORD)
    return client


def post(client, **headers):
    fields = {"text": TEXT, "voice": "standard", "key": "k"}
    return client.post("/studio/", fields, headers={"accept": "application/json", **headers})


def speak_pieces(count):
    for _ in range(count):
        long.SPEAK.run(timezone.now())


def test_a_program_is_told_where_to_ask_and_then_gets_the_usual_answer(browser, alice):
    answer = post(browser)

    assert answer.status_code == 202
    generation = Generation.objects.get()
    address = f"/studio/{generation.id}/"
    assert answer.json() == {
        "id": str(generation.id),
        "state": "pending",
        "progress_url": f"{address}progress/",
        "stop_url": f"{address}stop/",
        "characters": len(TEXT),
        "credits": len(TEXT),
        "available": 500 - len(TEXT),
    }
    assert post(browser).json() == answer.json()
    speak_pieces(1)
    assert browser.get(f"{address}progress/").json() == {
        "state": "pending",
        "characters": len(TEXT),
        "characters_spoken": 32,
        "credits": len(TEXT),
    }
    speak_pieces(3)
    found = browser.get(f"{address}progress/")
    again = post(browser)
    assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")
    assert found.json() == again.json() | {
        "state": "done",
        "characters": len(TEXT),
        "characters_spoken": len(TEXT),
    }
    assert found["Cache-Control"] == "no-store"


def test_a_program_that_waits_gets_201(browser, monkeypatch):
    """The worker speaks while the request waits."""
    monkeypatch.setattr(answers, "WAIT_SECONDS", 20)
    monkeypatch.setattr(long.time, "sleep", lambda seconds: speak_pieces(1))

    answer = post(browser)

    assert answer.status_code == 201
    assert answer.json()["credits"] == len(TEXT)


def test_who_prefers_not_to_wait_does_not(browser, monkeypatch):
    monkeypatch.setattr(answers, "WAIT_SECONDS", 20)
    monkeypatch.setattr(long.time, "sleep", lambda seconds: pytest.fail("it waits"))

    assert post(browser, prefer="respond-async").status_code == 202


def test_a_failure_is_told_and_costs_nothing(browser, engine):
    post(browser)

    def fail():
        raise EngineFailed("Change it.", permanent=True)

    engine.during = fail
    speak_pieces(1)

    generation = Generation.objects.get()
    found = browser.get(reverse("progress", args=[generation.id])).json()
    assert (found["state"], found["failure"]) == ("failed", "Change it. Nothing was charged.")


def test_the_page_without_script_shows_how_far_it_is_and_a_button(browser):
    fields = {"text": TEXT, "voice": "standard", "key": "k"}
    answer = browser.post("/studio/", fields)
    generation = Generation.objects.get()
    assert answer["Location"] == f"/studio/?done={generation.id}"
    speak_pieces(1)

    page = browser.get(answer["Location"])

    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in page.text
    text = page.content.decode()
    assert '<span class="n" data-spoken>32</span> of <span class="n" data-all>129</span>' in text
    assert f'action="/studio/{generation.id}/stop/"' in text

    answer = browser.post(f"/studio/{generation.id}/stop/", follow=True)
    generation.refresh_from_db()
    assert (generation.state, generation.credits) == ("done", 32)
    assert "32 of 129 characters" in answer.content.decode()
    assert "Refresh" not in answer.headers and 'http-equiv="refresh"' not in answer.text
    assert "32 of 129</td>" in browser.get("/usage/").content.decode()
    assert ", 32 characters" in browser.get("/billing/").content.decode()


def test_stopping_answers_programs_with_the_state_twice_and_too_late(browser):
    post(browser)
    generation = Generation.objects.get()
    for _ in range(2):
        answer = browser.post(
            f"/studio/{generation.id}/stop/", headers={"accept": "application/json"}
        )
        assert answer.json() == {
            "state": "failed",
            "characters": len(TEXT),
            "characters_spoken": 0,
            "credits": len(TEXT),
            "failure": "Stopped before anything was spoken. Nothing was charged.",
        }


def test_nobody_elses_text_is_seen_or_stopped(browser, bob, now):
    post(browser)
    generation = Generation.objects.get()
    fund(bob, 500, now)
    stranger = Client()
    assert stranger.login(username="bob@example.com", password=PASSWORD)

    assert stranger.get(f"/studio/{generation.id}/progress/").status_code == 404
    assert stranger.post(f"/studio/{generation.id}/stop/").status_code == 404

    generation.refresh_from_db()
    assert generation.state == "pending" and generation.long.stop_asked_at is None


def test_stopping_needs_the_token_of_the_site(browser, alice):
    post(browser)
    generation = Generation.objects.get()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice.user)

    assert strict.post(f"/studio/{generation.id}/stop/").status_code == 403
    generation.refresh_from_db()
    assert generation.state == "pending"


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_speaks_is_heard_part_by_part_and_then_from_the_whole(
    alice, wallet, now, monkeypatch
):
    """The parts are deleted while somebody still listens: they go on in the file made of them."""
    monkeypatch.setattr(listen, "LOOK_SECONDS", 0.05)

    async def story():
        def begin():
            speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)
            speak_pieces(2)

        await sync_to_async(begin)()
        client = AsyncClient()
        await client.aforce_login(alice.user)
        answer = await client.get(reverse("listen"), {"key": "k"})
        assert (answer.status_code, answer["Content-Type"]) == (200, "audio/mpeg")
        pieces = aiter(answer.streaming_content)
        first = await asyncio.wait_for(anext(pieces), 20)
        await sync_to_async(speak_pieces)(2)
        rest = [piece async for piece in pieces]
        await sync_to_async(connections.close_all)()
        return first + b"".join(rest)

    sound = asyncio.run(story())

    assert Generation.objects.get().state == "done"
    with decode(sound) as heard:
        assert heard.samples / heard.sample_rate == pytest.approx(4, abs=0.1)


# --- Made again -----------------------------------------------------------------------------------


@pytest.fixture
def lost(browser):
    """A long text that was spoken, and whose audio was lost."""
    post(browser)
    speak_pieces(4)
    generation = Generation.objects.get()
    default_storage.delete(generation.audio)
    return generation


def again(client, generation, **headers):
    url = reverse("again", args=[generation.id])
    return client.post(url, headers={"accept": "application/json", **headers})


def test_made_again_it_is_followed_as_when_it_was_new_and_free(browser, lost):
    answer = again(browser, lost)

    address = f"/studio/{lost.id}/"
    assert answer.status_code == 202
    assert answer.json() == {
        "id": str(lost.id),
        "state": "pending",
        "progress_url": f"{address}progress/",
        "stop_url": f"{address}stop/",
        "characters": len(TEXT),
        "credits": 0,
        "available": 500 - len(TEXT),
    }
    speak_pieces(1)
    assert again(browser, lost).json() == answer.json()
    assert browser.get(f"{address}progress/").json() == {
        "state": "pending",
        "characters": len(TEXT),
        "characters_spoken": 32,
        "credits": 0,
    }
    speak_pieces(3)
    made = again(browser, lost)
    assert made.status_code == 200 and made.json()["credits"] == 0
    assert browser.get(f"{address}progress/").json() == made.json() | {
        "state": "done",
        "characters": len(TEXT),
        "characters_spoken": len(TEXT),
    }
    assert browser.get(made.json()["audio_url"]).status_code == 200


def test_a_program_that_waits_for_audio_made_again_gets_200(browser, lost, monkeypatch):
    monkeypatch.setattr(answers, "WAIT_SECONDS", 20)
    monkeypatch.setattr(long.time, "sleep", lambda seconds: speak_pieces(1))

    assert again(browser, lost, prefer="respond-async").status_code == 202
    assert again(browser, lost).status_code == 200


def test_stopped_while_it_is_made_again_it_is_as_it_was(browser, lost):
    again(browser, lost)
    speak_pieces(2)
    for _ in range(2):
        answer = browser.post(f"/studio/{lost.id}/stop/", headers={"accept": "application/json"})
        assert answer.json() == {
            "state": "failed",
            "characters": len(TEXT),
            "characters_spoken": 0,
            "credits": 0,
            "failure": "You stopped it. It can be made again at any time. Nothing was charged.",
        }
    assert again(browser, lost).status_code == 202


def test_a_program_that_waits_is_told_that_it_failed(browser, lost, engine, monkeypatch):
    def fail():
        raise EngineFailed("Change it.", permanent=True)

    monkeypatch.setattr(answers, "WAIT_SECONDS", 20)
    monkeypatch.setattr(long.time, "sleep", lambda seconds: speak_pieces(1))
    engine.during = fail

    answer = again(browser, lost)

    assert (answer.status_code, answer.json()) == (
        503,
        {"error": "Change it. Nothing was charged."},
    )


def test_the_pages_show_how_far_it_is_and_a_button_that_gives_it_up(browser, lost):
    answer = browser.post(reverse("again", args=[lost.id]))
    assert answer["Location"] == f"/studio/?done={lost.id}"
    assert browser.post(reverse("again", args=[lost.id]))["Location"] == answer["Location"]
    speak_pieces(1)

    page = browser.get(answer["Location"])

    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in page.text
    text = page.content.decode()
    assert '<h2 id="progress-title">Making it again</h2>' in text
    assert '<span class="n" data-spoken>32</span> of <span class="n" data-all>129</span>' in text
    assert f'action="/studio/{lost.id}/stop/"' in text and "Nothing is charged" in text
    assert f'href="/studio/?done={lost.id}">Being made again' in browser.get("/usage/").text

    answer = browser.post(f"/studio/{lost.id}/stop/", follow=True)
    text = answer.content.decode()
    assert "You stopped it. It can be made again at any time. Nothing was charged." in text
    assert f'action="{reverse("again", args=[lost.id])}"' in text
    assert "Refresh" not in answer.headers and 'http-equiv="refresh"' not in answer.text

    browser.post(reverse("again", args=[lost.id]))
    speak_pieces(5)
    page = browser.get(f"/studio/?done={lost.id}")
    assert reverse("audio", args=[lost.id]) in page.text and "You stopped it" not in page.text


def test_nobody_else_may_stop_what_is_made_again(browser, lost, bob, now):
    again(browser, lost)
    fund(bob, 500, now)
    stranger = Client()
    stranger.force_login(bob.user)

    assert stranger.post(f"/studio/{lost.id}/stop/").status_code == 404
    assert Generation.objects.get().is_making_again

"""Speech is heard by its customer while it is made, and by nobody else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncClient
from django.urls import reverse

from usage.audio import decode
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation
from usage.speech import speak, takes

TEXT = "The first sentence is this one. And the second one is that."
SECOND = bytes(range(200)) * 240  # a second of sound at 24,000 samples


@pytest.fixture
def engine(monkeypatch):
    """Speaks a piece when it is let."""

    class Slow(QuickEngine):
        characters_max = first_characters_max = 100

        def __init__(self):
            super().__init__(self.wait, samples=SECOND)
            self.may_speak = threading.Semaphore(1)
            self.error = None

        def wait(self):
            assert self.may_speak.acquire(timeout=20)
            if self.error:
                raise self.error

    slow = Slow()
    monkeypatch.setattr(speak, "engine", lambda name: slow)
    return slow


async def listen(customer, key):
    client = AsyncClient()
    await client.aforce_login(customer.user)
    return await client.get(reverse("listen"), {"key": key})


def run(story):
    """Run it, and close what its request threads opened: nobody else knows their connections."""

    async def whole():
        try:
            return await story()
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(whole())


def in_thread(customer, now, key="k"):
    def work():
        try:
            return speak.speak(customer=customer, text=TEXT, voice_id="standard", key=key, now=now)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    return ThreadPoolExecutor(1).submit(work)


@pytest.mark.django_db(transaction=True)
def test_the_first_sentence_is_heard_before_the_second_is_made(alice, wallet, now, engine):
    async def story():
        answer = await listen(alice, "k")
        assert (answer.status_code, answer["Content-Type"]) == (200, "audio/mpeg")
        pieces = aiter(answer.streaming_content)
        first = asyncio.ensure_future(anext(pieces))
        speaking = in_thread(alice, now)
        heard = await asyncio.wait_for(first, 20)
        assert heard and not speaking.done()
        engine.may_speak.release()
        rest = [piece async for piece in pieces]
        return heard + b"".join(rest), await asyncio.wrap_future(speaking)

    sound, generation = run(story)

    assert generation.state == Generation.State.DONE
    with decode(sound) as heard:
        assert heard.samples / heard.sample_rate == pytest.approx(2, abs=0.1)
    assert takes._takes == {} and takes._waiting == set()


@pytest.mark.django_db(transaction=True)
def test_a_listener_hears_the_end_when_speech_fails(alice, wallet, now, engine):
    engine.error = EngineFailed("The speech engine is busy.")

    async def story():
        answer = await listen(alice, "k")
        heard = asyncio.ensure_future(_all(answer))
        await asyncio.sleep(0.1)
        speaking = in_thread(alice, now)
        return await asyncio.wait_for(heard, 20), await asyncio.wrap_future(speaking)

    _, failed = run(story)

    assert isinstance(failed, speak.SpeechFailed)
    wallet.refresh_from_db()
    assert wallet.reserved == 0


@pytest.mark.django_db(transaction=True)
def test_somebody_elses_key_is_silence(alice, bob, wallet, now, engine, monkeypatch):
    monkeypatch.setattr(takes.find, "__kwdefaults__", {"seconds": 0.2})

    async def story():
        speaking = in_thread(alice, now)
        assert await takes.find(alice.id, "k", seconds=20)
        heard = await _all(await listen(bob, "k"))
        engine.may_speak.release()
        return heard, await asyncio.wrap_future(speaking)

    heard, generation = run(story)

    assert heard == b"" and generation.state == Generation.State.DONE


@pytest.mark.django_db(transaction=True)
def test_a_listener_who_leaves_is_forgotten(alice, wallet, now, engine):
    async def story():
        speaking = in_thread(alice, now)
        answer = await listen(alice, "k")
        pieces = aiter(answer.streaming_content)
        await asyncio.wait_for(anext(pieces), 20)
        second = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0.1)
        second.cancel()  # what the server does when the client is gone
        await asyncio.gather(second, return_exceptions=True)
        waiting = set(takes._waiting)
        engine.may_speak.release()
        return waiting, await asyncio.wrap_future(speaking)

    waiting, generation = run(story)

    assert waiting == set() and generation.state == Generation.State.DONE


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "two words", "é", "k" * 129])
def test_what_is_no_key_is_not_found(client, alice, key):
    client.force_login(alice.user)
    assert client.get(reverse("listen"), {"key": key}).status_code == 404


@pytest.mark.django_db
def test_a_look_does_not_wait(client, alice):
    client.force_login(alice.user)
    answer = client.head(reverse("listen"), {"key": "k"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "audio/mpeg")


async def _all(answer):
    return b"".join([piece async for piece in answer.streaming_content])

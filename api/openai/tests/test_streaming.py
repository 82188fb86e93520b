"""The answer is on its way before the text is spoken to its end: seen by the server itself."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.db import connections

from billing.models import Wallet
from tests import processes
from usage.models import Generation
from usage.speech.problems import SpeechFailed
from usage.speech.stream import Stream
from vocalis import asgi

from .conftest import SPEECH, all_settled
from .test_speech import PIECES, SIMPLE, TEXT

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = len("The first sentence is this. ")


def request(secret, body):
    """The request as a server gives it to the application."""
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": SPEECH,
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"authorization", f"Bearer {secret}".encode()),
        ],
    }
    return ApplicationCommunicator(asgi.application, scope), json.dumps(body).encode()


def run(story):
    async def whole():
        try:
            return await asyncio.wait_for(story(), 60)
        finally:
            await sync_to_async(connections.close_all)()

    return asyncio.run(whole())


async def begun(secret, body):
    """A request of which the head of the answer is there."""
    server, data = request(secret, body)
    await server.send_input({"type": "http.request", "body": data})
    start = await server.receive_output(timeout=20)
    assert start["status"] == 200
    return server


@pytest.fixture
def slow(engine):
    """An engine that has spoken the first piece only."""
    engine.gate = threading.Semaphore(1)
    return engine


@pytest.mark.parametrize(
    "form", [{"response_format": "pcm"}, {"response_format": "wav"}, {"stream_format": "sse"}]
)
def test_the_first_bytes_are_sent_before_the_second_piece_is_spoken(rich, secret, slow, form):
    async def story():
        server = await begun(secret, SIMPLE | form)
        first = await server.receive_output(timeout=20)
        assert first["more_body"] and len(first["body"]) > 100
        calls = slow.calls
        slow.gate.release(PIECES)
        while (await server.receive_output(timeout=20)).get("more_body"):
            pass
        await server.wait()
        return calls

    assert run(story) <= 2  # of which the second waits at the gate
    assert Wallet.objects.values_list("balance", "reserved").get() == (100_000 - len(TEXT), 0)


def test_a_client_that_leaves_pays_for_what_it_was_sent(rich, secret, slow):
    async def story():
        server = await begun(secret, SIMPLE | {"response_format": "pcm"})
        await server.receive_output(timeout=20)
        await asyncio.sleep(0.2)  # the next piece is asked for
        await server.send_input({"type": "http.disconnect"})
        slow.gate.release(PIECES)
        await server.wait(timeout=20)

    run(story)
    all_settled()

    generation = Generation.objects.get()
    assert (generation.state, generation.credits) == ("done", FIRST)
    assert Wallet.objects.values_list("balance", "reserved").get() == (100_000 - FIRST, 0)


def test_sound_that_fails_half_way_breaks_off_and_is_free(rich, secret, slow):
    slow.fails = 2

    async def story():
        server = await begun(secret, SIMPLE | {"response_format": "pcm"})
        slow.gate.release(PIECES)
        sent = []
        with pytest.raises(SpeechFailed):
            while True:
                sent.append(await server.receive_output(timeout=20))
        return sent

    sent = run(story)

    assert sent and all(each["more_body"] for each in sent)  # never a last one
    assert Wallet.objects.values_list("balance", "reserved").get() == (100_000, 0)


def test_for_a_client_that_leaves_before_the_answer_begins_nothing_more_is_spoken(
    rich, secret, slow, monkeypatch
):
    """It used to be spoken to its end, and stayed reserved ten seconds longer."""
    slow.gate, told = threading.Semaphore(0), threading.Event()
    settle = Stream._settle_in_thread

    def settling(stream):
        settle(stream)
        told.set()

    monkeypatch.setattr(Stream, "_settle_in_thread", settling)

    async def story():
        server, data = request(secret, SIMPLE)
        await server.send_input({"type": "http.request", "body": data})
        await asyncio.to_thread(processes.wait_until, lambda: slow.calls, "the engine")
        await server.send_input({"type": "http.disconnect"})
        await asyncio.sleep(0.1)
        slow.gate.release(1)
        assert await asyncio.to_thread(told.wait, 8)
        slow.gate.release(1_000)
        await sync_to_async(all_settled)()

    run(story)

    assert slow.calls == 2 < PIECES
    assert Generation.objects.values_list("state", flat=True).get() == "failed"
    assert Wallet.objects.values_list("reserved", flat=True).get() == 0

"""Text over sockets: what is sent, what it costs, and how a socket ends."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import connections

from accounts import api_keys
from accounts.models import ApiKey
from api.elevenlabs import contexts, sockets
from api.failures import Failure
from tests.processes import wait_until
from usage.audio.tests.test_encoders import decode
from usage.engines import EngineFailed
from usage.models import Generation
from usage.speech import stream
from usage.speech.stream import Stream

from .conftest import PIECE_SAMPLES, credits

pytestmark = pytest.mark.django_db(transaction=True)

PCM = "output_format=pcm_24000"
FIRST = {"text": " ", "voice_settings": None, "generation_config": {"chunk_length_schedule": [50]}}
SENTENCE = "This is a sentence of more than fifty characters, all told. "


class Talk:
    """A client of one socket."""

    def __init__(self, communicator):
        self._communicator = communicator
        self.closed = None

    async def send(self, *messages):
        for message in messages:
            text = message if isinstance(message, str) else json.dumps(message)
            await self._communicator.send_input({"type": "websocket.receive", "text": text})

    async def leave(self):
        await self._communicator.send_input({"type": "websocket.disconnect", "code": 1006})
        await self._communicator.wait(20)

    async def next(self):
        """The next message, None at the end."""
        output = await self._communicator.receive_output(20)
        if output["type"] == "websocket.close":
            self.closed = output["code"], output["reason"]
            await self._communicator.wait(20)
            return None
        return json.loads(output["text"])

    async def rest(self):
        found = []
        while (message := await self.next()) is not None:
            found.append(message)
        return found


@asynccontextmanager
async def opened(secret, query=PCM, kind="stream-input", voice="standard-ava"):
    scope = {
        "type": "websocket",
        "path": f"/v1/text-to-speech/{voice}/{kind}",
        "query_string": query.encode(),
        "headers": [(b"xi-api-key", secret.encode())] if secret else [],
    }
    communicator = ApplicationCommunicator(sockets.serve, scope)
    await communicator.send_input({"type": "websocket.connect"})
    assert (await communicator.receive_output(20))["type"] == "websocket.accept"
    yield Talk(communicator)
    await communicator.wait(20)
    assert sockets._open == 0


def talk(secret, *messages, **where):
    """Send all messages and read to the end; the answers, and how it was closed."""

    async def story():
        async with opened(secret, **where) as client:
            await client.send(*messages)
            return await client.rest(), client.closed

    return asyncio.run(story())


def sound(answers):
    return b"".join(base64.b64decode(each["audio"]) for each in answers if each.get("audio"))


def characters(answers, name="alignment"):
    return "".join("".join((each.get(name) or {}).get("chars", [])) for each in answers)


def test_text_in_bits_is_spoken_and_ends_with_1000(secret, alice, wallet, engine):
    answers, closed = talk(
        secret, FIRST, {"text": SENTENCE}, {"text": "And the "}, {"text": "rest. "}, {"text": ""}
    )

    assert answers[-1] == {"audio": None, "isFinal": True}
    assert closed == (1000, "")
    assert all(each["isFinal"] is None for each in answers[:-1])
    assert characters(answers) == SENTENCE + "And the rest. "
    assert characters(answers, "normalizedAlignment") == characters(answers)
    assert len(sound(answers)) == engine.calls * PIECE_SAMPLES * 2
    texts = list(Generation.objects.order_by("created_at").values_list("text", flat=True))
    assert texts == [SENTENCE, "And the rest. "]
    assert credits(alice) == (500 - len(SENTENCE) - 14, 0)
    assert Generation.objects.first().api_key == ApiKey.objects.get()


def test_times_are_relative_to_each_message(secret, wallet, engine):
    answers, _ = talk(secret, FIRST, {"text": SENTENCE}, {"text": "Café ends. "}, {"text": ""})

    for each in answers[:-1]:
        found = each["alignment"]
        assert found["charDurationsMs"] == found["charsDurationsMs"]
        assert (
            len(found["chars"]) == len(found["charStartTimesMs"]) == len(found["charDurationsMs"])
        )
        assert found["charStartTimesMs"][0] == 0
        assert found["charStartTimesMs"][-1] + found["charDurationsMs"][-1] <= 500


@pytest.mark.parametrize(
    ("messages", "chunks"),
    [
        ([{"text": "Short. "}], ["Short. "]),
        ([{"text": "Short. ", "flush": True}, {"text": "More. "}], ["Short. ", "More. "]),
        ([{"text": SENTENCE * 2}], [SENTENCE * 2]),
        ([{"text": SENTENCE, "try_trigger_generation": True}, {"text": "b"}], [SENTENCE, "b"]),
        ([{"text": "a"}, {"text": None}, {"flush": True}, {"text": "b"}], ["a", "b"]),
    ],
)
def test_what_is_spoken_at_once(secret, wallet, engine, messages, chunks):
    first = {"text": " "}  # the schedule is the usual one
    talk(secret, first, *messages, {"text": ""})

    found = list(Generation.objects.order_by("created_at").values_list("text", flat=True))
    assert found == chunks


def test_automatic_mode_speaks_each_message(secret, wallet, engine):
    talk(secret, FIRST, {"text": "One. "}, {"text": "Two. "}, {"text": ""}, query="auto_mode=true")

    assert Generation.objects.count() == 2


def test_audio_comes_before_the_text_is_complete(secret, wallet, engine):
    async def story():
        async with opened(secret) as client:
            await client.send(FIRST, {"text": SENTENCE})
            first = await client.next()
            await client.send({"text": ""})
            return first, await client.rest()

    first, rest = asyncio.run(story())
    assert first["audio"]
    assert rest[-1]["isFinal"] is True


@pytest.mark.parametrize("name", ["mp3_44100_128", "opus_48000_64", "wav_16000", "ulaw_8000"])
def test_all_messages_together_are_one_sound(secret, wallet, engine, name):
    codec, rate = name.split("_")[:2]
    answers, _ = talk(
        secret,
        FIRST,
        {"text": SENTENCE},
        {"text": "And more."},
        {"text": ""},
        query=f"output_format={name}",
    )

    seconds = len(decode(codec, sound(answers), int(rate))) / int(rate)
    assert seconds == pytest.approx(engine.calls * PIECE_SAMPLES / 24_000, abs=0.1)


def test_a_flush_of_mp3_keeps_nothing_back(secret, wallet, engine):
    async def story():
        async with opened(secret, query="output_format=mp3_44100_128") as client:
            await client.send(FIRST, {"text": "One.", "flush": True})
            got = [await client.next(), await client.next()]
            await client.send({"text": ""})
            assert (await client.rest())[-1]["isFinal"]
            return got

    got = asyncio.run(story())
    assert len(decode("mp3", sound(got), 44_100)) >= PIECE_SAMPLES * 44_100 // 24_000


def test_the_speed_of_the_first_message_is_obeyed(secret, wallet, engine):
    talk(secret, {"text": " ", "voice_settings": {"speed": 1.5}}, {"text": "a"}, {"text": ""})

    assert engine.speeds == [1.5]


@pytest.mark.parametrize("where", ["query", "bearer", "first", "first_bearer"])
def test_the_key_may_come_in_other_ways(secret, wallet, engine, where):
    query, first = PCM, dict(FIRST)
    if where == "query":
        query += f"&authorization={secret}"
    elif where == "bearer":
        query += f"&authorization=Bearer%20{secret}"
    elif where == "first":
        first["xi_api_key"] = secret
    else:
        first["authorization"] = f"Bearer {secret}"

    _, closed = talk("", first, {"text": "a"}, {"text": ""}, query=query)

    assert closed == (1000, "")


REFUSED = {
    "no key": ({"secret": ""}, [FIRST], "invalid_api_key"),
    "a wrong key": ({"secret": "vk_x"}, [FIRST], "invalid_api_key"),
    "a token": ({"secret": "", "query": "single_use_token=x"}, [FIRST], "invalid_api_key"),
    "no voice": ({"voice": "nobody"}, [FIRST], "voice_not_found"),
    "no format": ({"query": "output_format=x"}, [FIRST], "invalid_request"),
    "no model": ({"query": "model_id=tts-1"}, [FIRST], "invalid_request"),
    "no patience": ({"query": "inactivity_timeout=181"}, [FIRST], "invalid_request"),
    "no JSON": ({}, ["{"], "invalid_request"),
    "no object": ({}, ["[]"], "invalid_request"),
    "no text": ({}, [FIRST, {"text": 5}], "invalid_request"),
    "no schedule": ({}, [{"generation_config": {"chunk_length_schedule": [1]}}], "invalid_request"),
    "no speed": ({}, [{"text": " ", "voice_settings": {"speed": "x"}}], "invalid_request"),
    "too fast": (
        {},
        [{"text": " ", "voice_settings": {"speed": 9}}, {"text": "a", "flush": True}],
        "refused",
    ),
    "too much": ({}, [FIRST, {"text": "word " * 2_500}], "too_much_text"),
    "far too much": ({}, [FIRST, {"text": "word " * 10_000}], "invalid_request"),
    "no credits": ({}, [FIRST, {"text": "word " * 101, "flush": True}], "quota_exceeded"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_said_before_the_socket_closes(case, secret, alice, wallet, engine):
    where, messages, code = REFUSED[case]

    answers, closed = talk(
        where.get("secret", secret),
        *messages,
        **{name: value for name, value in where.items() if name != "secret"},
    )

    assert answers[-1]["error"] == code
    assert answers[-1]["code"] == closed[0] == 1008
    assert answers[-1]["message"].startswith(closed[1].rstrip("…")[:50])
    assert credits(alice)[1] == 0


def test_a_socket_without_text_ends_after_a_while(secret, wallet, engine):
    answers, closed = talk(secret, FIRST, query=f"{PCM}&inactivity_timeout=1")

    assert answers[-1]["error"] == "input_timeout_exceeded"
    assert closed[0] == 1008


def test_a_chunk_that_fails_is_told_and_costs_nothing(secret, alice, wallet, engine):
    def broken():
        raise EngineFailed("It broke.")

    engine.during = broken
    answers, closed = talk(secret, FIRST, {"text": "a", "flush": True})

    assert answers[-1]["error"] == "speech_failed"
    assert closed[0] == 1008
    assert credits(alice) == (500, 0)


def test_a_fault_of_ours_is_told_in_words(secret, alice, wallet, engine, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("a fault")

    monkeypatch.setattr(contexts.stream, "begin", broken)
    answers, closed = talk(secret, FIRST, {"text": "a", "flush": True})

    assert answers[-1]["error"] == "internal_error"
    assert "fault" not in answers[-1]["message"]
    assert closed[0] == 1011


def test_a_client_that_leaves_pays_for_what_was_sent_and_not_for_what_waits(
    secret, alice, wallet, engine
):
    async def story():
        async with opened(secret) as client:
            await client.send(FIRST, {"text": SENTENCE}, {"text": "Buffered text."})
            assert (await client.next())["audio"]
            await asyncio.sleep(0.5)
            await client.leave()

    asyncio.run(story())

    assert credits(alice) == (500 - len(SENTENCE), 0)
    assert Generation.objects.count() == 1


def test_for_a_client_that_leaves_before_the_first_sound_nothing_more_is_spoken(
    secret, alice, wallet, engine, monkeypatch
):
    """It used to be spoken to its end, and stayed reserved ten seconds longer."""
    gate, asked, told = threading.Semaphore(0), threading.Event(), threading.Event()
    settle = Stream._settle_in_thread

    def settling(stream):
        settle(stream)
        told.set()

    def waits():
        asked.set()
        gate.acquire(timeout=20)

    monkeypatch.setattr(Stream, "_settle_in_thread", settling)
    engine.during = waits

    async def story():
        async with opened(secret) as client:
            await client.send(FIRST, {"text": SENTENCE * 6, "flush": True})
            assert await asyncio.to_thread(asked.wait, 20)
            await client.leave()
        gate.release(1)
        assert await asyncio.to_thread(told.wait, 8)
        gate.release(100)

    asyncio.run(story())
    wait_until(lambda: stream.running() == 0, "the stream's end")

    assert engine.calls == 2
    assert Generation.objects.get().state == Generation.State.FAILED
    assert credits(alice) == (500, 0)


def test_a_key_that_is_revoked_meanwhile_speaks_no_more(secret, alice, wallet, engine, now):
    def revoke():
        api_keys.revoke(ApiKey.objects.get(), now)
        connections.close_all()

    async def story():
        async with opened(secret) as client:
            await client.send(FIRST, {"text": SENTENCE})
            await client.next()
            await asyncio.to_thread(revoke)
            await client.send({"text": SENTENCE})
            return await client.rest()

    assert asyncio.run(story())[-1]["error"] == "invalid_api_key"


def test_no_more_sockets_than_the_process_has_room_for(secret, wallet, engine, monkeypatch):
    monkeypatch.setattr(sockets, "SOCKETS_MAX", 0)

    answers, closed = talk(secret, FIRST)

    assert answers[-1]["error"] == "system_busy"
    assert closed[0] == 1008


def test_each_chunk_is_a_request_of_its_key(secret, wallet, engine, monkeypatch):
    entered, left = [], []
    admission = SimpleNamespace(is_to_be_extended=False, leave=lambda: left.append(1))

    def enter(key, now):
        entered.append(key)
        if len(entered) > 2:
            raise Failure(429, "rate_limit_exceeded", "Too many.")
        return admission

    monkeypatch.setattr(contexts.limits, "enter", enter)
    bits = [{"text": f"{n}.", "flush": True} for n in "abc"]
    answers, closed = talk(secret, FIRST, *bits, {"text": ""})

    assert (len(entered), len(left)) == (3, 2)
    assert characters(answers) == "a.b."
    assert answers[-1]["error"] == "too_many_concurrent_requests"
    assert closed[0] == 1008


def multi(secret, *messages, query=PCM):
    return talk(secret, *messages, kind="multi-stream-input", query=query)


def of(answers, name):
    found = [each for each in answers if each["contextId"] == name]
    assert all(each["context_id"] == name for each in found)
    return found


def test_several_texts_at_once_each_under_its_name(secret, alice, wallet, engine):
    answers, closed = multi(
        secret,
        {"context_id": "a", "text": " ", "voice_settings": {"speed": 1.1}},
        {"contextId": "b", "text": "Of b. "},
        {"context_id": "a", "text": "Of a. "},
        {"text": ""},
        {"context_id": "a", "text": ""},
        {"context_id": "a", "flush": True},
        {"context_id": "a", "close_context": True},
        {"close_socket": True},
    )

    assert closed == (1000, "")
    for name, text in (("a", "Of a. "), ("b", "Of b. ")):
        found = of(answers, name)
        assert found[-1]["isFinal"] is True
        assert [each for each in found if each["isFinal"]] == found[-1:]
        assert characters(found) == text
    assert credits(alice) == (500 - 12, 0)


def test_a_context_that_is_closed_speaks_no_more_and_its_name_can_be_used_again(
    secret, alice, wallet, engine
):
    answers, _ = multi(
        secret,
        {"context_id": "a", "text": "Only buffered."},
        {"context_id": "a", "close_context": True},
        {"context_id": "a", "close_context": True},
        {"context_id": "a", "text": "Again."},
        {"close_socket": True},
    )

    assert characters(answers) == "Again."
    assert credits(alice) == (500 - 6, 0)


def test_what_fails_in_a_context_is_its_own_affair(secret, alice, wallet, engine):
    answers, closed = multi(
        secret,
        {"context_id": "a", "text": "word " * 101, "flush": True},
        {"context_id": "b", "text": "Fine."},
        {"context_id": "c", "text": 5},
        {"close_socket": True},
    )

    assert closed[0] == 1000
    assert of(answers, "a")[-1]["error"] == "quota_exceeded"
    assert of(answers, "c")[-1]["error"] == "invalid_request"
    assert characters(of(answers, "b")) == "Fine."
    assert credits(alice) == (495, 0)


def test_a_socket_has_so_many_contexts(secret, wallet, engine, monkeypatch):
    monkeypatch.setattr(sockets, "CONTEXTS_MAX", 1)

    answers, _ = multi(
        secret,
        {"context_id": "a", "text": "a"},
        {"context_id": "b", "text": "b"},
        {"close_socket": True},
    )

    assert of(answers, "b")[-1]["error"] == "too_many_contexts"
    assert characters(of(answers, "a")) == "a"


def test_a_wrong_key_ends_a_socket_of_several_texts(wallet, engine):
    answers, closed = multi("vk_x", {"context_id": "a", "text": " "})

    assert answers[-1]["error"] == "invalid_api_key"
    assert closed[0] == 1008

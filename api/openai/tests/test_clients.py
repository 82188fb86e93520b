"""OpenAI's own clients, unmodified, against the running product with its default voice."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import openai
import pytest

from accounts import api_keys
from api.openai import fields
from api.openai.models import MODELS
from billing import keys
from billing.models import Wallet
from conftest import fund, make_customer
from tests import nodejs, processes
from usage.audio.tests.test_encoders import decode
from usage.engines.remote.tests.contract_server import ContractServer
from usage.models import Generation
from usage.speech import speak
from usage.speech.asked import Asked
from usage.voiceprint.tests import samples as samples_of_voices

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(700),
]

SIMPLE = {"model": "tts-1", "voice": "alloy", "input": "Hello there."}
FORMATS = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
RATE = 24_000
SECONDS = (0.5, 3)  # that the text takes
COPIES = "model=m&voices=alloy&label=Studio&clones=yes"
BROKEN = "remote-broken-nobody"  # a voice of a speech server that always fails
# How a request fails: what is changed of it, and what follows. Status, class in both languages,
# code, and how many requests the client makes of it by itself.
FAILING = {
    "field": ({"change": {"speed": 9}}, 400, "BadRequestError", "invalid_value", 1),
    "long": ({"change": {"input": "a" * 4_097}}, 400, "BadRequestError", fields.TOO_LONG, 1),
    "key": ({"key": "wrong"}, 401, "AuthenticationError", "invalid_api_key", 1),
    "scope": ({"key": "reading"}, 403, "PermissionDeniedError", "insufficient_scope", 1),
    "model": ({"change": {"model": "gpt-5"}}, 404, "NotFoundError", "model_not_found", 1),
    "busy": ({"headers": {"Idempotency-Key": "busy"}}, 409, "ConflictError", "still_running", 3),
    "reused": (
        {"headers": {"Idempotency-Key": "used"}, "change": {"input": "Else."}},
        422,
        "UnprocessableEntityError",
        "key_reused",
        1,
    ),
    "credits": ({"key": "poor"}, 429, "RateLimitError", "insufficient_quota", 1),
    "budget": ({"key": "small"}, 429, "RateLimitError", "insufficient_quota", 1),
    "engine": ({"change": {"voice": BROKEN}}, 503, "InternalServerError", "speech_failed", 3),
}


class Broken(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_error(500)

    do_GET = do_POST

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def broken_speech_server():
    """Its entry in SPEECH_SERVERS."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as broken:
        threading.Thread(target=broken.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{broken.server_port}/v1?model=m&voices=nobody&label=broken"
        broken.shutdown()


@pytest.fixture(scope="module")
def copier():
    """A speech server that makes copies of voices."""
    copier = ContractServer()
    yield copier
    copier.die()


@pytest.fixture(scope="module")
def recording():
    """Some seconds in which a woman speaks, as a WAV file."""
    spoken = samples_of_voices.speech()
    return samples_of_voices.written(samples_of_voices.numbers(spoken), spoken.sample_rate, "WAV")


@pytest.fixture(scope="module")
def server(django_db_setup, broken_speech_server, copier, tmp_path_factory):
    """A web process, its address for OpenAI's clients, and the requests that failed."""
    folder = tmp_path_factory.mktemp("server")
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url="http://localhost:1",
        MEDIA_ROOT=str(folder / "audio"),
        SPEECH_HELPERS="1",
        THROTTLE="off",
        SPEECH_SERVERS=f"{broken_speech_server}, {copier.address}?{COPIES}",
    )
    log = folder / "access.log"

    def failed() -> list[int]:
        """The statuses of all requests for speech that failed, in their order."""
        return [int(n) for n in re.findall(r'"POST /v1/audio/speech" ([45]..)', log.read_text())]

    options = ("--access-log", str(log))
    with processes.web(folder / "web.log", env, *options) as client:
        yield SimpleNamespace(address=f"{client.base_url}/v1", failed=failed)


@pytest.fixture
def secrets(alice, bob, now):
    """Keys of alice, who has credits; one of bob's, who has next to none; and requests that were
    made before."""
    fund(alice, 1_000_000, now)
    fund(bob, 3, now)

    def key(customer=alice, **fields):
        return keys.create(customer=customer, name="k", now=now, **fields)[1]

    made = {
        "good": key(),
        "cloning": key(scopes=["speech", "read", "voices"]),
        "reading": key(scopes=["read"]),
        "small": key(limit=3),
        "poor": key(bob),
        "wrong": "sk-" + "a" * 40,
    }
    asked = Asked(
        api_key_id=api_keys.find(made["good"], now).pk,
        answer=fields.read(json.dumps(SIMPLE).encode()).answer,
        is_streamed=True,
    )
    for name in ("busy", "used"):
        speak.begin(
            customer=alice,
            text=SIMPLE["input"],
            voice_id="standard-ava",
            key=name,
            now=now,
            asked=asked,
        )
    # However long the test takes, it is still being spoken.
    Generation.objects.update(taken_at=now + timedelta(hours=1))
    return made


@pytest.fixture
def client(server):
    """A client with that key, closed after the test."""
    made = []

    def making(secret):
        how = {"_strict_response_validation": True, "timeout": 100}
        made.append(openai.OpenAI(api_key=secret, base_url=server.address, **how))
        return made[-1]

    yield making
    for each in made:
        each.close()


def samples(form, data):
    return len(decode(form, data, 48_000 if form == "opus" else RATE))


def is_speech(form, data):
    rate = 48_000 if form == "opus" else RATE
    return SECONDS[0] * rate < samples(form, data) < SECONDS[1] * rate


def deltas(text):
    """The sound of an answer in events, of which the last says how much it was."""
    *deltas, done = [json.loads(line[6:]) for line in text.strip().split("\n\n")]
    assert {each["type"] for each in deltas} == {"speech.audio.delta"}
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["total_tokens"] == len(SIMPLE["input"])
    return b"".join(base64.b64decode(each["audio"]) for each in deltas)


@pytest.mark.any_database  # what the package reads of answers; test_speech asks for them
def test_python_speaks_in_every_format(client, secrets):
    ours = client(secrets["good"])

    for form, content_type in FORMATS.items():
        raw = ours.audio.speech.with_raw_response.create(**SIMPLE, response_format=form)
        assert raw.headers["content-type"] == content_type
        assert raw.headers["vocalis-credits"] == str(len(SIMPLE["input"]))
        assert raw.headers["x-request-id"]
        assert is_speech(form, raw.content)
    assert ours.audio.speech.create(**SIMPLE | {"input": "."}).content  # as Home Assistant asks
    assert Wallet.objects.get(customer__user__first_name="Alice").balance < 1_000_000


@pytest.mark.any_database
def test_python_reads_it_as_it_comes(client, server, secrets, tmp_path):
    ours = client(secrets["good"])

    with ours.audio.speech.with_streaming_response.create(**SIMPLE, response_format="wav") as got:
        assert got.http_response.headers["transfer-encoding"] == "chunked"
        got.stream_to_file(tmp_path / "a.wav")
    assert is_speech("wav", (tmp_path / "a.wav").read_bytes())
    how = {"response_format": "pcm", "stream_format": "sse"}
    with ours.audio.speech.with_streaming_response.create(**SIMPLE, **how) as got:
        assert got.headers["content-type"] == "text/event-stream"
        assert is_speech("pcm", deltas(got.text()))

    async def story():
        async with openai.AsyncOpenAI(api_key=secrets["good"], base_url=server.address) as theirs:
            whole = await theirs.audio.speech.create(**SIMPLE, response_format="pcm")
            creating = theirs.audio.speech.with_streaming_response.create
            async with creating(**SIMPLE, response_format="pcm") as got:
                pieces = [piece async for piece in got.iter_bytes()]
        return whole.content, b"".join(pieces)

    one, two = asyncio.run(story())
    assert one == two and is_speech("pcm", one)


@pytest.mark.any_database
def test_python_lists_models(client, secrets):
    ours = client(secrets["good"])

    assert [each.id for each in ours.models.list()] == list(MODELS)
    assert ours.models.retrieve("tts-1").object == "model"
    with pytest.raises(openai.NotFoundError):
        ours.models.retrieve("gpt-5")


@pytest.mark.any_database
@pytest.mark.parametrize("name", FAILING)
def test_python_raises_what_a_program_expects(client, server, secrets, name):
    how, status, kind, code, requests = FAILING[name]
    before = len(server.failed())

    with pytest.raises(getattr(openai, kind)) as failed:
        client(secrets[how.get("key", "good")]).audio.speech.create(
            **SIMPLE | how.get("change", {}), extra_headers=how.get("headers", {})
        )

    error = failed.value
    assert type(error).__name__ == kind
    assert (error.status_code, error.code) == (status, code)
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.request_id
    processes.wait_until(lambda: len(server.failed()) >= before + requests, "log of requests")
    assert server.failed()[before:] == [status] * requests


def test_python_gets_the_same_answer_for_the_same_key(client, secrets):
    ours = client(secrets["good"]).audio.speech.with_raw_response
    first, again = (
        ours.create(**SIMPLE, response_format="pcm", extra_headers={"Idempotency-Key": "k"})
        for _ in range(2)
    )

    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["vocalis-credits"] == "0"
    assert again.content == first.content


def test_a_python_program_that_leaves_pays_for_what_it_was_sent(client, now):
    carol = make_customer("carol@example.com", "Carol")
    fund(carol, 10_000, now)
    secret = keys.create(customer=carol, name="k", now=now)[1]
    sentence = "This is one of many sentences, and all of them are spoken one after the other. "
    text = (sentence * 60)[:4_000]
    ours = client(secret)

    how = {"response_format": "wav", "speed": 0.25}  # more than the network keeps
    with ours.audio.speech.with_streaming_response.create(**SIMPLE | {"input": text}, **how) as got:
        next(got.iter_bytes(4_096))

    processes.wait_until(
        lambda: not Generation.objects.filter(customer=carol, state="pending").exists(), "charge"
    )
    generation = Generation.objects.get(customer=carol)
    assert generation.state == "done"
    # How much was sent depends on the machine; that the rest is free is held by `test_stream.py`.
    assert 0 < generation.credits <= len(text)
    wallet = Wallet.objects.get(customer=carol)
    assert (wallet.balance, wallet.reserved) == (10_000 - generation.credits, 0)


@pytest.mark.any_database
def test_python_makes_a_voice_and_speaks_with_it(client, copier, secrets, recording):
    ours = client(secrets["cloning"])
    file = ("voice.wav", recording, "audio/wav")

    given = ours.audio.voice_consents.create(name="Alice", language="en-US", recording=file)
    made = ours.audio.voices.create(name="Mine", consent=given.id, audio_sample=file)
    sound = ours.audio.speech.create(
        **SIMPLE | {"voice": {"id": made.id}}, response_format="pcm"
    ).content

    assert (given.object, made.object, made.type) == (
        "audio.voice_consent",
        "audio.voice",
        "audio_sample",
    )
    assert SECONDS[0] < len(sound) / 2 / RATE < SECONDS[1]
    assert copier.asked[-1]["voice"]["id"] in copier.kept["voices"]
    assert [each.id for each in ours.audio.voice_consents.list()] == [given.id]
    assert ours.audio.voice_consents.update(given.id, name="Else").name == "Else"
    assert ours.audio.voice_consents.retrieve(given.id).name == "Else"
    with pytest.raises(openai.BadRequestError, match="10 seconds|at least 10"):
        ours.audio.voices.create(
            name="Short", consent=given.id, audio_sample=("a.wav", recording[:100_000])
        )
    assert ours.audio.voices.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        ours.audio.voices.delete(made.id)
    assert ours.audio.voice_consents.delete(given.id).deleted
    with pytest.raises(openai.BadRequestError) as gone:
        ours.audio.speech.create(**SIMPLE | {"voice": {"id": made.id}})
    assert gone.value.param == "voice"


@pytest.mark.any_database
def test_a_program_in_node(server, secrets, recording, tmp_path):
    before = len(server.failed())
    (tmp_path / "voice.wav").write_bytes(recording)
    asked = {
        "baseURL": server.address,
        "keys": secrets,
        "folder": str(tmp_path),
        "formats": list(FORMATS),
        "failing": {name: row[0] for name, row in FAILING.items()},
    }

    seen = nodejs.run(Path(__file__).with_name("client.mjs"), asked, seconds=300)

    for form, content_type in FORMATS.items():
        assert seen["formats"][form] == {"type": content_type, "credits": "12"}
        assert is_speech(form, (tmp_path / f"node.{form}").read_bytes())
    assert SECONDS[0] < seen["streamed"] / 2 / RATE < SECONDS[1]
    assert is_speech("pcm", deltas(seen["events"]))
    assert seen["again"] == ["true", "0"]
    assert seen["models"] == list(MODELS)
    assert seen["model"]["id"] == "tts-1-hd"
    assert seen["voice"]["object"] == "audio.voice"
    assert SECONDS[0] < seen["voice"]["bytes"] / 2 / RATE < SECONDS[1]
    assert seen["voice"]["consents"] == [seen["voice"]["consent"]]
    assert seen["voice"]["deleted"] == [True, True]
    statuses = []
    for name, (_, status, kind, code, requests) in FAILING.items():
        error = seen["errors"][name]
        assert (error["class"], error["status"], error["code"]) == (kind, status, code)
        assert error["message"] and error["id"]
        statuses += [status] * requests
    processes.wait_until(lambda: len(server.failed()) >= before + len(statuses), "log of requests")
    assert server.failed()[before:] == statuses

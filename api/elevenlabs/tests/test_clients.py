"""ElevenLabs' own clients, unmodified, against the running product with its default voice."""

from __future__ import annotations

import base64
import json
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from elevenlabs import ElevenLabs, VoiceSettings
from elevenlabs.core.api_error import ApiError
from elevenlabs.errors import UnprocessableEntityError
from websockets.sync.client import connect

from api.elevenlabs.models import MODELS
from billing import keys
from billing.models import Wallet
from conftest import fund
from tests import nodejs, processes
from usage.audio.tests.test_encoders import decode
from usage.models import Generation
from usage.voiceprint.tests import samples

from .tls import encrypted

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(700),
]

TEXT = "Hello there. How are you?"
VOICE = "EXAVITQu4vr4xnSDxMaL"
RATE = 24_000
SECONDS = (1, 5)  # that the text takes


@pytest.fixture(scope="module")
def server(django_db_setup, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url="http://localhost:1",
        MEDIA_ROOT=str(folder / "audio"),
        AUDIO_CACHE=str(folder / "cache"),
        SPEECH_HELPERS="1",
    )
    with processes.web(folder / "web.log", env) as client:
        yield SimpleNamespace(
            address=str(client.base_url), port=client.base_url.port, log=folder / "web.log"
        )
    assert "Traceback" not in (folder / "web.log").read_text()


@pytest.fixture
def secret(alice, now):
    fund(alice, 100_000, now)
    scopes = ["speech", "read", "voices"]
    return keys.create(customer=alice, name="k", scopes=scopes, now=now)[1]


@pytest.fixture(scope="module")
def recording():
    """Some seconds in which a woman speaks, as a WAV file."""
    spoken = samples.speech()
    return samples.written(samples.numbers(spoken), spoken.sample_rate, "WAV")


@pytest.fixture
def connect_with(server):
    """A client with that key, whose connections are closed at the end."""
    with ExitStack() as opened:

        def made(secret, address=server.address):
            http = opened.enter_context(processes.direct(timeout=100))
            return ElevenLabs(base_url=address, api_key=secret, httpx_client=http)

        yield made


@pytest.fixture
def client(connect_with, secret):
    return connect_with(secret)


def is_speech(data, codec="mp3", rate=44_100):
    return SECONDS[0] * rate < len(decode(codec, data, rate)) < SECONDS[1] * rate


@pytest.mark.any_database  # what the package reads of answers; its neighbours ask for them
def test_python_speaks(client):
    assert is_speech(b"".join(client.text_to_speech.convert(VOICE, text=TEXT)))
    whole = client.text_to_speech.convert(
        "standard-ava",
        text=TEXT,
        model_id="eleven_flash_v2_5",
        output_format="pcm_24000",
        voice_settings=VoiceSettings(stability=0.1, similarity_boost=1, style=0, speed=0.8),
        seed=3,
        language_code="en",
        previous_text="Before.",
    )
    assert is_speech(b"".join(whole), "pcm", RATE)
    with client.text_to_speech.with_raw_response.convert(VOICE, text=TEXT) as raw:
        assert raw.headers["character-cost"] == str(len(TEXT))
        assert raw.headers["history-item-id"]
        assert is_speech(b"".join(raw.data))


@pytest.mark.any_database
def test_python_hears_it_while_it_is_made(client):
    text = "This is one of many sentences, all spoken one after the other. " * 40
    began = time.monotonic()
    stream = client.text_to_speech.stream(VOICE, text=text, output_format="pcm_24000")
    next(stream)
    first = time.monotonic() - began
    assert len(list(stream)) > 5
    assert first < (time.monotonic() - began) / 2


@pytest.mark.any_database
def test_python_gets_timestamps(client):
    whole = client.text_to_speech.convert_with_timestamps(VOICE, text=TEXT)
    assert is_speech(base64.b64decode(whole.audio_base_64))
    assert "".join(whole.alignment.characters) == TEXT
    assert whole.alignment.character_end_times_seconds[-1] > 1
    parts = list(client.text_to_speech.stream_with_timestamps(VOICE, text=TEXT))
    assert is_speech(b"".join(base64.b64decode(part.audio_base_64) for part in parts))
    characters = [part.alignment.characters for part in parts if part.alignment]
    assert "".join(sum(characters, [])) == TEXT


@pytest.mark.any_database
def test_python_looks_at_what_there_is(client, alice):
    b"".join(client.text_to_speech.convert(VOICE, text=TEXT))

    voices = client.voices.get_all().voices
    assert voices[0].voice_id == "standard-ava" and voices[0].category == "premade"
    found = client.voices.search(search="ava", page_size=1)
    assert found.voices[0].name == "Ava" and found.has_more is False
    assert client.voices.get(VOICE).name == "Ava"
    assert client.voices.settings.get_default().stability == 0.5
    assert client.voices.settings.get("standard-ava").speed == 1.0
    assert [model.model_id for model in client.models.list()] == list(MODELS)
    user = client.user.get()
    assert user.subscription.character_limit - user.subscription.character_count == 99_975
    assert client.user.subscription.get().status == "free"
    now_ms = int(time.time() * 1_000)
    usage = client.usage.get(start_unix=now_ms - 3_600_000, end_unix=now_ms + 1_000)
    assert sum(usage.usage["All"]) == len(TEXT)


@pytest.mark.any_database
def test_python_makes_a_voice_and_speaks_with_it(client, alice, recording):
    made = client.voices.ivc.create(name="Mine", files=[("a.wav", recording, "audio/wav")])

    assert made.requires_verification is False
    voice = client.voices.get(made.voice_id)
    assert (voice.name, voice.category, voice.is_owner) == ("Mine", "cloned", True)
    assert Wallet.objects.get(customer=alice).balance == 75_000
    assert is_speech(b"".join(client.text_to_speech.convert(made.voice_id, text=TEXT)))
    assert client.voices.update(made.voice_id, name="Better").status == "ok"
    assert client.voices.search(search="Better").voices[0].voice_id == made.voice_id
    with pytest.raises(UnprocessableEntityError) as refused:
        client.voices.ivc.create(name="Short", files=[("a.wav", recording[:100_000])])
    assert refused.value.body["detail"][0]["loc"] == ["body", "files"]
    with pytest.raises(UnprocessableEntityError):
        client.voices.ivc.create(name="Two", files=[recording, recording])
    assert client.voices.delete(made.voice_id).status == "ok"
    with pytest.raises(ApiError):
        client.voices.get(made.voice_id)


@pytest.mark.any_database
def test_python_goes_through_the_history(client):
    for text in ("One.", "Two.", "Three."):
        b"".join(client.text_to_speech.convert(VOICE, text=text))

    page = client.history.list(page_size=2)
    assert [item.text for item in page.history] == ["Three.", "Two."]
    rest = client.history.list(start_after_history_item_id=page.last_history_item_id)
    assert [item.text for item in rest.history] == ["One."] and not rest.has_more
    item = rest.history[0]
    assert item.character_count_change_to - item.character_count_change_from == 4
    assert decode("mp3", b"".join(client.history.get_audio(item.history_item_id)), 44_100).any()
    ids = [each.history_item_id for each in page.history]
    assert b"".join(client.history.download(history_item_ids=ids)).startswith(b"PK")
    client.history.delete(item.history_item_id)
    with pytest.raises(ApiError) as gone:
        client.history.get(item.history_item_id)
    assert gone.value.status_code == 404


@pytest.mark.any_database
def test_python_raises_what_a_program_expects(connect_with, client, bob, now):
    def failing(client, voice=VOICE, text=TEXT, **more):
        with pytest.raises(ApiError) as failed:
            b"".join(client.text_to_speech.convert(voice, text=text, **more))
        return failed.value

    def detail(error):
        return error.body["detail"]["status"]

    poor = keys.create(customer=bob, name="k", now=now)[1]
    wrong = failing(connect_with("x"))
    assert (wrong.status_code, detail(wrong)) == (401, "invalid_api_key")
    quota = failing(connect_with(poor))
    assert (quota.status_code, detail(quota)) == (401, "quota_exceeded")
    voice = failing(client, voice="nobody")
    assert (voice.status_code, detail(voice)) == (404, "voice_not_found")
    long = failing(client, text="a" * 5_001)
    assert (long.status_code, detail(long)) == (400, "text_too_long")
    assert isinstance(failing(client, output_format="x"), UnprocessableEntityError)


@pytest.mark.any_database
@pytest.mark.filterwarnings("ignore:ConnectionClosed.* is deprecated:DeprecationWarning")
def test_python_speaks_over_a_socket(server, connect_with, secret, alice, tmp_path, monkeypatch):
    with encrypted(server.port, tmp_path) as (port, certificate):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        live = connect_with(secret, f"https://127.0.0.1:{port}")
        words = (word + " " for word in (TEXT + " " + TEXT).split())
        data = b"".join(live.text_to_speech.convert_realtime(VOICE, text=words))

        wrong = connect_with("x", f"https://127.0.0.1:{port}")
        with pytest.raises(ApiError) as failed:
            list(wrong.text_to_speech.convert_realtime(VOICE, text=iter(["Hello."])))

    assert 2 < len(decode("mp3", data, 44_100)) / 44_100 < 10
    assert failed.value.status_code == 1008
    assert "API key" in str(failed.value.body)
    spent = sum(Generation.objects.values_list("credits", flat=True))
    assert 2 * len(TEXT) <= spent <= 2 * len(TEXT) + 3
    processes.wait_until(
        lambda: Wallet.objects.get(customer=alice).balance == 100_000 - spent, "charge"
    )


@pytest.mark.any_database
def test_a_socket_is_closed_with_a_reason(server):
    with connect(f"ws://127.0.0.1:{server.port}/v1/text-to-speech/{VOICE}/stream-input") as socket:
        socket.send(json.dumps({"text": " "}))
        said = json.loads(socket.recv(10))
        with pytest.raises(Exception, match="API key") as closed:
            socket.recv(10)

    assert (said["error"], said["code"]) == ("invalid_api_key", 1008)
    assert closed.value.rcvd.code == 1008
    assert closed.value.rcvd.reason


def test_a_client_that_breaks_off_pays_for_what_it_was_sent(server, secret, alice):
    text = "This is one of many sentences, all spoken one after the other. "
    address = f"ws://127.0.0.1:{server.port}/v1/text-to-speech/{VOICE}/stream-input"
    with connect(address, additional_headers={"xi-api-key": secret}) as socket:
        socket.send(json.dumps({"text": " "}))
        socket.send(json.dumps({"text": text * 60, "flush": True}))
        assert json.loads(socket.recv(20))["audio"]
        socket.socket.close()  # without a word

    processes.wait_until(lambda: not Generation.objects.filter(state="pending").exists(), "charge")
    generation = Generation.objects.order_by("-created_at")[0]
    assert generation.credits < 60 * len(text)
    wallet = Wallet.objects.get(customer=alice)
    spent = sum(Generation.objects.filter(state="done").values_list("credits", flat=True))
    assert (wallet.balance, wallet.reserved) == (100_000 - spent, 0)


@pytest.mark.any_database
def test_a_program_in_node(server, secret, recording, tmp_path):
    (tmp_path / "voice.wav").write_bytes(recording)
    asked = {
        "baseUrl": server.address,
        "apiKey": secret,
        "voice": VOICE,
        "text": TEXT,
        "folder": str(tmp_path),
    }

    seen = nodejs.run(Path(__file__).with_name("client.mjs"), asked)

    assert is_speech((tmp_path / "convert.mp3").read_bytes())
    assert is_speech((tmp_path / "stream.pcm").read_bytes(), "pcm", RATE)
    assert is_speech(base64.b64decode(seen["whole"]["audioBase64"]))
    assert "".join(seen["whole"]["characters"]) == TEXT
    assert "".join(seen["lines"]["characters"]) == TEXT
    assert is_speech(b"".join(map(base64.b64decode, seen["lines"]["audio"])))
    assert seen["voices"][0] == "standard-ava"
    assert seen["found"] == ["Ava"]
    assert seen["models"] == list(MODELS)
    assert seen["user"] == "Alice"
    assert seen["subscription"] == "free"
    assert seen["history"][0] == {"text": TEXT, "cost": len(TEXT)}
    assert seen["deleted"] == "ok"
    assert seen["made"] == {"verified": False, "name": "Mine", "deleted": "ok"}
    assert is_speech((tmp_path / "own.mp3").read_bytes())
    assert seen["usage"] == 4 * len(TEXT)
    assert seen["errors"]["key"] == {"status": 401, "code": "invalid_api_key", "hasId": True}
    assert seen["errors"]["voice"] == {"status": 404, "code": "voice_not_found", "hasId": True}
    assert seen["errors"]["long"] == {"status": 400, "code": "text_too_long", "hasId": True}

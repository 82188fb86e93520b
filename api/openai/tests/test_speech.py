"""`POST /v1/audio/speech` is what OpenAI's clients send and read, and is paid with credits."""

from __future__ import annotations

import base64
import json
import wave
from datetime import timedelta
from io import BytesIO

import numpy as np
import pytest
from django.test import Client

from accounts import api_keys
from api.openai import fields
from api.openai.models import MODELS
from api.openai.voices import ALIASES
from billing import keys, ledger
from billing.models import Wallet
from conftest import fund
from usage.audio import formats
from usage.audio.tests.test_encoders import PADDING, decode
from usage.models import Generation, Voice
from usage.speech import stream, voices

from .conftest import SPEECH

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = "The first sentence is this. The second one is that. The third one is here."
PIECES = 3
SAMPLES = PIECES * 2_400  # at 24,000 Hz
SIMPLE = {"model": "tts-1", "input": TEXT, "voice": "alloy"}


def without(*names):
    return {name: value for name, value in SIMPLE.items() if name not in names}


def credits():
    return Wallet.objects.values_list("balance", "reserved").get()


# What it answers


@pytest.mark.parametrize(
    ("form", "content_type"),
    [
        (None, "audio/mpeg"),
        ("mp3", "audio/mpeg"),
        ("opus", "audio/opus"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm"),
    ],
)
def test_each_format_has_all_samples_and_its_content_type(ask, rich, form, content_type):
    answer = ask(SIMPLE | {"response_format": form})

    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert "Content-Length" not in answer.headers
    rate = 48_000 if form == "opus" else 24_000
    found = len(decode(form or "mp3", answer.body, rate))
    wanted = SAMPLES * rate // 24_000
    assert wanted <= found <= wanted + PADDING.get(form or "mp3", 0)


def test_pcm_is_24_000_hz_of_a_voice_that_speaks_at_another_rate(ask, rich, engine):
    engine.sample_rate = 22_050

    answer = ask(SIMPLE | {"response_format": "pcm"})

    assert len(answer.body) / 2 == pytest.approx(SAMPLES * 24_000 / 22_050, abs=2)


def test_a_wav_says_that_its_length_is_unknown(ask, rich):
    answer = ask(SIMPLE | {"response_format": "wav"})

    assert answer.body[4:8] == answer.body[40:44] == b"\xff\xff\xff\xff"
    with wave.open(BytesIO(answer.body)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)


def test_an_answer_says_what_it_cost_and_what_is_left(ask, rich):
    answer = ask(SIMPLE)

    generation = Generation.objects.get()
    assert answer.headers["Vocalis-Generation"] == str(generation.id)
    assert answer.headers["Vocalis-Credits"] == answer.headers["character-cost"] == str(len(TEXT))
    assert answer.headers["Vocalis-Available"] == str(100_000 - len(TEXT))
    assert answer.headers["x-request-id"]
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "Idempotent-Replayed" not in answer.headers
    assert credits() == (100_000 - len(TEXT), 0)


@pytest.mark.parametrize("extra", [{}, {"stream_format": "sse"}, {"response_format": "pcm"}])
def test_the_same_key_again_is_the_same_answer_and_free(ask, rich, extra):
    first = ask(SIMPLE | extra, idempotency_key="k-1")
    again = ask(SIMPLE | extra, idempotency_key="k-1")

    assert again.status == 200
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Vocalis-Credits"] == again.headers["character-cost"] == "0"
    assert again.headers["Vocalis-Available"] == str(100_000 - len(TEXT))
    assert again.headers["Vocalis-Generation"] == first.headers["Vocalis-Generation"]
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    if extra.get("response_format") == "pcm":
        assert again.body == first.body
    assert credits() == (100_000 - len(TEXT), 0)


def test_without_a_key_each_request_is_one_of_its_own(ask, rich):
    ask(SIMPLE)
    ask(SIMPLE)

    assert credits() == (100_000 - 2 * len(TEXT), 0)


def events(answer):
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.body.endswith(b"\n\n")
    lines = answer.body.decode().split("\n\n")[:-1]
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_as_events_it_is_the_same_sound(ask, rich):
    answer = ask(SIMPLE | {"stream_format": "sse", "response_format": "pcm"})

    *deltas, done = events(answer)
    assert {each["type"] for each in deltas} == {"speech.audio.delta"}
    assert len(deltas) == PIECES
    assert sum(len(base64.b64decode(each["audio"])) for each in deltas) == 2 * SAMPLES
    n = len(TEXT)
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": n, "output_tokens": 0, "total_tokens": n},
    }
    assert answer.headers["Vocalis-Credits"] == str(n)


def test_what_fails_after_the_first_byte_is_an_event_and_free(ask, rich, engine):
    engine.fails = 2

    answer = ask(SIMPLE | {"stream_format": "sse", "response_format": "pcm"})

    first, last = events(answer)
    assert first["type"] == "speech.audio.delta"
    assert last["type"] == "error"
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert (last["error"]["code"], last["error"]["type"]) == ("speech_failed", "server_error")
    assert credits() == (100_000, 0)


# What it takes


@pytest.mark.parametrize("model", MODELS)
def test_the_model_chooses_the_tier_of_their_voices(ask, rich, model):
    ask(SIMPLE | {"model": model, "input": "Hello."})

    generation = Generation.objects.get()
    is_premium = model.startswith("tts-1-hd")
    assert generation.voice == ("premium-nora" if is_premium else "standard-ava")
    assert generation.credits == len("Hello.") * (2 if is_premium else 1)


@pytest.mark.parametrize("tier", [0, 1])
@pytest.mark.parametrize("name", ALIASES)
def test_each_of_their_voices_is_one_of_ours_of_that_tier_and_sex(name, tier):
    men = {"ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"}
    speaker = voices.HOUSE[ALIASES[name][tier]]

    assert speaker.type == ("standard", "premium")[tier]
    assert speaker.language == "en"
    assert ("man" in speaker.description.split(", ")) == (name in men)


def test_their_voices_are_all_thirteen():
    theirs = "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse"

    assert " ".join(sorted(ALIASES)) == theirs


def own_voice(customer, now):
    return Voice.objects.create(
        customer=customer,
        key=f"v-{customer.id}",
        name="Mine",
        engine="hibari",
        settings={},
        credits=1,
        state="ready",
        created_at=now,
    )


@pytest.mark.parametrize("how", ["string", "object"])
@pytest.mark.parametrize("which", ["house", "own", "none", "null"])
def test_a_voice_is_a_name_or_an_id_or_the_default_one(ask, rich, alice, now, which, how):
    own = str(own_voice(alice, now).id)
    voice = {"house": "premium-hugh", "own": own}.get(which)
    body = without("voice")
    if voice:
        body["voice"] = voice if how == "string" else {"id": voice}
    elif which == "null":
        body["voice"] = None

    assert ask(body).status == 200
    assert Generation.objects.get().voice == (voice or "standard-ava")


def test_a_voice_that_cannot_speak_here_is_another_of_its_tier(ask, rich, monkeypatch, lacking):
    lacking("kokoro")

    assert ask(SIMPLE | {"voice": "onyx"}).status == 200
    assert Generation.objects.get().voice == "standard-ava"
    refused = ask(SIMPLE | {"voice": "onyx", "model": "tts-1-hd"})
    assert (refused.status, refused.error["param"]) == (400, "voice")
    assert "No premium voice can speak just now" in refused.error["message"]


@pytest.mark.parametrize(("speed", "spoken"), [(0.25, 0.25), (4, 4.0), (1, 1.0), (None, 1.0)])
def test_the_speed(ask, rich, engine, speed, spoken):
    assert ask(SIMPLE | {"speed": speed}).status == 200
    assert set(engine.speeds) == {spoken}


def test_what_is_null_or_unknown_is_as_if_it_was_not_sent(ask, rich):
    nulls = dict.fromkeys(("response_format", "speed", "instructions", "stream_format"))
    more = {"backend": "openai", "nested": {"a": [1]}, "language": 7}

    answer = ask(SIMPLE | nulls | more | {"instructions": "Speak cheerfully."})

    assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/mpeg")


def test_a_lone_full_stop_is_spoken_as_silence(ask, rich):
    answer = ask({"model": "tts-1", "input": ".", "voice": "alloy", "response_format": "mp3"})

    assert answer.status == 200 and answer.body
    assert credits() == (100_000 - 1, 0)


@pytest.mark.parametrize(
    "text",
    ["a" * 4_096, "\u00e9" * 4_096, "e\u0301" * 4_096, "a\r\n" * 2_048],
    ids=["ascii", "composed", "decomposed", "line-ends"],
)
def test_so_much_text_is_taken_as_it_is_counted_in_the_studio(ask, rich, text):
    assert fields.read(json.dumps(SIMPLE | {"input": text}).encode()).text == text
    with pytest.raises(fields.Failure) as refused:
        fields.read(json.dumps(SIMPLE | {"input": text + "b"}).encode())
    assert refused.value.code == "string_above_max_length"
    assert "Shorten it by 1." in refused.value.message


# What it refuses


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"input": None}, 400, "missing_required_parameter", "input"),
        ({"input": ""}, 400, "invalid_value", "input"),
        ({"input": "  \n"}, 400, "invalid_value", "input"),
        ({"input": 5}, 400, "invalid_type", "input"),
        ({"input": ["a"]}, 400, "invalid_type", "input"),
        ({"input": "a" * 4_097}, 400, "string_above_max_length", "input"),
        ({"input": "a" * 500_000}, 400, "string_above_max_length", "input"),
        ({"input": "a" + "\u0301" * 40}, 400, "invalid_value", "input"),
        ({"input": "half \ud800 a pair"}, 400, "invalid_value", "input"),
        ({"input": "a\0b"}, 400, "invalid_value", "input"),
        ({"model": None}, 400, "missing_required_parameter", "model"),
        ({"model": ""}, 400, "invalid_value", "model"),
        ({"model": 1}, 400, "invalid_type", "model"),
        ({"model": "gpt-5"}, 404, "model_not_found", "model"),
        ({"model": "\ud800"}, 404, "model_not_found", "model"),
        ({"voice": "nobody"}, 400, "invalid_value", "voice"),
        ({"voice": ""}, 400, "invalid_value", "voice"),
        ({"voice": "remote-x-y"}, 400, "invalid_value", "voice"),
        ({"voice": "\ud800"}, 400, "invalid_value", "voice"),
        ({"voice": "a" * 10_000}, 400, "invalid_value", "voice"),
        ({"voice": {"id": "nobody"}}, 400, "invalid_value", "voice"),
        ({"voice": {}}, 400, "invalid_type", "voice"),
        ({"voice": {"id": None}}, 400, "invalid_type", "voice"),
        ({"voice": ["alloy"]}, 400, "invalid_type", "voice"),
        ({"voice": 3}, 400, "invalid_type", "voice"),
        ({"response_format": "m4b"}, 400, "invalid_value", "response_format"),
        ({"response_format": "ulaw"}, 400, "invalid_value", "response_format"),
        ({"response_format": ""}, 400, "invalid_value", "response_format"),
        ({"response_format": True}, 400, "invalid_type", "response_format"),
        ({"speed": 0.24}, 400, "invalid_value", "speed"),
        ({"speed": 4.01}, 400, "invalid_value", "speed"),
        ({"speed": float("nan")}, 400, "invalid_value", "speed"),
        ({"speed": float("inf")}, 400, "invalid_value", "speed"),
        ({"speed": "1.5"}, 400, "invalid_type", "speed"),
        ({"speed": True}, 400, "invalid_type", "speed"),
        ({"instructions": {"a": 1}}, 400, "invalid_type", "instructions"),
        ({"stream_format": "websocket"}, 400, "invalid_value", "stream_format"),
        ({"stream_format": 1}, 400, "invalid_type", "stream_format"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else None,
)
def test_a_field_that_is_wrong_is_named(ask, rich, engine, change, status, code, param):
    answer = ask(SIMPLE | change)

    assert (answer.status, answer.error["code"], answer.error["param"]) == (status, code, param)
    assert answer.error["type"] == "invalid_request_error"
    assert answer.error["message"]
    assert answer.headers["x-request-id"]
    assert engine.calls == 0 and credits() == (100_000, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"5",
        b"\xff\xfe\xfa",
        b"{\xff}",
        b"[" * 100_000,
        b'{"speed": ' + b"9" * 5_000 + b"}",
        b"model=tts-1&input=a",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_object_is_refused(ask, rich, body):
    answer = ask(body)

    assert answer.status == 400
    assert answer.error["code"] in ("invalid_json", "invalid_type")
    assert answer.error["param"] is None
    assert "JSON" in answer.error["message"]


def test_a_body_over_a_mebibyte_is_refused(ask, rich):
    answer = ask(SIMPLE | {"input": "a" * (1 << 20)})

    assert (answer.status, answer.error["code"]) in ((400, "bad_request"), (413, "too_large"))


def test_letters_that_the_voice_does_not_know_are_refused_with_voices_that_do(ask, rich, engine):
    engine.scripts = None
    real = voices.HOUSE["standard-ava"]
    assert real.refusal("Привет")

    answer = ask(SIMPLE | {"input": "Привет"})

    assert (answer.status, answer.error["param"]) == (400, "input")
    assert "does not speak Cyrillic letters" in answer.error["message"]
    assert "standard-classic" in answer.error["message"]
    assert engine.calls == 0


def test_without_the_package_aac_is_refused_in_words(ask, rich, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)

    answer = ask(SIMPLE | {"response_format": "aac"})

    assert (answer.status, answer.error["param"]) == (400, "response_format")
    assert answer.error["message"] == (
        "This site does not make aac. Use mp3, opus, flac, wav, pcm."
    )


@pytest.mark.parametrize("value", ["", "a key", "k" * 129])
def test_an_idempotency_key_that_is_none(ask, rich, value):
    answer = ask(SIMPLE, idempotency_key=value)

    assert (answer.status, answer.error["param"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize(
    "change",
    [
        {"input": "Another one."},
        {"voice": "premium-nora"},
        {"response_format": "wav"},
        {"speed": 1.5},
        {"stream_format": "sse"},
    ],
)
def test_a_key_that_was_used_for_another_body_is_422(ask, rich, change):
    ask(SIMPLE, idempotency_key="k-1")

    answer = ask(SIMPLE | change, idempotency_key="k-1")

    assert (answer.status, answer.error["code"]) == (422, "key_reused")
    assert answer.error["param"] == "Idempotency-Key"


def test_the_same_key_at_work_is_409_with_when_to_ask_again(ask, rich, alice, secret, engine, now):
    wanted = fields.read(json.dumps(SIMPLE).encode())
    key = api_keys.find(secret, now)
    opened = stream.begin(
        customer=alice,
        text=wanted.text,
        voice_id="standard-ava",
        key="k-1",
        now=now,
        asked=stream.Asked(api_key_id=key.pk, answer=wanted.answer),
    )
    try:
        answer = ask(SIMPLE, idempotency_key="k-1")
    finally:
        opened._is_asked_for.set()
        opened.settle()

    assert (answer.status, answer.error["code"]) == (409, "still_running")
    assert answer.headers["Retry-After"] == "2"


def test_no_credits_is_429_as_programs_expect_and_not_tried_again(ask, alice, now, engine):
    fund(alice, 5, now)

    answer = ask(SIMPLE)

    assert answer.status == 429
    assert answer.error["code"] == answer.error["type"] == "insufficient_quota"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.error["message"] == (
        f"{len(TEXT)} credits needed, 5 available. Add credits at http://localhost:8000/billing/top-up/"
    )
    assert engine.calls == 0


def test_a_spent_budget_is_the_same_and_named(ask, rich, alice, now, engine):
    _, small = keys.create(customer=alice, name="s", scopes=["speech"], limit=5, now=now)

    answer = ask(SIMPLE, key=small)

    assert (answer.status, answer.error["code"]) == (429, "insufficient_quota")
    assert answer.headers["x-should-retry"] == "false"
    assert "this key's budget of 5" in answer.error["message"]
    assert engine.calls == 0 and credits() == (100_000, 0)


def revoked(alice, now):
    key, secret = keys.create(customer=alice, name="r", now=now)
    api_keys.revoke(key, now)
    return secret


def expired(alice, now):
    return keys.create(
        customer=alice, name="e", expires_at=now + timedelta(microseconds=1), now=now
    )[1]


@pytest.mark.parametrize(
    "make", [lambda *_: "", lambda *_: "sk-wrong", revoked, expired], ids=range(4)
)
def test_without_a_valid_key_it_is_401(ask, rich, alice, now, make):
    answer = ask(SIMPLE, key=make(alice, now))

    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert answer.error["type"] == "authentication_error"


def test_the_other_header_is_taken_as_well(ask, rich, secret):
    assert ask(SIMPLE, key="", xi_api_key=secret).status == 200


def test_a_key_without_the_scope_is_403(ask, rich, alice, now):
    _, reading = keys.create(customer=alice, name="r", scopes=["read"], now=now)

    answer = ask(SIMPLE, key=reading)

    assert (answer.status, answer.error["code"]) == (403, "insufficient_scope")
    assert answer.error["type"] == "permission_error"


def test_a_frozen_account_is_403(ask, rich, now):
    ledger.set_frozen(wallet_id=rich.id, frozen=True, now=now)

    answer = ask(SIMPLE)

    assert (answer.status, answer.error["code"]) == (403, "wallet_frozen")


def test_an_engine_that_fails_is_503_and_free(ask, rich, engine):
    engine.fails = 1

    answer = ask(SIMPLE)

    assert (answer.status, answer.error["code"]) == (503, "speech_failed")
    assert answer.error["type"] == "server_error"
    assert "Nothing was charged" in answer.error["message"]
    assert credits() == (100_000, 0)


def test_more_at_once_than_the_process_can_speak_is_429(ask, rich, monkeypatch):
    monkeypatch.setattr(stream, "_free", type(stream._free)(0))

    answer = ask(SIMPLE)
    monkeypatch.undo()

    assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
    assert answer.headers["Retry-After"] == "1"
    assert "x-should-retry" not in answer.headers


def test_the_method_is_post(db):
    answer = Client().get(SPEECH)

    assert (answer.status_code, answer["Allow"]) == (405, "POST")
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_silence_is_silence(ask, rich):
    answer = ask(SIMPLE | {"response_format": "pcm"})

    assert not np.frombuffer(answer.body, "<i2").any()

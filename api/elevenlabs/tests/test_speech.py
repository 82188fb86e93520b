"""Speech in ElevenLabs' dialect: formats, prices, headers, timestamps, and every refusal."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import pytest

from api.elevenlabs import aliases, formats
from billing import keys, ledger
from usage.audio.converter import output_samples
from usage.audio.tests.test_encoders import PADDING, decode
from usage.engines import EngineFailed
from usage.models import Generation
from usage.speech import stream, voices

from .conftest import PIECE_SAMPLES, credits, read

pytestmark = pytest.mark.django_db(transaction=True)

SPEECH = "/v1/text-to-speech/standard-ava"
TEXT = "The first sentence is this one. And the second sentence is that one."
# A name for each of theirs that a client may ask for.
ALL = [
    *(f"mp3_{each}" for each in ("22050_32", "24000_48")),
    *(f"mp3_44100_{each}" for each in (32, 64, 96, 128, 192)),
    *(f"opus_48000_{each}" for each in (32, 64, 96, 128, 192)),
    *(f"pcm_{each}" for each in (8000, 16000, 22050, 24000, 32000, 44100, 48000)),
    *(f"wav_{each}" for each in (8000, 16000, 22050, 24000, 32000, 44100, 48000)),
    "ulaw_8000",
    "alaw_8000",
]
IGNORED = (
    "model_id",
    "voice_settings",
    "language_code",
    "seed",
    "previous_text",
    "next_text",
    "previous_request_ids",
    "next_request_ids",
    "pronunciation_dictionary_locators",
    "apply_text_normalization",
    "apply_language_text_normalization",
    "use_pvc_as_ivc",
    "audio_effects",
)
TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "ulaw": "audio/basic",
    "alaw": "audio/x-alaw-basic",
}


def test_there_are_all_formats_of_theirs():
    assert set(formats.OUTPUTS) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_format_has_its_rate_and_all_samples(name, ask, wallet, engine):
    codec, rate = name.split("_")[0], int(name.split("_")[1])

    answer = ask("POST", f"{SPEECH}/stream?output_format={name}", {"text": TEXT})
    data = read(answer)

    assert answer.status_code == 200
    assert answer["Content-Type"] == TYPES[codec]
    samples = decode(codec, data, rate)
    wanted = output_samples(engine.calls * PIECE_SAMPLES, 24_000, rate)
    # Two conversions of a rate, one of them lame's, may differ by a sample.
    assert wanted - 1 <= len(samples) <= wanted + PADDING.get(codec, 1)
    if codec == "mp3":
        seconds = len(samples) / rate
        assert len(data) * 8 / seconds == pytest.approx(int(name.split("_")[2]) * 1000, rel=0.1)


def test_an_answer_says_its_cost_and_its_ids(ask, alice, wallet, engine):
    answer = ask("POST", SPEECH, {"text": TEXT, "model_id": "eleven_flash_v2_5"})
    data = read(answer)

    generation = Generation.objects.get()
    assert answer["Content-Type"] == "audio/mpeg"
    assert decode("mp3", data, 44_100).any()
    assert answer["character-cost"] == str(len(TEXT))
    assert answer["history-item-id"] == str(generation.id)
    assert answer["request-id"] == answer["x-request-id"] == answer["x-trace-id"]
    assert answer["current-concurrent-requests"] == "1"
    assert int(answer["maximum-concurrent-requests"]) >= 1
    assert credits(alice) == (500 - len(TEXT), 0)
    assert generation.api_key is not None


def test_what_we_have_no_use_for_is_ignored(ask, wallet, engine):
    nothing = dict.fromkeys(IGNORED)
    odd = {"seed": "x", "voice_settings": {"stability": 2, "style": None, "speed": None}, "new": []}

    for body in (nothing, odd):
        address = f"{SPEECH}?enable_logging=false&optimize_streaming_latency=4"
        answer = ask("POST", address, {"text": "Short.", **body})
        assert answer.status_code == 200
        read(answer)
    assert engine.speeds == [1.0, 1.0]


@pytest.mark.parametrize("speed", [0.25, 0.7, 1.2, 4])
def test_the_speed_is_obeyed(ask, wallet, engine, speed):
    read(ask("POST", SPEECH, {"text": "Short.", "voice_settings": {"speed": speed}}))

    assert engine.speeds == [speed]


@pytest.mark.parametrize(
    ("voice", "ours"),
    [
        ("21m00Tcm4TlvDq8ikWAM", "standard-clara"),
        ("JBFqnCBsd6RMkjVDRZzb", "standard-oliver"),
        ("EXAVITQu4vr4xnSDxMaL", "standard-ava"),
        ("hpp4J3VqNfWAUOO0d1Us", "standard-ava"),
        ("CwhRBWXzGAHq8TQ4Fs17", "standard-oliver"),
        ("FGY2WhTYpPnrIDTdsKH5", "standard-june"),
        ("bIHbv24MWmeRgasZH58o", "standard-oliver"),
        ("Rachel", "standard-clara"),
        ("sarah", "standard-ava"),
        ("premium-nora", "premium-nora"),
        ("standard", "standard-ava"),
    ],
)
def test_voices_that_programs_know_are_voices_of_the_house(voice, ours, ask, wallet, engine):
    read(ask("POST", f"/v1/text-to-speech/{voice}", {"text": "Short."}))

    assert Generation.objects.get().voice == ours


def test_an_alias_whose_engine_is_not_there_is_the_default_voice(ask, wallet, engine, lacking):
    lacking("kokoro")

    read(ask("POST", "/v1/text-to-speech/George", {"text": "Short."}))

    assert Generation.objects.get().voice == voices.DEFAULT.id


@pytest.mark.parametrize(
    ("model_id", "tier", "price"),
    [
        ("eleven_multilingual_v2", "premium", 2),
        ("eleven_v3", "premium", 2),
        ("eleven_flash_v2_5", "standard", 1),
        ("eleven_turbo_v2_5", "standard", 1),
        ("eleven_monolingual_v1", "standard", 1),
        (None, "standard", 1),
    ],
)
def test_the_model_chooses_the_tier_of_a_voice_of_theirs(
    ask, wallet, engine, model_id, tier, price
):
    for voice in ("Rachel", "JBFqnCBsd6RMkjVDRZzb"):
        answer = ask("POST", f"/v1/text-to-speech/{voice}", {"text": "Ten.", "model_id": model_id})
        assert answer["character-cost"] == str(price * 4)
        read(answer)
    assert {row.voice_type for row in Generation.objects.all()} == {tier}


@pytest.mark.parametrize("model_id", ["eleven_multilingual_v2", "eleven_flash_v2_5"])
def test_a_voice_of_ours_keeps_its_price_whatever_the_model(ask, wallet, engine, model_id):
    body = {"text": "Ten.", "model_id": model_id}
    for voice, price in (("standard-ava", "4"), ("premium-nora", "8")):
        answer = ask("POST", f"/v1/text-to-speech/{voice}", body)
        read(answer)
        assert answer["character-cost"] == price


def test_every_voice_of_theirs_has_two_of_ours_of_its_sex():
    for alias in aliases.ALIASES:
        found = [voices.HOUSE[each] for each in (alias.standard, alias.premium)]
        assert [each.type for each in found] == ["standard", "premium"], alias
        assert len({", woman" in each.description for each in found}) == 1, alias
        assert {each.language for each in found} == {"en"}
    men = [each for each in aliases.ALIASES if each.standard == "standard-oliver"]
    assert len({each.premium for each in men}) == 5
    assert len({each.id for each in aliases.ALIASES}) == len(aliases.ALIASES)


def test_a_premium_voice_that_is_not_there_is_the_standard_one(ask, wallet, engine, lacking):
    lacking("kokoro")

    read(ask("POST", "/v1/text-to-speech/Rachel", {"text": "Short.", "model_id": "eleven_v3"}))

    assert Generation.objects.get().voice == "standard-clara"


def test_the_same_key_again_costs_nothing(ask, alice, wallet, engine):
    def again(address=SPEECH, text=TEXT):
        return ask("POST", address, {"text": text}, idempotency_key="one")

    first = read(again())
    answer = again()

    assert answer["Idempotent-Replayed"] == "true"
    assert answer["character-cost"] == "0"
    assert read(answer) == first
    assert credits(alice) == (500 - len(TEXT), 0)
    for refused in (
        again(text="Another."),
        again(f"{SPEECH}?output_format=pcm_24000"),
        again(f"{SPEECH}/with-timestamps"),
    ):
        assert refused.status_code == 422
        assert refused.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


# What is sent → status, code. A code of None: a list, with that place.
REFUSALS = {
    "no text": ({"body": {}}, 422, ["body", "text"]),
    "text of null": ({"body": {"text": None}}, 422, ["body", "text"]),
    "text of another kind": ({"body": {"text": 5}}, 422, ["body", "text"]),
    "empty": ({"body": {"text": ""}}, 422, ["body", "text"]),
    "blank": ({"body": {"text": " \n"}}, 422, ["body", "text"]),
    "half a pair": ({"body": {"text": "a\ud800"}}, 422, ["body", "text"]),
    "no JSON": ({"body": b"{"}, 422, ["body"]),
    "deep": ({"body": b"[" * 100_000}, 422, ["body"]),
    "no object": ({"body": [1]}, 422, ["body"]),
    "no UTF-8": ({"body": b'{"text": "\xff"}'}, 422, ["body"]),
    "too fast": (
        {"body": {"text": "a", "voice_settings": {"speed": 4.1}}},
        422,
        ["body", "voice_settings", "speed"],
    ),
    "no speed": (
        {"body": {"text": "a", "voice_settings": {"speed": "fast"}}},
        422,
        ["body", "voice_settings", "speed"],
    ),
    "not a number": (
        {"body": b'{"text": "a", "voice_settings": {"speed": NaN}}'},
        422,
        ["body", "voice_settings", "speed"],
    ),
    "settings of another kind": (
        {"body": {"text": "a", "voice_settings": 3}},
        422,
        ["body", "voice_settings"],
    ),
    "no model of theirs": ({"body": {"text": "a", "model_id": "tts-1"}}, 422, ["body", "model_id"]),
    "no format": (
        {"address": f"{SPEECH}?output_format=mp3_44100_129"},
        422,
        ["query", "output_format"],
    ),
    "too long": ({"body": {"text": "a" * 5_001}}, 400, "text_too_long"),
    "far too long": ({"body": {"text": "a" * 50_001}}, 400, "text_too_long"),
    "no voice": ({"address": "/v1/text-to-speech/nobody"}, 404, "voice_not_found"),
    "no voice, and a bad name": ({"address": "/v1/text-to-speech/%00"}, 404, "voice_not_found"),
    "a wrong key": ({"xi_api_key": "vk_wrong"}, 401, "invalid_api_key"),
    "an empty key": ({"xi_api_key": ""}, 401, "invalid_api_key"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_is_in_their_words_and_costs_nothing(case, ask, alice, wallet, engine):
    sent, status, expected = REFUSALS[case]
    sent = dict(sent)
    body, address = sent.pop("body", {"text": "Short."}), sent.pop("address", SPEECH)

    answer = ask("POST", address, body, **sent)

    assert answer.status_code == status
    detail = answer.json()["detail"]
    if isinstance(expected, list):
        assert detail[0]["loc"] == expected
        assert detail[0]["msg"] and detail[0]["type"]
    else:
        assert detail["status"] == detail["code"] == expected
        assert detail["message"] and detail["request_id"] == answer["request-id"]
    assert credits(alice) == (500, 0)
    assert engine.calls == 0


def test_a_text_that_is_too_long_says_how_long_it_may_be(ask, wallet, engine):
    answer = ask("POST", SPEECH, {"text": "a" * 5_001})

    assert "maximum_text_length_per_request is 5000" in answer.json()["detail"]["message"]
    assert answer.json()["detail"]["param"] == "text"


def test_credits_that_are_missing_are_a_quota_in_their_words(ask, alice, wallet, engine, now):
    answer = ask("POST", SPEECH, {"text": "a " * 250 + "b"})
    small = keys.create(customer=alice, name="s", limit=5, now=now)[1]
    of_key = ask("POST", SPEECH, {"text": "Too much."}, xi_api_key=small)

    for each in (answer, of_key):
        assert each.status_code == 401
        assert each.json()["detail"]["status"] == "quota_exceeded"
    assert answer.json()["detail"]["message"] == (
        "This request exceeds your quota of 500. You have 500 credits remaining, while 501 "
        "credits are required for this request."
    )
    assert of_key.json()["detail"]["message"] == (
        "This request exceeds this key's budget of 5. You have 5 credits remaining, while 9 "
        "credits are required for this request."
    )
    assert credits(alice) == (500, 0)


def test_a_key_without_the_scope_and_a_frozen_account_are_forbidden(
    ask, alice, wallet, engine, now
):
    reading = keys.create(customer=alice, name="r", scopes=["read"], now=now)[1]
    scope = ask("POST", SPEECH, {"text": "a"}, xi_api_key=reading)
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    frozen = ask("POST", SPEECH, {"text": "a"})

    assert (scope.status_code, scope.json()["detail"]["status"]) == (403, "insufficient_scope")
    assert (frozen.status_code, frozen.json()["detail"]["status"]) == (403, "wallet_frozen")


def test_a_system_that_is_busy_says_when_to_come_again(ask, wallet, engine, monkeypatch):
    monkeypatch.setattr(stream._free, "acquire", lambda blocking: False)

    answer = ask("POST", SPEECH, {"text": "a"})

    assert answer.status_code == 429
    assert answer.json()["detail"]["status"] == "system_busy"
    assert answer["Retry-After"] == "1"


@pytest.mark.parametrize("address", ["", "/stream", "/with-timestamps", "/stream/with-timestamps"])
def test_an_engine_that_fails_is_told_before_the_first_byte(address, ask, alice, wallet, engine):
    def broken():
        raise EngineFailed("It broke.")

    engine.during = broken

    answer = ask("POST", SPEECH + address, {"text": TEXT})

    assert answer.status_code == 503
    assert answer.json()["detail"]["status"] == "speech_failed"
    assert credits(alice) == (500, 0)


def check_alignment(found, text, seconds):
    assert "".join(found["characters"]) == text
    starts, ends = (
        found["character_start_times_seconds"],
        found["character_end_times_seconds"],
    )
    assert len(starts) == len(ends) == len(found["characters"])
    assert all(a <= b for a, b in zip(starts, ends, strict=True))
    assert all(a <= b for a, b in pairwise(starts)) and all(a <= b for a, b in pairwise(ends))
    assert not ends or starts[0] >= 0 and ends[-1] <= seconds + 0.001


TEXTS = [
    TEXT,
    "  Blanks before.\r\n\r\nAnd  after, too.  \n",
    "Cafe\u0301 A\u030angstro\u0308m costs $5.\rYes",
    ".",
]


@pytest.mark.parametrize("text", TEXTS)
def test_timestamps_are_of_every_character_as_sent(text, ask, alice, wallet, engine):
    address = f"{SPEECH}/with-timestamps?output_format=pcm_24000"
    answer = ask("POST", address, {"text": text}, idempotency_key="k")
    body = json.loads(read(answer))

    samples = base64.b64decode(body["audio_base64"], validate=True)
    seconds = engine.calls * PIECE_SAMPLES / 24_000
    assert len(samples) == engine.calls * PIECE_SAMPLES * 2
    assert set(body) == {"audio_base64", "alignment", "normalized_alignment"}
    check_alignment(body["alignment"], text, seconds)
    check_alignment(body["normalized_alignment"], Generation.objects.get().text, seconds)
    if not text[-1].isalpha():  # what follows the last word lasts to the end
        assert body["alignment"]["character_end_times_seconds"][-1] == pytest.approx(seconds)
    assert answer["character-cost"] == str(Generation.objects.get().credits)
    assert credits(alice) == (500 - Generation.objects.get().credits, 0)
    again = ask("POST", address, {"text": text}, idempotency_key="k")
    assert json.loads(read(again)) == body
    assert again["character-cost"] == "0"


@pytest.mark.parametrize("text", TEXTS)
def test_streamed_timestamps_are_a_line_for_each_piece(text, ask, alice, wallet, engine):
    address = f"{SPEECH}/stream/with-timestamps?output_format=pcm_24000"
    answer = ask("POST", address, {"text": text}, idempotency_key="k")
    data = read(answer)

    assert data.endswith(b"\n")
    lines = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    sound = b"".join(base64.b64decode(line["audio_base64"]) for line in lines)
    seconds = engine.calls * PIECE_SAMPLES / 24_000
    assert len(sound) == engine.calls * PIECE_SAMPLES * 2
    whole = {"characters": [], "character_start_times_seconds": []}
    whole["character_end_times_seconds"] = []
    for line in lines:
        assert set(line) == {"audio_base64", "alignment", "normalized_alignment"}
        for name, values in (line["alignment"] or {}).items():
            whole[name] += values
    check_alignment(whole, text, seconds)
    assert credits(alice) == (500 - Generation.objects.get().credits, 0)
    again = read(ask("POST", address, {"text": text}, idempotency_key="k"))
    replayed = [json.loads(line) for line in again.decode().split("\n")[:-1]]
    assert b"".join(base64.b64decode(line["audio_base64"]) for line in replayed) == sound
    check_alignment(replayed[0]["alignment"], text, seconds)


def test_a_word_is_heard_where_its_characters_are(ask, wallet, engine):
    answer = ask("POST", f"{SPEECH}/with-timestamps", {"text": "One, two."})
    found = json.loads(read(answer))["alignment"]

    # Two words in 0.4 s: from 0 to 0.16 and from 0.2 to 0.36 seconds.
    starts = found["character_start_times_seconds"]
    assert starts[0] == 0
    assert starts[3] == pytest.approx(0.16, abs=0.002)  # the comma, in the pause
    assert starts[5] == pytest.approx(0.2, abs=0.002)
    assert found["character_end_times_seconds"][7] == pytest.approx(0.36, abs=0.002)


def test_a_browser_that_merely_looks_is_told_what_to_do(client, secret):
    answer = client.get(SPEECH, headers={"xi-api-key": secret})

    assert answer.status_code == 405
    assert answer["Allow"] == "POST"
    assert answer.json()["detail"]["status"] == "method_not_allowed"

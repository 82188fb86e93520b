"""Consents that are recorded and custom voices, as OpenAI's clients make them."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from billing import keys
from billing.models import Wallet
from usage import voiceprint
from usage.engines.tests.quick import QuickEngine
from usage.models import Voice, VoiceConsent
from usage.speech import consent, consents, own_voice
from usage.speech.tests.test_match import described
from usage.voiceprint import SampleRefused

pytestmark = pytest.mark.django_db(transaction=True)

SOUND = b"RIFF\x24\0\0\0WAVEfmt of a voice"
CONSENTS, VOICES = "/v1/audio/voice_consents", "/v1/audio/voices"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A helper that hears a woman, and an engine that speaks at once."""
    monkeypatch.setattr(voiceprint, "describe", lambda sample, *_: described())
    monkeypatch.setattr(own_voice, "engine", lambda name: QuickEngine())


@pytest.fixture
def secret(alice, rich, now):
    return keys.create(customer=alice, name="k", scopes=["speech", "read", "voices"], now=now)[1]


@pytest.fixture
def send(secret):
    """Ask with a form; values that are bytes are files."""

    def sending(method, path, *, key=secret, **fields):
        form = {
            name: [SimpleUploadedFile("a.wav", each) for each in value]
            if isinstance(value, tuple)
            else SimpleUploadedFile("a.wav", value)
            if isinstance(value, bytes)
            else value
            for name, value in fields.items()
        }
        return getattr(Client(), method)(path, form, headers={"authorization": f"Bearer {key}"})

    return sending


@pytest.mark.parametrize("path", [CONSENTS, VOICES])
def test_an_empty_idempotency_key_is_refused(secret, path):
    form = {"name": "Alice", "language": "en-US", "consent": "cons_1"}
    form |= {name: SimpleUploadedFile("a.wav", SOUND) for name in ("recording", "audio_sample")}
    headers = {"authorization": f"Bearer {secret}", "idempotency-key": ""}

    refused = Client().post(path, form, headers=headers)

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "Idempotency-Key")


@pytest.fixture
def give(send):
    def giving(**fields):
        form = {"name": "Alice", "language": "en-US", "recording": SOUND} | fields
        return send("post", CONSENTS, **{k: v for k, v in form.items() if v is not None})

    return giving


@pytest.fixture
def make(send, give):
    def making(**fields):
        form = {"name": "Mine", "audio_sample": SOUND} | fields
        if "consent" not in fields:
            form["consent"] = give().json()["id"]
        return send("post", VOICES, **{k: v for k, v in form.items() if v is not None})

    return making


def error(answer):
    found = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return answer.status_code, found["code"], found["param"]


def test_a_consent_is_recorded_listed_renamed_and_withdrawn(send, give, secret):
    given = give().json()

    assert given["object"] == "audio.voice_consent"
    assert (given["name"], given["language"]) == ("Alice", "en-US")
    assert isinstance(given["created_at"], int) and given["sentence"] == consent.COMPARED
    one = f"{CONSENTS}/{given['id']}"
    assert send("get", one).json() == given
    named = Client().post(
        one,
        json.dumps({"name": "Else"}),
        content_type="application/json",
        headers={"authorization": f"Bearer {secret}"},
    )
    assert named.json()["name"] == "Else"
    assert send("post", one, name="Again").json()["name"] == "Again"
    assert error(send("post", one))[1:] == ("missing_required_parameter", "name")
    gone = send("delete", one).json()
    assert gone == {"id": given["id"], "deleted": True, "object": "audio.voice_consent"}
    assert error(send("get", one))[:2] == (404, "unknown_consent")
    assert error(send("delete", one))[0] == 404


def test_consents_come_page_by_page(send, give):
    made = [give(name=f"Number {number}").json()["id"] for number in range(3)]

    first = send("get", f"{CONSENTS}?limit=2").json()
    rest = send("get", f"{CONSENTS}?limit=2&after={first['last_id']}").json()

    assert [each["id"] for each in first["data"] + rest["data"]] == made[::-1]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert error(send("get", f"{CONSENTS}?limit=0")) == (400, "invalid_value", "limit")
    assert error(send("get", f"{CONSENTS}?after=x")) == (400, "invalid_value", "after")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"name": None}, "missing_required_parameter", "name"),
        ({"language": None}, "missing_required_parameter", "language"),
        ({"recording": None}, "missing_required_parameter", "recording"),
        ({"recording": (SOUND, SOUND)}, "invalid_value", "recording"),
        ({"language": "de"}, "invalid_value", "language"),
        ({"name": "a" * 61}, "invalid_value", "name"),
    ],
)
def test_a_consent_that_is_none(give, fields, code, param):
    assert error(give(**fields)) == (400, code, param)
    assert not VoiceConsent.objects.exists()


def test_a_voice_is_made_spoken_with_and_deleted(make, send, ask, secret, rich):
    answer = make()

    made = answer.json()
    assert (made["object"], made["name"], made["type"]) == ("audio.voice", "Mine", "audio_sample")
    assert answer["Vocalis-Credits"] == "25000"
    one = f"{VOICES}/{made['id']}"
    assert send("get", one).json() == made
    found = send("get", VOICES).json()
    assert (found["data"], found["has_more"]) == ([made], False)
    assert found["voices"][0]["id"] == made["id"]
    body = {"model": "tts-1", "voice": {"id": made["id"]}, "input": "Hello."}
    assert ask(body, key=secret).status == 200
    assert send("delete", one).json() == {
        "id": made["id"],
        "deleted": True,
        "object": "audio.voice.deleted",
    }
    assert error(send("get", one))[:2] == (404, "voice_not_found")
    assert ask(body, key=secret).status == 400
    assert len(send("get", CONSENTS).json()["data"]) == 1  # it is for other samples, too


def test_who_withdraws_the_consent_takes_the_voices_with_it(make, send, give):
    given = give().json()["id"]
    made = make(consent=given).json()["id"]

    send("delete", f"{CONSENTS}/{given}")

    assert error(send("get", f"{VOICES}/{made}"))[0] == 404
    assert error(make(consent=given)) == (400, "invalid_value", "consent")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"name": None}, "missing_required_parameter", "name"),
        ({"consent": None}, "missing_required_parameter", "consent"),
        ({"consent": "cons_1234"}, "invalid_value", "consent"),
        ({"audio_sample": None}, "missing_required_parameter", "audio_sample"),
        ({"audio_sample": (SOUND, SOUND)}, "invalid_value", "audio_sample"),
        ({"type": "prompt", "prompt": "An old man."}, "invalid_value", "type"),
    ],
)
def test_a_voice_that_is_none(make, rich, fields, code, param):
    assert error(make(**fields)) == (400, code, param)
    assert Wallet.objects.get().balance == 100_000


@pytest.mark.parametrize("code", ["too_short", "silent", "unknown", "too_large", "webm"])
def test_recordings_that_will_not_do(make, give, monkeypatch, code):
    given = give().json()["id"]

    def refusing(sample, *_):
        raise SampleRefused(code, seconds=1)

    monkeypatch.setattr(voiceprint, "describe", refusing)

    answer = make(consent=given)
    assert error(answer) == (400, "invalid_value", "audio_sample")
    assert answer.json()["error"]["message"] == str(SampleRefused(code, seconds=1))
    assert error(give()) == (400, "invalid_value", "recording")


def test_limits_are_not_tried_again(make, give, secret, monkeypatch):
    from usage.speech import match

    given = give().json()["id"]
    monkeypatch.setattr(match, "MATCHES_A_DAY", 1)
    assert make(consent=given).status_code == 200
    answer = make(consent=given)
    assert error(answer)[:2] == (429, "too_many_matches")
    assert answer["x-should-retry"] == "false"
    monkeypatch.setattr(consents, "CONSENTS_MAX", 1)
    assert error(give())[:2] == (400, "too_many_consents")


def test_without_credits_it_is_their_quota(make, send, bob, now, give):
    poor = keys.create(customer=bob, name="k", scopes=["voices"], now=now)[1]
    given = give(key=poor).json()["id"]

    answer = make(key=poor, consent=given)

    assert error(answer)[:2] == (429, "insufficient_quota")
    assert answer["x-should-retry"] == "false"
    assert not Voice.objects.exists()


def test_consents_and_voices_are_for_keys_with_their_scope(send, alice, now):
    reading = keys.create(customer=alice, name="r", scopes=["read"], now=now)[1]

    assert send("get", CONSENTS, key=reading).status_code == 200
    assert send("post", CONSENTS, key=reading).status_code == 403
    assert send("post", VOICES, key=reading).status_code == 403
    assert Client().post(VOICES).json()["error"]["code"] == "invalid_api_key"

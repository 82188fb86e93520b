"""Voices of one's own over our dialect: made of a recording, looked at, deleted."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from billing import keys
from billing.models import Wallet
from conftest import fund
from usage import voiceprint
from usage.engines.tests.quick import QuickEngine
from usage.models import Voice, VoiceConsent, VoiceMatch
from usage.speech import consent, match, own_voice
from usage.speech.tests.test_match import described
from usage.voiceprint import SampleRefused

pytestmark = pytest.mark.django_db(transaction=True)

SAMPLE = b"RIFF\x24\0\0\0WAVEfmt of a voice"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A helper that hears a woman, and an engine that speaks at once."""
    monkeypatch.setattr(voiceprint, "describe", lambda sample, *_: described())
    monkeypatch.setattr(own_voice, "engine", lambda name: QuickEngine())


@pytest.fixture
def rich(alice, now):
    return fund(alice, 60_000, now)


@pytest.fixture
def create(alice, rich, now):
    """Make a voice; `files` replaces the recording, and other arguments are fields of the form."""
    secret = keys.create(customer=alice, name="k", scopes=["voices", "read"], now=now)[1]

    def creating(*, secret=secret, key=None, files=(SAMPLE,), **fields):
        form = {"name": "Mine", "consent": consent.sentence()} | fields
        form = {name: value for name, value in form.items() if value is not None}
        form["recording"] = [SimpleUploadedFile(f"{n}.wav", data) for n, data in enumerate(files)]
        headers = {"authorization": f"Bearer {secret}"}
        if key is not None:
            headers["idempotency-key"] = key
        return Client().post("/v1/voices", form, headers=headers)

    creating.secret = secret
    return creating


def test_a_recording_becomes_a_voice(create, call):
    answer = create()

    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["category"], made["is_owner"]) == ("Mine", "cloned", True)
    assert made["credits_per_character"] == 1
    assert (answer["Vocalis-Credits"], answer["Vocalis-Available"]) == ("25000", "35500")
    assert call.get(f"voices/{made['voice_id']}").json() == made
    assert call.get("voices").json()["voices"][-1] == made
    assert VoiceConsent.objects.get().sentence == consent.COMPARED


def test_the_same_key_again_is_the_same_voice_free(create):
    first, again = create(key="one"), create(key="one")

    assert again.json() == first.json()
    assert (again["Idempotent-Replayed"], again["Vocalis-Credits"]) == ("true", "0")
    reused = create(key="one", name="Other")
    assert (reused.status_code, reused.json()["code"]) == (422, "key_reused")
    assert Wallet.objects.get().balance == 35_000


def test_an_empty_key_is_refused(create):
    """It would be one key for everything that the API key makes."""
    refused = create(key="")

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/key")
    assert Wallet.objects.get().balance == 60_000


def test_what_is_agreed_to_is_told_before(create, call):
    found = call.get("voice-consent").json()

    assert found["sentence"] == consent.sentence()
    assert (found["makes"], found["maker"], found["credits"]) == ("nearest", None, 25_000)
    assert create(consent=found["sha256"]).status_code == 201


@pytest.mark.parametrize(
    ("sent", "pointer", "words"),
    [
        ({"consent": "I agree"}, "/consent", "Send the sentence that the speaker agrees to"),
        ({"consent": None}, "/consent", "Field required"),
        ({"name": None}, "/name", "Field required"),
        ({"name": " "}, "/name", "1 to 60 characters"),
        ({"files": ()}, "/recording", "Field required"),
        ({"files": (b"",)}, "/recording", ""),
        ({"files": (SAMPLE, SAMPLE)}, "/recording", "Send one recording"),
    ],
)
def test_what_is_wrong_is_said_by_its_field(create, rich, sent, pointer, words):
    answer = create(**sent)

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer and words in error["detail"]
    assert Wallet.objects.get().balance == 60_000 and not Voice.objects.exists()


@pytest.mark.parametrize("code", [each for each in voiceprint.WORDS if each != "empty"])
def test_a_recording_that_will_not_do_is_refused_in_words(create, monkeypatch, code):
    def refusing(sample, *_):
        raise SampleRefused(code, seconds=4.0)

    monkeypatch.setattr(voiceprint, "describe", refusing)

    answer = create(key="k")

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/recording")
    assert error["detail"] == str(SampleRefused(code, seconds=4.0))
    assert Wallet.objects.get().reserved == 0


def test_without_credits_or_budget_it_is_402(create, alice, bob, now):
    poor = keys.create(customer=bob, name="k", scopes=["voices"], now=now)[1]
    small = keys.create(customer=alice, name="s", scopes=["voices"], limit=9, now=now)[1]

    answer = create(secret=poor)
    assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_credits")
    assert answer.json()["needed"] == 25_000 and answer.json()["top_up_url"]
    answer = create(secret=small)
    assert (answer.status_code, answer.json()["code"]) == (402, "key_budget_exceeded")


def test_as_many_as_a_day_has(create, monkeypatch):
    monkeypatch.setattr(match, "MATCHES_A_DAY", 1)
    assert create().status_code == 201

    answer = create()

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_matches")
    assert int(answer["Retry-After"]) > 60


def test_one_at_a_time(create, alice, now):
    given = VoiceConsent.objects.create(customer=alice, address="a", given_at=now)
    VoiceMatch.objects.create(customer=alice, key="m", consent=given, created_at=now)

    answer = create()

    assert (answer.status_code, answer.json()["code"]) == (409, "match_in_progress")


def test_a_voice_is_deleted_with_what_was_computed_for_it(create, call):
    made = create().json()["voice_id"]

    assert call("DELETE", f"voices/{made}").json() == {
        "voice_id": made,
        "status": "ok",
        "deleted": True,
    }
    assert call("DELETE", f"voices/{made}").json()["code"] == "unknown_voice"
    assert call.get(f"voices/{made}").status_code == 404
    assert VoiceMatch.objects.get().embedding is None
    refused = call("DELETE", "voices/standard-ava")
    assert (refused.status_code, refused.json()["code"]) == (403, "voice_not_owned")


def test_either_header_makes_one_and_others_methods_are_refused(create, client):
    form = {"name": "Mine", "consent": consent.sentence()}
    headers = {"xi-api-key": create.secret}
    answer = client.post(
        "/v1/voices", form | {"recording": SimpleUploadedFile("a.wav", SAMPLE)}, headers=headers
    )

    assert answer.status_code == 201
    assert client.post("/v1/voices", form).status_code == 401
    bearer = {"authorization": f"Bearer {create.secret}"}
    assert client.put("/v1/voices", headers=bearer).status_code == 405
    assert client.post("/v1/voices", b"{", "application/json", headers=bearer).status_code == 422
    broken = "multipart/form-data; boundary="
    assert client.post("/v1/voices", b"--x", broken, headers=bearer).status_code == 400

"""Voices, models, account and usage in ElevenLabs' dialect."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from api.elevenlabs import aliases
from billing import keys, ledger
from billing.models import Subscription
from conftest import fund
from usage import voiceprint
from usage.engines.tests.quick import QuickEngine
from usage.models import Voice, VoiceConsent, VoiceMatch
from usage.speech import consent, own_voice, voices
from usage.speech.tests.test_match import described
from usage.voiceprint import SampleRefused

from .conftest import read

pytestmark = pytest.mark.django_db(transaction=True)

OFFERED = len(voices.house())
SOUND = b"RIFF\x24\0\0\0WAVEfmt of a voice"


@pytest.fixture
def own(alice, now):
    """A voice of alice's, tuned by ear."""
    return Voice.objects.create(
        customer=alice,
        key="k",
        name="Mine",
        state="ready",
        engine="hibari",
        settings={"gain": 1.35},
        credits=25_000,
        created_at=now,
    )


@pytest.fixture
def matched(alice, now):
    consent = VoiceConsent.objects.create(customer=alice, sentence="s", address="a", given_at=now)
    match = VoiceMatch.objects.create(
        customer=alice, key="m", consent=consent, state="kept", created_at=now
    )
    return Voice.objects.create(
        customer=alice,
        key="m",
        name="Matched",
        state="ready",
        engine="kokoro",
        settings={"style": "af_heart", "gain": 1.0},
        credits=25_000,
        created_at=now + timedelta(seconds=1),
        match=match,
    )


def test_the_list_has_every_voice_with_all_that_clients_index(ask, own, matched):
    found = ask("GET", "/v1/voices").json()["voices"]

    assert len(found) == OFFERED + 2
    for each in found:
        assert each["voice_id"] and each["name"]
        assert each["category"] in ("premade", "cloned", "generated")
        assert all(isinstance(value, str) for value in each["labels"].values())
        assert each["credits_per_character"] in (1, 2)
    assert found[0]["voice_id"] == voices.DEFAULT.id
    assert found[0]["labels"]["gender"] == "female"
    assert found[0]["labels"]["accent"] == "american"
    assert found[0]["preview_url"].endswith("standard-ava.mp3")
    assert [each["category"] for each in found[-2:]] == ["generated", "cloned"]


def test_both_headers_get_the_list_and_each_failures_in_its_own_words(client, secret):
    for headers in ({"xi-api-key": secret}, {"authorization": f"Bearer {secret}"}):
        assert client.get("/v1/voices", headers=headers).json()["voices"]
    theirs = client.get("/v1/voices/nobody", headers={"xi-api-key": secret})
    ours = client.get("/v1/voices/nobody", headers={"authorization": f"Bearer {secret}"})

    assert theirs.status_code == ours.status_code == 404
    assert theirs.json()["detail"]["status"] == "voice_not_found"
    assert ours["Content-Type"] == "application/problem+json"
    assert ours.json()["code"] == "unknown_voice"
    assert client.get("/v1/voices").json()["detail"]["status"] == "invalid_api_key"


def test_one_voice_also_by_an_alias(ask, own):
    assert ask("GET", f"/v1/voices/{own.id}").json()["name"] == "Mine"
    rachel = ask("GET", "/v1/voices/21m00Tcm4TlvDq8ikWAM").json()
    assert (rachel["voice_id"], rachel["name"]) == ("21m00Tcm4TlvDq8ikWAM", "Clara")


def test_a_voice_of_another_customer_is_none(ask, bob, own):
    Voice.objects.update(customer=bob)

    for method, address in (("GET", ""), ("DELETE", ""), ("POST", "/edit"), ("GET", "/settings")):
        answer = ask(method, f"/v1/voices/{own.id}{address}")
        assert answer.status_code == 404
    assert len(ask("GET", "/v1/voices").json()["voices"]) == OFFERED


def test_a_search_has_pages(ask, own):
    first = ask("GET", "/v2/voices?page_size=2").json()
    seen, page = [each["voice_id"] for each in first["voices"]], first
    while page["has_more"]:
        page = ask(
            "GET", f"/v2/voices?page_size=2&next_page_token={page['next_page_token']}"
        ).json()
        seen += [each["voice_id"] for each in page["voices"]]

    assert first["total_count"] == len(seen) == len(set(seen)) == OFFERED + 1
    assert page["next_page_token"] is None
    assert len(ask("GET", "/v2/voices").json()["voices"]) == min(10, OFFERED + 1)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("search=ava", ["Ava"]),
        ("search=mine&voice_type=personal", ["Mine"]),
        ("category=generated", ["Mine"]),
        ("category=professional", []),
        ("voice_type=community", []),
        ("voice_type=default&search=clara", ["Clara"]),
        ("voice_ids=standard-ava&voice_ids=standard-june", ["Ava", "June"]),
        ("search=tuned&sort=name&sort_direction=asc", []),
        ("voice_ids=standard-ava&voice_ids=standard-june&sort=name", ["June", "Ava"]),
    ],
)
def test_a_search_finds_what_is_asked_for(ask, own, query, names):
    found = ask("GET", f"/v2/voices?{query}").json()

    assert [each["name"] for each in found["voices"]] == names
    assert found["total_count"] == len(names)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=x", "page_size"),
        ("next_page_token=-1", "next_page_token"),
        ("sort=age", "sort"),
    ],
)
def test_a_search_refuses_what_it_does_not_know(ask, query, place):
    answer = ask("GET", f"/v2/voices?{query}")

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", place]


def test_settings_are_theirs_and_none_is_kept(ask):
    usual = ask("GET", "/v1/voices/settings/default").json()
    assert usual["speed"] == 1.0
    assert ask("GET", "/v1/voices/standard-ava/settings").json() == usual
    edit = "/v1/voices/standard-ava/settings/edit"
    assert ask("POST", edit, {**usual, "stability": 0.1}).json() == {"status": "ok"}
    assert ask("POST", edit, {"speed": 1.2}).status_code == 422
    assert ask("GET", "/v1/voices/nobody/settings").status_code == 404


def test_a_voice_of_ones_own_can_be_renamed(secret, own):
    def edit(voice_id, **fields):
        return Client().post(f"/v1/voices/{voice_id}/edit", fields, headers={"xi-api-key": secret})

    assert edit(own.id, name=" Better ", description="d", labels="null").json() == {"status": "ok"}
    own.refresh_from_db()
    assert own.name == "Better"
    assert edit(own.id).json()["detail"][0]["loc"] == ["body", "name"]
    assert edit(own.id, name="").status_code == 422
    assert edit("standard-ava", name="x").json()["detail"]["status"] == "voice_not_owned"


def test_a_voice_of_ones_own_can_be_deleted(ask, own, matched):
    for voice in (own, matched):
        assert ask("DELETE", f"/v1/voices/{voice.id}").json() == {"status": "ok"}
        assert ask("GET", f"/v1/voices/{voice.id}").status_code == 404
        assert ask("DELETE", f"/v1/voices/{voice.id}").status_code == 404
        voice.refresh_from_db()
        assert voice.state == "revoked"
    assert VoiceMatch.objects.get().state == "revoked"
    assert VoiceConsent.objects.get().revoked_at
    assert ask("DELETE", "/v1/voices/standard-ava").status_code == 403


@pytest.fixture
def quick(monkeypatch):
    """A helper that hears a woman, and an engine that speaks at once."""
    monkeypatch.setattr(voiceprint, "describe", lambda sample, *_: described())
    monkeypatch.setattr(own_voice, "engine", lambda name: QuickEngine())


@pytest.fixture
def add(secret, alice, now, quick):
    """Make a voice of these files, as their clients send them."""
    fund(alice, 60_000, now)

    def adding(*files, secret=secret, **fields):
        form = {"name": "Mine", "labels": "null"} | fields
        form = {name: value for name, value in form.items() if value is not None}
        form["files"] = [SimpleUploadedFile("a.wav", each) for each in files or (SOUND,)]
        return Client().post("/v1/voices/add", form, headers={"xi-api-key": secret})

    return adding


def test_a_voice_is_made_of_a_recording(add, ask):
    answer = add(description="d", remove_background_noise="true", labels='{"accent": "plain"}')

    made = answer.json()
    assert made["requires_verification"] is False
    assert (answer["character-cost"], answer["Vocalis-Available"]) == ("25000", "35000")
    found = ask("GET", f"/v1/voices/{made['voice_id']}").json()
    assert (found["name"], found["category"], found["is_owner"]) == ("Mine", "cloned", True)
    assert ask("GET", "/v1/user/subscription").json()["can_use_instant_voice_cloning"] is True
    assert VoiceConsent.objects.get().sentence == consent.COMPARED


def test_a_voice_is_made_under_the_consent_that_its_labels_name(add):
    agreed = json.dumps({"consent": consent.sentence()})
    assert add(labels=agreed).status_code == 200

    answer = add(labels=json.dumps({"consent": "I agreed to something else."}))
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "labels", "consent"]


@pytest.mark.parametrize(
    ("files", "fields", "place", "words"),
    [
        ((SOUND,), {"name": None}, "name", "Field required"),
        ((SOUND,), {"name": ""}, "name", "1 to 60 characters"),
        ((SOUND, SOUND), {}, "files", "Send one recording"),
        ((b"",), {}, "files", "Choose a file"),
        ((SOUND,), {"labels": "x"}, "labels", "JSON object"),
        ((SOUND,), {"labels": "[]"}, "labels", "JSON object"),
    ],
)
def test_a_voice_that_is_none(add, files, fields, place, words):
    answer = add(*files, **fields)

    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert error["loc"] == ["body", place] and words in error["msg"]
    assert not Voice.objects.exists()


def test_a_voice_of_no_file_or_no_form(secret):
    for body in ({"name": "Mine"}, {"name": "Mine", "files": "not a file"}):
        answer = Client().post("/v1/voices/add", body, headers={"xi-api-key": secret})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "files"]
    answer = Client().post(
        "/v1/voices/add", "{}", "application/json", headers={"xi-api-key": secret}
    )
    assert answer.json()["detail"][0]["loc"] == ["body", "name"]


@pytest.mark.parametrize("code", ["too_short", "silent", "unknown", "too_large", "no_voice"])
def test_recordings_that_will_not_do(add, monkeypatch, code):
    def refusing(sample, *_):
        raise SampleRefused(code, seconds=1)

    monkeypatch.setattr(voiceprint, "describe", refusing)

    answer = add()

    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert (error["loc"], error["msg"]) == (["body", "files"], str(SampleRefused(code, seconds=1)))


def test_a_voice_without_credits_is_their_quota(add, bob, now):
    poor = keys.create(customer=bob, name="k", scopes=["voices"], now=now)[1]

    answer = add(secret=poor)

    assert (answer.status_code, answer.json()["detail"]["status"]) == (401, "quota_exceeded")
    assert "25000 credits are required" in answer.json()["detail"]["message"]


def test_a_key_that_may_only_read_changes_no_voice(ask, alice, own, now):
    reading = keys.create(customer=alice, name="r", scopes=["read"], now=now)[1]

    for method, address in (("DELETE", ""), ("POST", "/edit"), ("POST", "/settings/edit")):
        answer = ask(method, f"/v1/voices/{own.id}{address}", xi_api_key=reading)
        assert answer.status_code == 403


def test_models_are_a_bare_list(ask):
    found = ask("GET", "/v1/models").json()

    assert {"eleven_multilingual_v2", "eleven_flash_v2_5", "eleven_turbo_v2_5"} <= {
        each["model_id"] for each in found
    }
    for each in found:
        assert each["name"] and each["can_do_text_to_speech"]
        assert each["languages"][0] == {"language_id": "en", "name": "English"}
        assert each["maximum_text_length_per_request"] == 5_000
        assert each["model_rates"]["character_cost_multiplier"] == 1


def test_the_subscription_says_what_can_be_spent(ask, alice, wallet, engine, now):
    read(ask("POST", "/v1/text-to-speech/Rachel", {"text": "Ten chars."}))

    free = ask("GET", "/v1/user/subscription").json()
    assert (free["tier"], free["status"]) == ("free", "free")
    assert (free["character_count"], free["character_limit"]) == (10, 500)
    assert free["open_invoices"] == [] and free["has_open_invoices"] is False
    small = keys.create(customer=alice, name="s", limit=40, now=now)[1]
    of_key = ask("GET", "/v1/user/subscription", xi_api_key=small).json()
    assert of_key["character_limit"] - of_key["character_count"] == 40
    Subscription.objects.create(
        customer=alice,
        plan="creator",
        state="active",
        key="k",
        created_at=now,
        period_start_at=now + timedelta(seconds=5),
        period_end_at=now + timedelta(days=30),
        due_at=now,
    )
    plan = ask("GET", "/v1/user/subscription").json()
    assert (plan["tier"], plan["status"], plan["character_count"]) == ("creator", "active", 0)
    assert plan["character_limit"] == 490
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    held = ask("GET", "/v1/user/subscription").json()
    assert held["character_limit"] == held["character_count"]
    assert plan["next_character_count_reset_unix"] == int((now + timedelta(days=30)).timestamp())


def test_the_user_is_the_customer(ask, alice, wallet):
    user = ask("GET", "/v1/user").json()

    assert user["user_id"] == str(alice.id)
    assert user["first_name"] == "Alice"
    assert user["subscription"]["character_limit"] == 500
    assert "open_invoices" not in user["subscription"]


def test_usage_is_by_time_and_by_voice(ask, alice, wallet, engine, now):
    fund(alice, 500, now)
    read(ask("POST", "/v1/text-to-speech/Rachel", {"text": "Ten chars."}))
    read(ask("POST", "/v1/text-to-speech/standard-ava", {"text": "Four"}))
    start, end = (int((now + timedelta(days=d)).timestamp() * 1_000) for d in (-3, 1))
    address = f"/v1/usage/character-stats?start_unix={start}&end_unix={end}"

    days = ask("GET", address).json()
    assert len(days["time"]) == len(days["usage"]["All"]) == 5
    assert sum(days["usage"]["All"]) == 14
    for every, count in (("hour", 97), ("cumulative", 1)):
        found = ask("GET", f"{address}&aggregation_interval={every}").json()
        assert len(found["time"]) == len(found["usage"]["All"]) == count
        assert sum(found["usage"]["All"]) == 14
    by_voice = ask("GET", f"{address}&breakdown_type=voice").json()["usage"]
    assert {name: sum(counts) for name, counts in by_voice.items()} == {"Clara": 10, "Ava": 4}
    by_key = ask("GET", f"{address}&breakdown_type=api_keys").json()["usage"]
    assert {name: sum(counts) for name, counts in by_key.items()} == {"k": 14}


@pytest.mark.parametrize(
    "query",
    [
        "end_unix=5",
        "start_unix=5",
        "start_unix=5&end_unix=4",
        "start_unix=x&end_unix=4",
        "start_unix=99999999999999999999&end_unix=4",
        "start_unix=0&end_unix=1700000000000&aggregation_interval=hour",
        "start_unix=0&end_unix=1000&aggregation_interval=minute",
        "start_unix=0&end_unix=1000&metric=minutes",
    ],
)
def test_usage_of_a_time_that_is_none_is_refused(ask, query):
    assert ask("GET", f"/v1/usage/character-stats?{query}").status_code == 422


def test_the_document_says_what_every_voice_of_theirs_means():
    document = (Path(settings.BASE_DIR) / "docs/api-elevenlabs.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in document.splitlines() if line.count("|") == 4]
    rows = [row for row in rows if len(row) == 3]
    said = {(name, row[1]) for row in rows for name in row[0].replace(";", ",").split(", ")}

    for alias in aliases.ALIASES:
        assert (alias.name, voices.HOUSE[alias.premium].name) in said

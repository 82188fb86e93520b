"""Models and voices to choose from, as OpenAI's clients and Open WebUI read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from api.openai.models import MODELS
from api.openai.voices import ALIASES
from usage.speech import voices

from .test_speech import own_voice

pytestmark = pytest.mark.django_db


@pytest.fixture
def get(client, secret):
    def getting(path, key=secret, **headers):
        bearer = {"authorization": f"Bearer {key}"} if key else {}
        return client.get(path, headers=bearer | headers)

    return getting


def test_the_models_are_the_names_that_are_taken(get):
    body = get("/v1/models").json()

    assert body["object"] == "list"
    assert [each["id"] for each in body["data"]] == list(MODELS)
    assert {"tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15"} <= set(MODELS)
    for each in body["data"]:
        assert set(each) == {"id", "object", "created", "owned_by"}
        assert (each["object"], type(each["created"])) == ("model", int)
        assert get(f"/v1/models/{each['id']}").json() == each


def test_an_unknown_model(get):
    answer = get("/v1/models/gpt-5")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/tts-1"])
def test_models_are_for_keys_as_programs_prove_them_there(get, path):
    assert get(path, key="").status_code == 401
    answer = get(path, key="sk-wrong")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_the_other_header_gets_the_other_dialects_list(get, client, secret):
    found = client.get("/v1/models", headers={"xi-api-key": secret}).json()

    assert {"model_id", "name", "languages"} <= set(found[0])
    assert client.get("/v1/models", headers={"xi-api-key": "x"}).json()["detail"]["status"]
    assert client.post("/v1/models", headers={"xi-api-key": secret}).status_code == 405
    assert client.post("/v1/models").json()["error"]["code"] == "method_not_allowed"


def test_models_for_open_webui_need_no_key(get):
    body = get("/v1/audio/models", key="").json()

    assert [each["id"] for each in body["models"]] == list(MODELS)
    assert all(each["name"] for each in body["models"])


def test_voices_for_open_webui_need_no_key(get):
    body = get("/v1/audio/voices", key="").json()

    ids = [each["id"] for each in body["voices"]]
    assert ids == [one.id for one in voices.house()] + list(ALIASES)
    names = {each["id"]: each["name"] for each in body["voices"]}
    assert names["premium-nora"] == "Nora (American, woman, clear and lively; premium)"
    assert all(set(each) == {"id", "name"} for each in body["voices"])


def test_with_a_key_ones_own_voices_are_first_and_nobody_elses(get, alice, bob, now):
    mine, _ = own_voice(alice, now), own_voice(bob, now)

    found = get("/v1/audio/voices").json()["voices"]

    assert found[0] == {"id": str(mine.id), "name": "Mine (Your own; standard)"}
    assert len(found) == 1 + len(voices.house()) + len(ALIASES)
    assert get("/v1/audio/voices", key="sk-wrong").status_code == 401


def test_voices_that_cannot_speak_here_are_not_listed(get, lacking):
    lacking("kokoro")

    ids = {each["id"] for each in get("/v1/audio/voices", key="").json()["voices"]}

    assert "premium-nora" not in ids and "standard-ava" in ids


def test_a_list_may_be_asked_for_without_its_body(client):
    answer = client.head("/v1/audio/voices")

    assert (answer.status_code, answer.content) == (200, b"")


def test_the_documents_name_every_voice_and_model():
    document = (Path(settings.BASE_DIR) / "docs/api.md").read_text()

    for name, ids in ALIASES.items():
        standard, premium = (f"{voices.HOUSE[each].name}, `{each}`" for each in ids)
        assert f"| `{name}` | {premium} | {standard} |" in document
    assert all(f"`{model}`" in document for model in MODELS if not model.startswith("gpt-4o-mini-"))

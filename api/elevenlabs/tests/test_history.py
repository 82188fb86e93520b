"""The history in ElevenLabs' dialect: pages, filters, audio, downloads, deletion."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage

from billing import keys
from usage.audio.tests.test_encoders import decode
from usage.models import Generation, Voice
from usage.speech import retention

from .conftest import credits, read

pytestmark = pytest.mark.django_db(transaction=True)

TEXTS = ["One text.", "Two texts.", "Three texts.", "Four texts."]


@pytest.fixture
def items(ask, wallet, engine, now):
    """Four texts, a minute apart; the ids of the oldest first."""
    for number, text in enumerate(TEXTS):
        voice = ("standard-ava", "standard-june")[number % 2]
        read(ask("POST", f"/v1/text-to-speech/{voice}", {"text": text}))
        made = Generation.objects.filter(text=text)
        made.update(created_at=now + timedelta(minutes=number - 10))
    return [str(Generation.objects.get(text=text).id) for text in TEXTS]


def ids(answer):
    return [each["history_item_id"] for each in answer.json()["history"]]


def test_an_item_says_what_was_spoken_and_what_it_cost(ask, items, alice):
    item = ask("GET", f"/v1/history/{items[0]}").json()

    assert item["text"] == "One text."
    assert item["character_count_change_to"] - item["character_count_change_from"] == 9
    assert (item["voice_id"], item["voice_name"]) == ("standard-ava", "Ava")
    assert (item["voice_category"], item["state"], item["source"]) == ("premade", "created", "TTS")
    assert item["content_type"] == "audio/mpeg"
    assert item == ask("GET", "/v1/history").json()["history"][-1]


@pytest.mark.parametrize("direction", ["desc", "asc"])
def test_pages_go_through_all_items(ask, items, direction):
    Generation.objects.update(created_at=Generation.objects.first().created_at)  # of one instant
    seen, after = [], ""
    while True:
        page = ask("GET", f"/v1/history?page_size=1&sort_direction={direction}{after}")
        seen += ids(page)
        if not page.json()["has_more"]:
            break
        after = f"&start_after_history_item_id={page.json()['last_history_item_id']}"

    assert sorted(seen) == sorted(items)
    assert len(seen) == 4


def test_the_newest_is_first_unless_the_oldest_is_asked_for(ask, items):
    assert ids(ask("GET", "/v1/history")) == items[::-1]
    assert ids(ask("GET", "/v1/history?sort_direction=asc")) == items


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("voice_id=standard-june", [3, 1]),
        ("voice_id=FGY2WhTYpPnrIDTdsKH5", [3, 1]),
        ("voice_id=nobody", []),
        ("search=three", [2]),
        ("search=june", [3, 1]),
        ("source=STS", []),
        ("source=TTS&model_id=eleven_v3", [3, 2, 1, 0]),
    ],
)
def test_filters(ask, items, query, found):
    assert ids(ask("GET", f"/v1/history?{query}")) == [items[number] for number in found]


def test_a_time_bounds_the_list(ask, items, now):
    middle = int((now - timedelta(minutes=8)).timestamp())

    assert ids(ask("GET", f"/v1/history?date_before_unix={middle}")) == items[1::-1]
    assert ids(ask("GET", f"/v1/history?date_after_unix={middle}")) == items[:1:-1]


@pytest.mark.parametrize(
    "query", ["page_size=1001", "start_after_history_item_id=x", "date_after_unix=x"]
)
def test_a_list_that_cannot_be_is_refused(ask, query):
    assert ask("GET", f"/v1/history?{query}").status_code == 422


def test_the_audio_is_played_again_free(ask, items, alice):
    before = credits(alice)

    answer = ask("GET", f"/v1/history/{items[0]}/audio")

    assert answer["Content-Type"] == "audio/mpeg"
    assert decode("mp3", read(answer), 44_100).any()
    assert credits(alice) == before


def test_a_deleted_item_is_gone_with_its_audio_and_its_receipt_stays(ask, items, alice):
    before = credits(alice)
    stored = Generation.objects.get(id=items[0])

    assert ask("DELETE", f"/v1/history/{items[0]}").json() == {"status": "ok"}

    row = Generation.objects.get(id=items[0])
    assert (row.audio, row.credits) == ("", 9)
    assert row.audio_deleted_at
    assert items[0] not in ids(ask("GET", "/v1/history"))
    for method, address in (("GET", ""), ("GET", "/audio"), ("DELETE", "")):
        answer = ask(method, f"/v1/history/{items[0]}{address}")
        assert answer.status_code == 404
        assert answer.json()["detail"]["status"] == "history_item_not_found"
    assert credits(alice) == before
    assert not default_storage.exists(stored.audio)


def test_audio_that_is_being_made_again_is_not_deleted(ask, items, now):
    Generation.objects.filter(id=items[0]).update(is_making_again=True, again_at=now)

    assert ask("DELETE", f"/v1/history/{items[0]}").status_code == 409


def test_a_storage_that_is_away_deletes_nothing(ask, items, monkeypatch):
    def away(stored):
        raise OSError("away")

    monkeypatch.setattr(retention.encoded, "delete", away)

    assert ask("DELETE", f"/v1/history/{items[0]}").status_code == 503
    assert items[0] in ids(ask("GET", "/v1/history"))


@pytest.mark.parametrize(("name", "codec"), [(None, "mp3"), ("default", "mp3"), ("wav", "wav")])
def test_a_download_is_one_file_or_a_zip(ask, items, name, codec):
    def download(*which):
        body = {"history_item_ids": list(which), "output_format": name}
        return ask("POST", "/v1/history/download", body)

    with_one, with_two = download(items[0]), download(items[0], items[1], items[1])

    assert decode(codec, b"".join(with_one.streaming_content), 24_000).any()
    with_one.close()
    with zipfile.ZipFile(io.BytesIO(b"".join(with_two.streaming_content))) as archive:
        assert len(archive.namelist()) == 2
        assert decode(codec, archive.read(archive.namelist()[1]), 24_000).any()
    with_two.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"history_item_ids": []}, 422),
        ({"history_item_ids": ["x"] * 101}, 422),
        ({"history_item_ids": "x"}, 422),
        ({"history_item_ids": [3]}, 404),
        ({"history_item_ids": ["x"], "output_format": "flac"}, 422),
    ],
)
def test_a_download_of_nothing_is_refused(ask, body, status):
    assert ask("POST", "/v1/history/download", body).status_code == status


def test_nobody_sees_the_items_of_another(ask, items, bob, now):
    other = keys.create(customer=bob, name="b", now=now)[1]

    assert ids(ask("GET", "/v1/history", xi_api_key=other)) == []
    for method, address in (("GET", ""), ("GET", "/audio"), ("DELETE", "")):
        answer = ask(method, f"/v1/history/{items[0]}{address}", xi_api_key=other)
        assert answer.status_code == 404
    body = {"history_item_ids": items[:1]}
    assert ask("POST", "/v1/history/download", body, xi_api_key=other).status_code == 404
    assert not Voice.objects.exists()

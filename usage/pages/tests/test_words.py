"""The word times of a generation and its subtitles: to its owner alone, in three formats."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from billing.models import Wallet
from usage.models import Generation
from usage.speech import capture, speak, words

JSON = {"HTTP_ACCEPT": "application/json"}
TEXT = "Hello, <world>!\n\nTom & Jerry are here now."


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def generation(alice, wallet, now):
    return speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)


@pytest.fixture
def address(generation):
    return reverse("words", args=[generation.id])


def test_the_words_of_a_book_are_sent_compressed_to_who_takes_that(page, generation, address):
    """Which keeps them a tenth as large, and does not send again what is there."""
    row = Generation.objects.get()
    times = words.unpacked(row.words)
    Generation.objects.update(text=TEXT * 100, words=words.packed(times * 100))
    plain = page.get(address)

    answer = page.get(address, HTTP_ACCEPT_ENCODING="gzip")

    assert answer["Content-Encoding"] == "gzip" and gzip.decompress(answer.content) == plain.content
    assert len(answer.content) < len(plain.content) / 5
    again = page.get(address, HTTP_ACCEPT_ENCODING="gzip", HTTP_IF_NONE_MATCH=answer["ETag"])
    assert (again.status_code, again.content) == (304, b"")


def test_every_written_word_has_its_time(page, generation, address):
    answer = page.get(address)

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    words = answer.json()
    assert [each["word"] for each in words] == [
        "Hello,",
        "<world>!",
        "Tom",
        "&",
        "Jerry",
        "are",
        "here",
        "now.",
    ]
    heard = 0
    for each in words:
        assert each["word"] == TEXT[each["from"] : each["to"]]
        assert heard <= each["start"] < each["end"] <= generation.duration_seconds
        heard = each["end"]
    assert page.get(address, {"format": "json"}).content == answer.content


@pytest.mark.parametrize(
    ("name", "content_type", "begins", "holds"),
    [
        ("srt", "application/x-subrip", "1\n00:00:00,", "\nTom & Jerry are here now.\n"),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:", "\nTom &amp; Jerry are here now.\n"),
    ],
)
def test_subtitles_can_be_shown_and_downloaded(
    page, generation, address, name, content_type, begins, holds
):
    shown = page.get(address, {"format": name})
    file = shown.content.decode()

    assert (shown.status_code, shown["Content-Type"]) == (200, content_type)
    assert file.startswith(begins) and holds in file and file.count(" --> ") == 2
    filename = f'filename="Hello-world-Tom-Jerry-are-here-now.{name}"'
    assert shown["Content-Disposition"] == f"inline; {filename}"
    assert shown["X-Content-Type-Options"] == "nosniff"
    saved = page.get(address, {"format": name, "download": "1"})
    assert saved["Content-Disposition"] == f"attachment; {filename}"
    head = page.head(address, {"format": name})
    assert (head["Content-Length"], head.content) == (str(len(shown.content)), b"")


def test_a_client_that_has_the_words_is_not_sent_them_again(page, address):
    tags = {name: page.get(address, {"format": name})["ETag"] for name in ("json", "srt", "vtt")}
    assert len(set(tags.values())) == 3

    answer = page.get(address, {"format": "srt"}, headers={"If-None-Match": tags["srt"]})
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", tags["srt"])
    assert answer["Cache-Control"].startswith("private")
    other = page.get(address, {"format": "vtt"}, headers={"If-None-Match": tags["srt"]})
    assert other.status_code == 200


@pytest.mark.parametrize("name", ["", "ass", "SRT", "../srt", "wav"])
def test_a_format_that_there_is_not_is_refused_in_words(page, address, name):
    answer = page.get(address, {"format": name}, **JSON)

    assert answer.status_code == 422 and "json, srt, vtt" in str(answer.json()["errors"])
    assert "json, srt, vtt" in page.get(address, {"format": name}).text


def test_words_are_the_owners_alone(client, page, bob, staff, address):
    client.force_login(bob.user)
    assert client.get(address).status_code == 404
    client.force_login(staff)
    assert client.get(address).status_code == 403
    client.logout()
    assert client.get(address).status_code == 302
    assert client.get(address, **JSON).status_code == 401


def test_words_that_are_not_there_are_404(page, address, now):
    assert page.get(reverse("words", args=[uuid4()])).status_code == 404
    Generation.objects.update(state="pending", taken_at=now + timedelta(hours=1))
    assert page.get(address).status_code == 404


def test_only_a_pause_has_valid_files_without_words(page, alice, wallet, now):
    pause = speak.speak(customer=alice, text="…", voice_id="standard", key="k", now=now)
    address = reverse("words", args=[pause.id])

    files = {name: page.get(address, {"format": name}).content for name in ("json", "srt", "vtt")}
    assert files == {"json": b"[]", "srt": b"", "vtt": b"WEBVTT\n"}


def test_what_was_spoken_before_times_were_kept_says_so(page, address):
    Generation.objects.update(words=None)

    for query in ({}, {"format": "srt"}):
        answer = page.get(address, query)
        assert answer.status_code == 404 and answer["Cache-Control"] == "no-store"
        assert "This text has no subtitles" in answer.text and "Speak the text again" in answer.text
        told = page.get(address, query, **JSON)
        assert (told.status_code, list(told.json())) == (404, ["error"])


def test_the_pages_lead_to_subtitles_where_there_are_any(page, generation, address):
    for url in ("/studio/", f"/studio/?done={generation.id}"):
        for name in ("srt", "vtt"):
            assert f'href="{address}?format={name}&amp;download=1" download' in page.get(url).text
    Generation.objects.update(words=None)
    for url in ("/studio/", f"/studio/?done={generation.id}"):
        answer = page.get(url)
        assert f"/studio/{generation.id}/audio/" in answer.text and address not in answer.text


def test_a_program_is_told_where_the_words_are(page, wallet):
    form = {"text": "Hello", "voice": "standard", "key": "k"}
    answer = page.post("/studio/", form, **JSON).json()

    assert [each["word"] for each in page.get(answer["words_url"]).json()] == ["Hello"]
    Generation.objects.update(words=None)
    again = page.post("/studio/", form, **JSON)
    assert (again.status_code, again.json()) == (201, answer | {"words_url": None})


@pytest.mark.parametrize("url", ["/studio/", "/studio/?done={}", "/usage/", "/billing/", "audio"])
def test_no_page_reads_the_times_of_what_it_lists(page, generation, url):
    url = reverse("audio", args=[generation.id]) if url == "audio" else url.format(generation.id)

    with CaptureQueriesContext(connection) as queries:
        assert page.get(url).status_code == 200

    read = [query["sql"] for query in queries if '"usage_generation"."words"' in query["sql"]]
    assert not [sql for sql in read if '"usage_generation"."words",' in sql], read
    assert any('"usage_generation"' in query["sql"] for query in queries)


def test_the_admin_does_not_read_them_either(client, staff, generation):
    client.force_login(staff)
    for page in ("changelist", "change"):
        args = [generation.id] if page == "change" else []
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(reverse(f"admin:usage_generation_{page}", args=args))
        assert answer.status_code == 200 and "Jerry" not in answer.text
        assert not any('"words"' in query["sql"] for query in queries)


def test_times_are_written_with_the_outcome_or_not_at_all(alice, wallet, now, monkeypatch):
    def refuse(**how):
        raise RuntimeError("the event cannot be written")

    monkeypatch.setattr(capture, "capture_and_report", refuse)
    with pytest.raises(RuntimeError):
        speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)

    row = Generation.objects.get()
    assert (row.state, row.words) == ("failed", None)
    assert Wallet.objects.values_list("balance", "reserved").get() == (500, 0)


def test_letters_of_all_scripts_are_not_escaped(page, alice, wallet, now):
    row = speak.speak(customer=alice, text="Café “déjà”", voice_id="standard", key="k", now=now)
    content = page.get(reverse("words", args=[row.id])).content

    assert "“déjà”" in content.decode() and len(json.loads(content)) == 2

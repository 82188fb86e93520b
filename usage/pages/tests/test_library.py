"""The library's pages: of all texts, of a folder, of one text."""

from __future__ import annotations

import io
import re
import zipfile

import pytest
from django.urls import reverse

from accounts import throttle
from usage.engines.tests.quick import QuickEngine
from usage.models import Folder, Generation
from usage.speech import shelf, speak

LIBRARY = "/studio/library/"
TEXT = "Every morning <the> harbour wakes.\n\n" + "And so on. " * 60 + "The end."


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def made(alice, now):
    """A long text that failed."""
    return Generation.objects.create(
        customer=alice,
        key="k",
        body_hash="h",
        text=TEXT,
        voice="standard-ava",
        voice_name="Ava",
        voice_type="standard",
        characters=len(TEXT),
        credits=len(TEXT),
        state="failed",
        failure="It failed.",
        created_at=now,
        taken_at=now,
    )


@pytest.fixture
def spoken(alice, wallet, now, monkeypatch):
    monkeypatch.setattr(speak, "engine", lambda name: QuickEngine())
    return speak.speak(
        customer=alice, text="Hello there.", voice_id="standard-ava", key="s", now=now
    )


@pytest.fixture
def folder(alice, now):
    return Folder.objects.create(customer=alice, name="Podcast", created_at=now)


def test_the_whole_text_can_be_read_and_spoken_again_also_when_it_failed(page, made):
    content = page.get(LIBRARY).content.decode()
    address = reverse("generation", args=[made.id])
    assert f'href="{address}"' in content and "Failed, not charged" in content
    content = page.get(address).content.decode()

    assert "Every morning &lt;the&gt; harbour wakes.\n\nAnd so on." in content
    assert "The end." in content and f"/studio/?again={made.id}" in content


def test_a_text_plays_on_its_page_without_script(page, spoken):
    content = page.get(reverse("generation", args=[spoken.id])).content.decode()

    assert f'src="/studio/{spoken.id}/audio/?format=mp3"' in content
    assert 'aria-current="true">Studio' in content
    content = page.get(LIBRARY).content.decode()
    assert f'href="/studio/{spoken.id}/#player" data-play' in content


def test_texts_are_named_moved_and_found(page, spoken, folder):
    address = reverse("generation", args=[spoken.id])
    answer = page.post(address, {"title": "Episode 14", "folder": folder.id})
    assert answer["Location"] == address
    for query in ("", "?q=EPISODE", f"?folder={folder.id}", f"?q=hello&folder={folder.id}"):
        assert "Episode 14</a>" in page.get(LIBRARY + query).content.decode(), query
    content = page.get(f"{LIBRARY}?q=nowhere").content.decode()
    assert "Episode 14" not in content and "No text has “nowhere”" in content

    wrong = page.post(address, {"title": "x" * 121, "folder": ""})
    assert wrong.status_code == 422 and "Write up to 120" in wrong.content.decode()
    assert Generation.objects.get().folder == folder


def test_what_is_ticked_is_moved(page, spoken, made, folder, bob, now):
    theirs = Folder.objects.create(customer=bob, name="Theirs", created_at=now)
    move = reverse("library-move")
    answer = page.post(move, {"id": [spoken.id, made.id, "x"], "folder": folder.id}, follow=True)
    assert "2 texts are in Podcast now." in answer.content.decode()
    for wrong in ({"folder": folder.id}, {"id": made.id}, {"id": made.id, "folder": theirs.id}):
        answer = page.post(move, wrong, follow=True)
        assert "Tick the texts, and choose a folder" in answer.content.decode()
    page.post(move, {"id": made.id, "folder": "none"})

    assert set(Generation.objects.values_list("id", "folder")) == {
        (spoken.id, folder.id),
        (made.id, None),
    }


def test_folders_are_made_renamed_and_deleted(page, spoken):
    answer = page.post(reverse("folder-create"), {"name": "Podcast"})
    folder = Folder.objects.get()
    assert answer["Location"] == f"{LIBRARY}?folder={folder.id}"
    answer = page.post(reverse("folder-create"), {"name": "Podcast"})
    assert answer.status_code == 422 and "folder Podcast already" in answer.content.decode()
    page.post(reverse("folder-create"), {"name": "Other"})
    change = reverse("folder-change", args=[folder.id])
    answer = page.post(change, {"name": "Other"})
    assert answer.status_code == 422 and "folder Other already" in answer.content.decode()
    page.post(change, {"name": "Episodes"})
    spoken_in = {"folder": folder.id, "id": spoken.id}
    page.post(reverse("library-move"), spoken_in)
    answer = page.post(change, {"delete": "1"}, follow=True)

    assert "The folder Episodes is deleted." in answer.content.decode()
    assert Generation.objects.get().folder is None and Folder.objects.count() == 1


def test_a_text_is_deleted_and_its_receipt_stays(page, spoken):
    answer = page.post(reverse("generation-delete", args=[spoken.id]), follow=True)

    content = answer.content.decode()
    assert "Text and audio are deleted." in content and "Hello there." not in content
    assert page.get(reverse("generation", args=[spoken.id])).status_code == 404
    receipt = page.get(reverse("receipt", args=[spoken.id])).content.decode()
    assert "Text deleted" in receipt and "when its time was over" not in receipt
    assert "Make it again" not in receipt
    assert b"Hello there." not in page.get(f"/studio/?done={spoken.id}").content
    assert page.post(reverse("again", args=[spoken.id])).status_code == 410


def test_a_storage_that_is_away_is_said_and_deletes_nothing(page, spoken, monkeypatch):
    def away(name):
        raise OSError("away")

    monkeypatch.setattr("usage.speech.audio.remove", away)
    answer = page.post(reverse("generation-delete", args=[spoken.id]), follow=True)

    assert "could not be deleted just now" in answer.content.decode()
    assert Generation.objects.get().text == "Hello there."


def test_pages_are_linked(page, spoken, made, monkeypatch):
    monkeypatch.setattr(shelf, "PAGE", 1)
    first = page.get(LIBRARY).content.decode()
    older = re.search(r'href="(\?[^"]+)" rel="next"', first)[1].replace("&amp;", "&")
    second = page.get(LIBRARY + older).content.decode()

    assert "Newest" not in first and "Newest" in second and 'rel="next"' not in second
    assert first.count("data-take ") == second.count("data-take ") == 1


def test_a_folder_is_downloaded_as_one_file(page, spoken, folder, monkeypatch):
    Generation.objects.update(folder=folder, title="École")
    address = reverse("archive", args=[folder.id])
    answer = page.get(address, {"format": "wav"})

    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"] == 'attachment; filename="Podcast.zip"'
    data = answer.getvalue()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["École.wav"]
        assert archive.read("École.wav")[:4] == b"RIFF"
    assert page.get(address, {"format": "exe"}).status_code == 422
    assert page.head(address)["Content-Type"] == "application/zip"
    monkeypatch.setitem(throttle.RATES, "archive", ("1/10m", ""))
    page.get(address)
    assert "very often" in page.get(address, follow=True).content.decode()


def test_an_empty_folder_says_so(page, folder):
    answer = page.get(reverse("archive", args=[folder.id]), follow=True)

    assert "There is no audio in this folder" in answer.content.decode()


def test_downloads_are_named_by_their_title(page, spoken):
    Generation.objects.update(title="Folge Grün")
    answer = page.get(reverse("audio", args=[spoken.id]), {"format": "mp3", "download": "1"})

    assert answer["Content-Disposition"] == (
        "attachment; filename=\"Folge-Grun.mp3\"; filename*=UTF-8''Folge-Gr%C3%BCn.mp3"
    )


def test_levels_are_for_the_owner_and_say_that_audio_is_lost(page, spoken, bob, client):
    address = reverse("levels", args=[spoken.id])
    assert page.get(address).json() == [0] * 118, "the engine of this test is silent"
    Generation.objects.update(audio="elsewhere.flac")
    assert page.get(address, headers={"accept": "application/json"}).status_code == 410
    client.force_login(bob.user)

    assert client.get(address).status_code == 404


def test_lists_files_and_receipt_call_a_text_as_it_is_spoken(page, alice, wallet, now, monkeypatch):
    monkeypatch.setattr(speak, "engine", lambda name: QuickEngine())
    text = "# Chapter 1\n\nIt was **late**."
    made = speak.speak(customer=alice, text=text, voice_id="standard-ava", key="c", now=now)
    addresses = (
        LIBRARY,
        reverse("studio"),
        reverse("usage"),
        reverse("receipt", args=[made.id]),
        reverse("generation", args=[made.id]),
    )
    for address in addresses:
        html = page.get(address).text
        assert "Chapter 1: It was late." in html, address
        assert not re.search(r"<(h1|title)[^>]*>[^<]*[#*]", html), address
        assert not re.search(r'aria-label="[^"]*[#*]', html), address
    mp3 = page.get(reverse("audio", args=[made.id]), {"format": "mp3", "download": "1"})
    assert 'filename="Chapter-1-It-was-late.mp3"' in mp3["Content-Disposition"]

    shelf.rename(customer=alice, generation_id=made.id, title="The #1 story")
    for address in addresses:
        assert "The #1 story" in page.get(address).text, address
    assert "The #1 story" in page.get(reverse("usage"), {"q": "#1 st"}).text

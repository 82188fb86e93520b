"""The library of texts: found, named, moved, deleted, taken away."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage

from billing.models import LedgerEntry
from usage import audio as sound
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation
from usage.speech import archive, encoded, filenames, folders, retention, shelf, speak
from usage.speech.problems import KeyReused, Refused, StillRunning, TextDeleted
from usage.speech.receipt import Audio, receipt


@pytest.fixture
def speaking(alice, wallet, now, monkeypatch):
    monkeypatch.setattr(speak, "engine", lambda name: QuickEngine())

    def speaking(text, minutes=0, **fields):
        made = speak.speak(
            customer=alice,
            text=text,
            voice_id="standard-ava",
            key=f"k{Generation.objects.count()}",
            now=now,
        )
        fields["created_at"] = now - timedelta(minutes=minutes)
        Generation.objects.filter(id=made.id).update(**fields)
        made.refresh_from_db()
        return made

    return speaking


def moment_of(customer, text):
    return customer.generations.get(text=text).created_at


def texts_of(found: shelf.Found) -> list[str]:
    return [row.text for row in found.rows]


# --- Found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("HARBOUR", ["The harbour."]),
        ("école", ["École d'été."]),
        ("été ÉCOLE", ["École d'été."]),
        ("e\u0301cole", ["École d'été."]),
        ("100%", ["100% sure_"]),
        ("_", ["100% sure_"]),
        (".*", []),
        ("chapter", ["The harbour."]),
        ("chapter été", []),
        ("\0", ["The harbour.", "École d'été.", "100% sure_"]),
        ("  ", ["The harbour.", "École d'été.", "100% sure_"]),
        ("a" + "\u0301" * 40, []),
    ],
)
def test_words_are_found_in_titles_and_texts_in_any_case(speaking, alice, words, found):
    speaking("100% sure_", 3)
    speaking("École d'été.", 2)
    speaking("The harbour.", 1, title="Chapter one")

    assert texts_of(shelf.find(alice, words=words)) == found


def test_pages_go_through_all_texts_also_of_one_instant(speaking, alice, monkeypatch):
    monkeypatch.setattr(shelf, "PAGE", 2)
    made = {speaking(f"Text {number}.").text for number in range(5)}
    seen, after = [], ""
    while True:
        found = shelf.find(alice, after=after)
        seen += texts_of(found)
        if found.after is None:
            break
        after = str(found.after)

    assert len(seen) == 5 and set(seen) == made


def test_a_search_looks_through_so_many_texts_and_says_how_far(speaking, alice, monkeypatch):
    monkeypatch.setattr(shelf, "SEARCHED_MAX", 2)
    for minutes in range(5):
        speaking(f"Text {minutes}.", minutes)
    first = shelf.find(alice, words="4")

    assert first.rows == [] and first.searched_to == moment_of(alice, "Text 1.")
    second = shelf.find(alice, words="4", after=str(first.after))
    last = shelf.find(alice, words="4", after=str(second.after))
    assert (second.rows, texts_of(last), last.searched_to) == ([], ["Text 4."], None)


def test_nobody_finds_what_is_another_s(speaking, alice, bob):
    made = speaking("Mine.")
    shelf.rename(customer=bob, generation_id=made.id, title="Theirs")
    folder = folders.create(customer=bob, name="Theirs", now=made.created_at)

    assert shelf.find(bob).rows == [] and shelf.find(bob, after=str(made.id)).rows == []
    assert shelf.move(customer=bob, generation_ids=[made.id], folder=folder) == 0
    made.refresh_from_db()
    assert (made.title, made.folder) == ("", None)


# --- Named, in folders


def test_a_title_is_in_one_form_and_can_go_again(speaking, alice):
    made = speaking("Mine.")
    shelf.rename(customer=alice, generation_id=made.id, title="  Cafe\u0301\n one ")
    assert shelf.find(alice).rows[0].name == "Café one"
    shelf.rename(customer=alice, generation_id=made.id, title="")

    assert shelf.find(alice).rows[0].name == "Mine."


@pytest.mark.parametrize("title", ["x" * 121, "a\0b", "a\x07b", "\u200b", "e" + "\u0301" * 31])
def test_a_title_that_cannot_be_one_is_refused(speaking, alice, title):
    made = speaking("Mine.")
    with pytest.raises(Refused):
        shelf.rename(customer=alice, generation_id=made.id, title=title)


def test_folders_hold_texts_and_leave_them_when_they_go(speaking, alice, now):
    one, two = speaking("One.", 1), speaking("Two.", 2)
    folder = folders.create(customer=alice, name="Podcast", now=now)
    assert shelf.move(customer=alice, generation_ids=[one.id], folder=folder) == 1
    assert texts_of(shelf.find(alice, folder=folder)) == ["One."]
    folders.rename(folder, "Série")
    assert [each.name for each in folders.of(alice)] == ["Série"]
    folders.delete(folder)

    assert texts_of(shelf.find(alice)) == ["One.", "Two."] and folders.of(alice) == []
    assert Generation.objects.get(id=two.id).folder is None


def test_folders_have_names_of_their_own_and_there_are_not_too_many(alice, bob, now, monkeypatch):
    folders.create(customer=bob, name="One", now=now)
    one = folders.create(customer=alice, name="One", now=now)
    two = folders.create(customer=alice, name="Two", now=now)
    for name in ("One", " One ", "", "x" * 61):
        with pytest.raises(Refused):
            folders.create(customer=alice, name=name, now=now)
    with pytest.raises(Refused, match="folder One already"):
        folders.rename(two, "One")
    monkeypatch.setattr(folders, "FOLDERS_MAX", 2)
    with pytest.raises(Refused, match="Delete one"):
        folders.create(customer=alice, name="Three", now=now)

    assert [each.id for each in folders.of(alice)] == [one.id, two.id]


# --- Deleted


def test_what_was_said_goes_and_the_numbers_stay(speaking, alice, now):
    made = speaking("My secret words.", title="Secret title")
    encoded.open_encoded(made, "mp3").close()
    encoded.open_levels(made).close()
    before, entries = receipt(made), list(LedgerEntry.objects.values())
    retention.delete_all(made, now)
    retention.delete_all(Generation.objects.get(), now)

    row = Generation.objects.get()
    assert not default_storage.exists(made.audio) and not encoded._path(made.audio, "mp3").exists()
    assert not encoded._path(made.audio, "levels").exists()
    said = (row.text, row.title, row.manner, row.words, row.body_hash, row.audio)
    assert said == ("", "", {}, None, "", "")
    assert (row.text_deleted_at, row.audio_deleted_at) == (now, now)
    after = receipt(row)
    assert after.audio == Audio.DELETED
    assert (after.credits, after.paid, after.event_id) == (
        before.credits,
        before.paid,
        before.event_id,
    )
    assert list(LedgerEntry.objects.values()) == entries
    assert shelf.find(alice).rows == []


def test_what_is_deleted_is_neither_made_again_nor_spoken_under_its_key(speaking, alice, now):
    retention.delete_all(speaking("Mine."), now)

    with pytest.raises(TextDeleted):
        retention.make_again(generation=Generation.objects.get(), now=now)
    with pytest.raises(KeyReused):
        speak.speak(customer=alice, text="Mine.", voice_id="standard-ava", key="k0", now=now)


@pytest.mark.parametrize("fields", [{"state": "pending"}, {"is_making_again": True}])
def test_what_is_being_made_is_not_deleted(speaking, now, fields):
    made = speaking("Mine.")
    Generation.objects.update(**fields)
    with pytest.raises(StillRunning):
        retention.delete_all(Generation.objects.get(), now)
    with pytest.raises(StillRunning):
        retention.delete_all(made, now)  # it was begun in the same moment

    assert Generation.objects.get().text == "Mine."


def test_a_failed_text_goes_with_what_its_failure_quotes(speaking, now):
    made = speaking("Mine.")
    Generation.objects.update(state="failed", failure="Mine cannot be said.")
    made.refresh_from_db()
    retention.delete_all(made, now)

    row = Generation.objects.get()
    assert (row.text, row.failure, row.audio_deleted_at) == ("", "", None)


# --- Taken away


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Every morning, the harbour wakes.", "Every-morning-the-harbour-wakes"),
        ("École d'été 2026!", "École-d-été-2026"),
        ("../../etc/passwd", "etc-passwd"),
        ("a_b__c", "a-b-c"),
        ("x" * 200, "x" * 60),
        ("word " * 40, "-".join(["word"] * 12)),
        ("CON", "CON-speech"),
        ("こんにちは世界", "こんにちは世界"),
        ("!?", ""),
        ("", ""),
    ],
)
def test_a_file_is_named_by_what_is_said_in_it(text, name):
    assert filenames.stem_of(text) == name


def test_the_header_has_the_name_and_one_in_ascii():
    header = filenames.disposition("École-d-été.mp3", is_attachment=True)

    assert header == (
        "attachment; filename=\"Ecole-d-ete.mp3\"; filename*=UTF-8''%C3%89cole-d-%C3%A9t%C3%A9.mp3"
    )
    plain = filenames.disposition("Hello.srt", is_attachment=False)
    assert plain == 'inline; filename="Hello.srt"'
    assert 'filename="vocalis.mp3"' in filenames.disposition("世界.mp3", is_attachment=True)


def test_names_in_one_folder_differ_also_without_case():
    names = filenames.distinct(iter(["One", "one", "ONE", "Two"]), "mp3")

    assert list(names) == ["One.mp3", "one-2.mp3", "ONE-3.mp3", "Two.mp3"]


def test_a_folder_is_one_file_with_all_its_audio(speaking, alice, now):
    folder = folders.create(customer=alice, name="Podcast", now=now)
    for minutes, text in enumerate(["Hello there.", "Hello there.", "Lost.", "Gone."]):
        speaking(text, minutes, folder=folder)
    speaking("Elsewhere.")
    default_storage.delete(Generation.objects.get(text="Lost.").audio)
    retention.delete_asked(Generation.objects.get(text="Gone."), now)
    pieces = list(archive.pieces(archive.generations(folder), "flac"))

    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as made:
        assert made.testzip() is None
        names = ["Hello-there.flac", "Hello-there-2.flac", archive.MISSING]
        assert made.namelist() == names
        with sound.decode(made.read("Hello-there.flac")) as reader:
            assert sum(map(len, reader)) == 2 * reader.samples > 0
        assert made.read(archive.MISSING).startswith(b"Lost.flac: The audio of this text is lost")


def test_an_archive_holds_so_many_files_at_most(speaking, alice, now, monkeypatch):
    monkeypatch.setattr(archive, "FILES_MAX", 1)
    folder = folders.create(customer=alice, name="Podcast", now=now)
    speaking("Older.", 1, folder=folder)
    speaking("Newer.", folder=folder)

    assert [each.text for each in archive.generations(folder)] == ["Newer."]


def test_levels_are_made_once(alice, wallet, now, monkeypatch):
    made = speak.speak(
        customer=alice, text="Hello there.", voice_id="standard-classic", key="k", now=now
    )
    with encoded.open_levels(made) as file:
        levels = json.load(file)
    assert len(levels) == 118 and max(levels) == 100 and min(levels) >= 0

    monkeypatch.setattr(encoded, "levels", lambda *_: pytest.fail("made before"))
    with encoded.open_levels(made) as file:
        assert json.load(file) == levels

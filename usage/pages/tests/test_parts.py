"""The parts of a text on its pages: while it is made, and afterwards."""

from __future__ import annotations

import io
import zipfile

import pytest
from django.urls import reverse
from django.utils import timezone

from conftest import fund
from jobs.worker import Worker, jobs_on
from usage import audio as sound
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation
from usage.speech import audio, long, sections, speak

TEXT = (
    "By nobody.\n\n# One: the begin\n\nThe first sentence. The second one.\n\n"
    "# Two/Three\n\nThe last sentence of all.\n"
)
PIECE = bytes(range(240)) * 200  # a second of something
LEAD = sections.LEAD_MS / 1_000  # a part begins so long before its first word


class Slow(QuickEngine):
    characters_max = first_characters_max = 100
    characters_a_second = 1


@pytest.fixture
def engine(monkeypatch):
    slow = Slow(samples=PIECE)
    monkeypatch.setattr(speak, "engine", lambda name: slow)
    monkeypatch.setattr(long, "engine", lambda name: slow)
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)
    monkeypatch.setattr(long, "PART_SECONDS", -1)
    return slow


@pytest.fixture
def browser(client, alice, engine):
    fund(alice, 10_000, timezone.now())
    client.force_login(alice.user)
    return client


def say(customer, text=TEXT, key="key-1"):
    now = timezone.now()
    return speak.speak(customer=customer, text=text, voice_id="standard", key=key, now=now)


def speak_pieces(count):
    for _ in range(count):
        assert long.SPEAK.run(timezone.now())


def finish():
    Worker(jobs_on(["speech"]), clock=timezone.now).drain()


def parts(browser, generation):
    return browser.get(reverse("parts", args=[generation.id])).json()["parts"]


def samples_of(answer):
    data = b"".join(answer.streaming_content)
    with sound.decode(data) as reader:
        return b"".join(reader)


def test_parts_are_told_while_they_are_made(browser, alice):
    generation = say(alice)
    assert [(one["name"], one["state"]) for one in parts(browser, generation)] == [
        ("Opening", "now"),
        ("One: the begin", "waits"),
        ("Two/Three", "waits"),
    ]
    speak_pieces(2)
    progress = browser.get(reverse("progress", args=[generation.id])).json()
    assert progress["parts"] == parts(browser, generation)
    first, second, third = progress["parts"]
    assert (first["state"], second["state"], third["state"]) == ("made", "now", "waits")
    assert (first["begin_seconds"], first["seconds"]) == (0, 1 - LEAD) and not second["audio_url"]
    finish()
    done = parts(browser, generation)
    assert [one["state"] for one in done] == ["made"] * 3
    assert [one["begin_seconds"] for one in done] == [0, 1 - LEAD, 4 - LEAD]
    assert done[-1]["begin_seconds"] + done[-1]["seconds"] == 6


def test_a_part_is_heard_while_the_rest_is_made_and_sounds_the_same_afterwards(browser, alice):
    generation = say(alice)
    speak_pieces(2)
    address = reverse("part", args=[generation.id, 1])
    early = samples_of(browser.get(address, {"format": "flac"}))
    assert early == PIECE[: int(len(PIECE) * (1 - LEAD))]
    assert browser.get(reverse("part", args=[generation.id, 2])).status_code == 404
    finish()

    late = browser.get(address, {"format": "flac", "download": "1"})
    assert samples_of(late) == early
    assert 'filename="01-Opening.flac"' in late["Content-Disposition"]
    mp3 = browser.get(reverse("part", args=[generation.id, 2]))
    assert mp3["Content-Type"] == "audio/mpeg" and b"".join(mp3.streaming_content)
    assert browser.get(reverse("part", args=[generation.id, 9])).status_code == 404
    assert browser.head(address).status_code == 200


def test_together_the_parts_are_the_whole(browser, alice):
    generation = say(alice)
    finish()
    generation.refresh_from_db()

    answer = browser.get(reverse("parts-archive", args=[generation.id]), {"format": "flac"})
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    assert archive.namelist() == ["01-Opening.flac", "02-One-the-begin.flac", "03-Two-Three.flac"]
    whole = b""
    for name in archive.namelist():
        with sound.decode(archive.read(name)) as reader:
            whole += b"".join(reader)
    assert whole == audio.read_part(generation.audio)[1]
    assert "By-nobody" in answer["Content-Disposition"]


def test_of_a_stopped_text_there_are_the_parts_that_were_reached(browser, alice):
    generation = say(alice)
    speak_pieces(2)
    long.stop(generation, timezone.now())

    assert [one["name"] for one in parts(browser, generation)] == ["Opening", "One: the begin"]
    page = browser.get(reverse("studio"), {"done": generation.id}).text
    given_back = len(TEXT) - generation.credits
    assert f"{given_back} credits came back." in page


def test_the_pages_show_the_parts_without_script(browser, alice):
    generation = say(alice)
    speak_pieces(2)
    page = browser.get(reverse("studio")).text  # who comes back sees it, without asking for it
    assert 'aria-label="Play: Opening"' in page and "being spoken" in page and "waits" in page
    assert reverse("stop", args=[generation.id]) in page
    text_page = browser.get(reverse("generation", args=[generation.id])).text
    assert 'aria-label="Play: Opening"' in text_page
    finish()

    for address in (f"{reverse('studio')}?done={generation.id}", f"/studio/{generation.id}/"):
        page = browser.get(address).text
        assert f"{reverse('part', args=[generation.id, 3])}?download=1" in page
        assert reverse("parts-archive", args=[generation.id]) in page


def test_a_text_without_headings_has_parts_only_if_it_is_long(browser, alice):
    assert sections.of(say(alice, text="One sentence. " * 300, key="short")) == []
    long_one = say(alice, text="One sentence. " * 360, key="long")

    names = [one["name"] for one in parts(browser, long_one)]
    assert names == ["Part 1", "Part 2"]


def test_parts_are_their_owners(browser, alice, bob, client):
    generation = say(alice)
    finish()
    client.force_login(bob.user)

    for name, args in (("parts", []), ("part", [1]), ("parts-archive", [])):
        assert client.get(reverse(name, args=[generation.id, *args])).status_code == 404
    client.logout()
    assert client.get(reverse("parts", args=[generation.id])).status_code in (302, 401)


def test_audio_that_is_lost_is_said(browser, alice):
    generation = say(alice)
    finish()
    generation.refresh_from_db()
    audio.remove(generation.audio)

    answer = browser.get(reverse("part", args=[generation.id, 1]))
    assert answer.status_code >= 400 and "again" in answer.text.lower()
    assert Generation.objects.get().audio

"""The audio of a generation:
whole or in ranges, to its owner alone, and told in words when it is lost."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse

from billing.models import Wallet
from conftest import wav
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent
from usage.speech import encoded, problems, speak

JSON = {"HTTP_ACCEPT": "application/json"}
SAMPLES = bytes(range(56))
WHOLE = wav(SAMPLES, QuickEngine.sample_rate)  # 100 bytes with its header
FORM = {"text": "Hello", "voice": "standard", "key": "k"}


@pytest.fixture
def page(client, alice):
    client.force_login(alice.user)
    return client


@pytest.fixture
def engine(monkeypatch):
    """Quick, and its samples can be told apart."""
    fake = QuickEngine(samples=SAMPLES)
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


@pytest.fixture
def sound(alice, wallet, now, engine):
    generation = speak.speak(customer=alice, text="Hello", voice_id="standard", key="k", now=now)
    return reverse("audio", args=[generation.id])


def test_audio_comes_whole_with_safe_headers(page, sound):
    answer = page.get(sound)

    assert (answer.status_code, answer.getvalue()) == (200, WHOLE)
    assert answer["Content-Type"] == "audio/wav" and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Accept-Ranges"] == "bytes" and answer["Content-Length"] == "100"
    assert answer["Cache-Control"].startswith("private")
    assert answer["Content-Disposition"].startswith("inline")
    assert page.get(sound, {"download": "1"})["Content-Disposition"].startswith(
        "attachment; filename="
    )


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-", 0, 99),
        ("bytes=10-19", 10, 19),
        ("bytes=90-500", 90, 99),
        ("bytes=-5", 95, 99),
        ("bytes=-500", 0, 99),
    ],
)
def test_audio_comes_in_ranges_for_seeking(page, sound, asked, first, last):
    answer = page.get(sound, headers={"Range": asked})

    assert answer.getvalue() == WHOLE[first : last + 1]
    if (first, last) == (0, 99):
        assert answer.status_code == 200
    else:
        assert answer.status_code == 206 and answer["Content-Range"] == f"bytes {first}-{last}/100"


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_a_range_outside_is_416(page, sound, asked):
    answer = page.get(sound, headers={"Range": asked})

    assert (answer.status_code, answer["Content-Range"], answer.getvalue()) == (
        416,
        "bytes */100",
        b"",
    )


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=-",
        "bytes=20-10",
        "bytes=0-1,5-6",
        "lines=1-2",
        "bytes=a-b",
        "bytes=" + "9" * 50 + "-",
    ],
)
def test_a_range_that_is_none_is_ignored(page, sound, asked):
    assert page.get(sound, headers={"Range": asked}).status_code == 200


def test_audio_is_the_owners_alone(client, page, bob, staff, sound):
    client.force_login(bob.user)
    assert client.get(sound).status_code == 404
    client.force_login(staff)
    assert client.get(sound).status_code == 403
    client.logout()
    assert client.get(sound).status_code == 302
    assert client.get(sound, **JSON).status_code == 401


def test_audio_that_is_not_there_is_404(page, alice, sound, now):
    assert page.get(reverse("audio", args=[uuid4()])).status_code == 404
    Generation.objects.update(state="pending", taken_at=now + timedelta(hours=1))
    assert page.get(sound).status_code == 404


@pytest.mark.parametrize(
    ("name", "content_type", "begins"),
    [
        ("wav", "audio/wav", b"RIFF"),
        ("mp3", "audio/mpeg", b"\xff"),
        ("opus", "audio/opus", b"OggS"),
        ("flac", "audio/flac", b"fLaC"),
    ],
)
def test_audio_comes_in_every_format_with_ranges_of_its_own(
    page, sound, name, content_type, begins
):
    whole = page.get(sound, {"format": name, "download": "1"})
    data = whole.getvalue()

    assert whole["Content-Type"] == content_type and data.startswith(begins)
    assert int(whole["Content-Length"]) == len(data)
    assert whole["Content-Disposition"].endswith(f'.{name}"')
    part = page.get(sound, {"format": name}, headers={"Range": "bytes=1-20"})
    assert (part.status_code, part.getvalue()) == (206, data[1:21])
    head = page.head(sound, {"format": name})
    assert (head["Content-Length"], head.content) == (str(len(data)), b"")
    assert head["ETag"] == whole["ETag"]


def test_formats_have_tags_of_their_own(page, sound):
    tags = {page.head(sound, {"format": name})["ETag"] for name in encoded.DELIVERED}
    assert len(tags) == len(encoded.DELIVERED)

    wav_tag = page.head(sound)["ETag"]
    answer = page.get(sound, {"format": "mp3"}, headers={"If-None-Match": wav_tag})
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["", "m4b", "pcm", "../wav", "WAV"])
def test_a_format_that_there_is_not_is_refused_in_words(page, sound, name):
    answer = page.get(sound, {"format": name}, **JSON)

    assert answer.status_code == 422 and "mp3, wav, opus, flac" in str(answer.json()["errors"])


def test_audio_that_was_stored_as_wav_before_still_plays(page, sound):
    name = default_storage.save("1/old.wav", ContentFile(WHOLE))
    Generation.objects.update(audio=name, content_type="audio/wav")

    assert page.get(sound).getvalue() == WHOLE
    assert page.get(sound, {"format": "mp3"}).getvalue()[0] == 0xFF


def test_a_stored_file_that_is_broken_is_lost(page, sound):
    name = default_storage.save("1/broken.flac", ContentFile(b"no sound"))
    Generation.objects.update(audio=name)

    assert page.get(sound).status_code == 404


def test_encodings_do_not_outlive_the_stored_audio(page, sound):
    assert page.get(sound, {"format": "mp3"}).status_code == 200
    delete()

    assert page.get(sound, {"format": "mp3"}).status_code == 404


# --- If-Range


def test_a_part_is_sent_if_the_rest_is_of_the_same_audio(page, sound):
    whole = page.get(sound)

    for validator in (whole["ETag"], whole["Last-Modified"]):
        answer = page.get(sound, headers={"Range": "bytes=10-19", "If-Range": validator})
        assert (answer.status_code, answer.getvalue()) == (206, WHOLE[10:20])
        assert answer["ETag"] == whole["ETag"]


@pytest.mark.parametrize(
    "validator",
    [
        '"another"',
        "",
        "nonsense",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Fri, 01 Jan 2100 00:00:00 GMT",
        "weak",
    ],
)
def test_a_validator_of_another_audio_gets_the_whole(page, sound, validator):
    if validator == "weak":
        validator = f"W/{page.get(sound)['ETag']}"

    answer = page.get(sound, headers={"Range": "bytes=10-19", "If-Range": validator})

    assert (answer.status_code, len(answer.getvalue())) == (200, 100)
    assert "Content-Range" not in answer


def test_a_stale_validator_gets_the_whole_for_a_range_outside_too(page, sound):
    answer = page.get(sound, headers={"Range": "bytes=500-", "If-Range": '"another"'})

    assert (answer.status_code, len(answer.getvalue())) == (200, 100)


def test_a_client_that_has_the_audio_is_not_sent_it_again(page, sound):
    whole = page.get(sound)

    answer = page.get(sound, headers={"If-None-Match": whole["ETag"], "Range": "bytes=0-9"})

    assert (answer.status_code, answer.getvalue(), answer["ETag"]) == (304, b"", whole["ETag"])
    assert answer["Cache-Control"].startswith("private")


# --- Lost audio


def delete():
    default_storage.delete(Generation.objects.get().audio)


def put_a_folder_there():
    path = Path(default_storage.path(Generation.objects.get().audio))
    path.unlink()
    path.mkdir()


def forget_its_name():
    Generation.objects.update(audio="")


def lead_out_of_the_folder():
    Generation.objects.update(audio="../../etc/passwd")


lost_in_every_way = pytest.mark.parametrize(
    "lose", [delete, put_a_folder_there, forget_its_name, lead_out_of_the_folder]
)


@lost_in_every_way
def test_lost_audio_is_told_in_words_at_its_address(page, sound, lose):
    lose()

    answer, download = page.get(sound), page.get(sound, {"download": "1"})
    assert answer.status_code == download.status_code == 404
    assert "This audio is lost" in answer.text and "Make it again, free" in answer.text
    assert answer["Cache-Control"] == "no-store"
    told = page.get(sound, **JSON)
    assert (told.status_code, list(told.json())) == (404, ["error", "again_url"])
    assert told.json()["again_url"] == sound.replace("/audio/", "/again/")


@lost_in_every_way
def test_a_key_whose_audio_is_lost_promises_none_and_charges_nothing(page, sound, lose):
    lose()

    answer = page.post("/studio/", FORM, **JSON)

    assert answer.status_code == 410
    assert "use a new key" in answer.json()["error"]
    assert answer.json()["again_url"] == sound.replace("/audio/", "/again/")
    assert Wallet.objects.values_list("balance", "reserved").get() == (495, 0)
    assert UsageEvent.objects.count() == 1
    again = page.post("/studio/", FORM | {"key": "k-2"}, **JSON)
    assert (again.status_code, again.json()["available"]) == (201, 490)
    assert page.get(again.json()["audio_url"]).status_code == 200


@lost_in_every_way
def test_the_pages_show_words_in_place_of_a_dead_player(page, sound, lose):
    lose()

    for url in ("/studio/", f"/studio/?done={Generation.objects.get().id}", "/usage/"):
        answer = page.get(url)
        assert answer.status_code == 200
        assert "lost" in answer.text and sound not in answer.text


def test_a_form_whose_audio_is_lost_gets_a_new_key(page, sound):
    delete()

    answer = page.post("/studio/", FORM)

    assert answer.status_code == 410
    assert "Pressing Speak does that" in answer.text and 'name="key" value="k"' not in answer.text
    assert ">\nHello</textarea>" in answer.text


def test_lost_audio_that_was_credited_back_says_so(page, alice, sound, staff, now):
    from usage import credit_back

    delete()
    credit_back.credit_back(generation=Generation.objects.get(), by=staff, reason="Lost", now=now)

    assert "credited back" in page.get("/studio/").text
    assert "Audio lost, credited back" in re.sub(r"<[^>]+>", "", page.get("/usage/").text)
    for url in ("/studio/", "/usage/", sound):
        assert "Make it again" not in page.get(url).text
    answer = page.post("/studio/", FORM, **JSON)
    assert "were credited back" in answer.json()["error"] and "again_url" not in answer.json()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), TimeoutError("no answer")])
def test_a_storage_that_does_not_answer_is_503_and_its_audio_not_called_lost(
    page, sound, monkeypatch, error
):
    def broken(name, mode="rb"):
        raise error

    monkeypatch.setattr(default_storage, "open", broken)

    answer = page.get(sound)
    assert answer.status_code == 503 and answer["Retry-After"]
    assert "cannot be read just now" in answer.text
    assert page.post("/studio/", FORM, **JSON).status_code == 503
    for url in ("/studio/", "/usage/"):
        assert sound in page.get(url).text


def test_a_file_nobody_may_read_is_lost(page, alice, sound, monkeypatch, now):
    def forbidden(name, mode="rb"):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(default_storage, "open", forbidden)

    assert page.get(sound).status_code == 404
    assert page.post("/studio/", FORM, **JSON).status_code == 410
    with pytest.raises(problems.AudioLost):
        speak.speak(customer=alice, text="Hello", voice_id="standard", key="k", now=now)


def test_a_file_that_breaks_while_it_is_read_is_503(page, sound, monkeypatch):
    class Breaking(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(default_storage, "open", lambda name, mode="rb": Breaking())

    assert page.get(sound).status_code == 503

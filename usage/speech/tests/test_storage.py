"""Audio in an S3-compatible object storage: a real server, over HTTP, chosen by one address."""

from __future__ import annotations

import threading
from pathlib import Path

import boto3
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse
from moto.server import ThreadedMotoServer

from conftest import wav
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation
from usage.speech import encoded, speak
from vocalis import object_storage

SAMPLES = bytes(range(200)) * 50
WHOLE = wav(SAMPLES, QuickEngine.sample_rate)


@pytest.fixture
def server():
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(server, settings, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    url = f"s3://key:se%2Fcret@sounds/speech?endpoint={server}&region=us-east-1"
    found = object_storage.options(url)
    client = boto3.client(
        "s3",
        endpoint_url=server,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="se/cret",
    )
    client.create_bucket(Bucket="sounds")
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "vocalis.object_storage.S3", "OPTIONS": found}
    }
    assert (found["secret_key"], found["location"]) == ("se/cret", "speech")
    yield client
    for each in client.list_objects_v2(Bucket="sounds").get("Contents", []):
        client.delete_object(Bucket="sounds", Key=each["Key"])  # the server forgets nothing
    client.close()


@pytest.fixture
def sound(bucket, client, alice, wallet, now, monkeypatch):
    monkeypatch.setattr(speak, "engine", lambda name: QuickEngine(samples=SAMPLES))
    generation = speak.speak(customer=alice, text="Hello", voice_id="standard", key="k", now=now)
    client.force_login(alice.user)
    return reverse("audio", args=[generation.id])


def test_audio_is_stored_in_the_bucket_and_comes_back_through_us(bucket, client, bob, sound):
    [key] = [each["Key"] for each in bucket.list_objects_v2(Bucket="sounds")["Contents"]]
    assert key == f"speech/{Generation.objects.get().audio}" and key.endswith(".flac")

    assert client.get(sound).getvalue() == WHOLE
    part = client.get(sound, headers={"Range": "bytes=50-99"})
    assert (part.status_code, part.getvalue()) == (206, WHOLE[50:100])
    assert "sounds" not in str(part.headers) and not part.has_header("Location")
    client.force_login(bob.user)
    assert client.get(sound).status_code == 404


def test_an_object_that_is_gone_is_lost_audio(bucket, client, sound):
    assert client.get(sound).status_code == 200
    default_storage.delete(Generation.objects.get().audio)

    answer = client.get(sound)

    assert answer.status_code == 404 and "lost" in answer.text


def test_a_server_that_does_not_answer_is_503_and_not_lost(client, sound, settings, monkeypatch):
    monkeypatch.setattr(object_storage, "ATTEMPTS", 1)
    found = settings.STORAGES["default"]["OPTIONS"] | {"endpoint_url": "http://127.0.0.1:9"}
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "vocalis.object_storage.S3", "OPTIONS": found}
    }

    assert client.get(sound).status_code == 503
    with pytest.raises(OSError):
        default_storage.save("1/a.flac", ContentFile(b"x"))
    with pytest.raises(OSError):
        default_storage.delete("1/a.flac")


def test_a_bucket_that_is_not_there_stores_nothing(bucket, settings):
    found = settings.STORAGES["default"]["OPTIONS"] | {"bucket_name": "other"}
    settings.STORAGES = settings.STORAGES | {
        "default": {"BACKEND": "vocalis.object_storage.S3", "OPTIONS": found}
    }

    with pytest.raises(OSError):
        default_storage.save("1/a.flac", ContentFile(b"x"))


def test_the_address_is_read_from_the_environment(read_settings_of_storage):
    storage = read_settings_of_storage("s3://a%2Bb:c%2Fd@sounds?region=eu-1")

    assert storage["BACKEND"] == "vocalis.object_storage.S3"
    assert storage["OPTIONS"] == {
        "access_key": "a+b",
        "secret_key": "c/d",
        "bucket_name": "sounds",
        "location": "",
        "region_name": "eu-1",
    }
    assert read_settings_of_storage("")["BACKEND"].endswith("FileSystemStorage")


@pytest.fixture
def read_settings_of_storage(monkeypatch):
    from vocalis.environment import Env

    def read(url):
        monkeypatch.setattr(Env, "ENVIRON", {"STORAGE_URL": url})
        return Env().storage("STORAGE_URL")

    return read


# --- The cache of encodings


def test_twelve_who_ask_at_once_make_one_encoding(sound, monkeypatch):
    made = []
    encode = encoded._encode
    monkeypatch.setattr(encoded, "_encode", lambda *args: (made.append(1), encode(*args)))
    generation = Generation.objects.get()

    def read():
        with encoded.open_encoded(generation, "mp3") as file:
            sizes.append(len(file.read()))

    sizes = []
    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(sizes)) == 1 and len(sizes) == 12 and made == [1]


def test_the_cache_keeps_its_size_and_forgets_what_is_old(sound, settings, tmp_path):
    generation = Generation.objects.get()
    with encoded.open_encoded(generation, "wav") as file:
        first = file.name
    folder = tmp_path / "audio-cache"
    assert len(list(folder.glob("*/*"))) == 1
    settings.AUDIO_CACHE_MB = 0
    with encoded.open_encoded(generation, "mp3") as file:
        assert file.read()  # still open, though above the size
    assert list(folder.glob("*/*")) == []
    settings.AUDIO_CACHE_MB = 1
    with encoded.open_encoded(generation, "wav") as file:
        assert file.name == first
    encoded.prune(now_seconds=Path(first).stat().st_mtime + encoded.KEPT_SECONDS + 1)
    assert list(folder.glob("*/*")) == []


def test_encodings_are_forgotten_with_their_audio(sound, tmp_path):
    generation = Generation.objects.get()
    for name in encoded.DELIVERED:
        encoded.open_encoded(generation, name).close()
    assert len(list((tmp_path / "audio-cache").glob("*/*"))) == len(encoded.DELIVERED)

    encoded.forget(generation.audio)

    assert list((tmp_path / "audio-cache").glob("*/*")) == []

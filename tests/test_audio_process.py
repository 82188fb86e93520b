"""Stored audio through a real daphne: readers that are slow cost neither memory nor threads, and
those that read nothing are cut off."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from usage import audio
from usage.models import Generation

from . import processes

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

SECONDS = 30 * 60
RATE = 24_000
READERS = 12
MEMORY_MB_MAX = 60


@pytest.fixture
def cookie(alice):
    client = Client()
    client.force_login(alice.user)
    return client.cookies["sessionid"].value


@pytest.fixture
def sound(alice, now):
    """Half an hour of alice's: 86 MB as WAV."""
    noise = bytes(range(256)) * (2 * RATE * SECONDS // 256)
    name = default_storage.save("1/long.flac", ContentFile(audio.stored(noise, RATE)))
    generation = Generation.objects.create(
        customer=alice,
        key="k",
        text="Long",
        characters=4,
        credits=4,
        voice="standard-ava",
        voice_type="standard",
        state="done",
        audio=name,
        content_type="audio/flac",
        created_at=now,
        taken_at=now,
        finished_at=now,
    )
    return reverse("audio", args=[generation.id])


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1_000


def ask(client, path: str, cookie: str) -> socket.socket:
    """A connection that has asked for the audio and read the first bytes of the answer."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port), timeout=60)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: sessionid={cookie}\r\n\r\n"
    connection.sendall(head.encode())
    assert connection.recv(15) == b"HTTP/1.1 200 OK"
    return connection


def pid_of(port: int) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"daphne" in command and str(port).encode() in command:
            return int(folder.name)
    raise LookupError("no daphne")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_slow_readers_cost_neither_memory_nor_threads(cookie, sound, settings, tmp_path):
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url="http://localhost:1",
        MEDIA_ROOT=settings.MEDIA_ROOT,
        AUDIO_CACHE=settings.AUDIO_CACHE,
        WEB_REQUESTS="2",
    )
    with processes.web(tmp_path / "web.log", env) as client, ExitStack() as opened:
        whole = client.get(sound, headers={"Cookie": f"sessionid={cookie}"})
        assert len(whole.content) == 44 + 2 * RATE * SECONDS
        pid = pid_of(client.base_url.port)
        before = memory_mb(pid)

        readers = [opened.enter_context(ask(client, sound, cookie)) for _ in range(READERS)]
        time.sleep(3)

        assert memory_mb(pid) - before < MEMORY_MB_MAX
        assert client.get("/health").status_code == 200  # the two threads are free
        # One that goes on reading gets all of it.
        received = 15
        readers[0].settimeout(20)
        while received < len(whole.content):
            received += len(readers[0].recv(1 << 20))
        assert received >= len(whole.content)


def test_a_reader_that_takes_nothing_is_cut_off(cookie, sound, settings, tmp_path):
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url="http://localhost:1",
        MEDIA_ROOT=settings.MEDIA_ROOT,
        AUDIO_CACHE=settings.AUDIO_CACHE,
        AUDIO_STALL_SECONDS="2",
    )
    with (
        processes.web(tmp_path / "web.log", env) as client,
        ask(client, sound, cookie) as reader,
    ):
        time.sleep(5)
        received = 0
        with pytest.raises(ConnectionResetError):
            while data := reader.recv(1 << 20):
                received += len(data)
        assert received < 2 * RATE * SECONDS
        assert client.get("/health").status_code == 200
    assert "is cut off" in (tmp_path / "web.log").read_text()
    assert "Traceback" not in (tmp_path / "web.log").read_text()

"""The worker for speech as a real process: asked to stop, and killed, in the middle of a text."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from billing.models import LedgerEntry, Wallet
from conftest import fund
from jobs.models import Heartbeat
from usage.models import Generation, LongSpeech
from usage.speech import long, speak

from . import processes
from .processes import WAIT_SECONDS, wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]
TEXT = "Every morning the harbour wakes before the city does, and nobody hears it. " * 24


@pytest.fixture
def text(alice, now, monkeypatch):
    """A text that waits for a worker, though the default voice would speak it within a request."""
    fund(alice, 5_000, now)
    monkeypatch.setattr(long, "takes_long", lambda engine, characters, speed: True)
    return speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=timezone.now())


@pytest.fixture
def start_worker(tmp_path, settings):
    env = processes.settings_env(
        database_url=processes.own_database_url(),
        metronome_url="http://localhost:1",
        STORAGE_URL="",
        MEDIA_ROOT=settings.MEDIA_ROOT,
    )
    command = ("manage.py", "run_worker", "--queue", "speech")
    with ExitStack() as started:

        def start():
            log = tmp_path / f"worker-{len(list(tmp_path.iterdir()))}.log"
            return started.enter_context(processes.running(log, *command, env=env))

        yield start


def spoken() -> int:
    return LongSpeech.objects.get().pieces_spoken


def is_charged_once(generation, customer) -> None:
    generation.refresh_from_db()
    assert (generation.state, generation.characters_spoken) == ("done", None)
    assert Wallet.objects.values_list("balance", "reserved").get() == (5_000 - len(TEXT), 0)
    assert LedgerEntry.objects.filter(kind="capture").count() == 1
    _, files = default_storage.listdir(str(customer.id))
    assert files == [generation.audio.split("/")[1]]


def is_over() -> bool:
    return not Generation.objects.filter(state="pending").exists() and not (
        LongSpeech.objects.exclude(parts=[], lease=None).exists()
    )


def test_sigterm_ends_it_after_the_piece_and_the_next_worker_goes_on_there(
    text, alice, start_worker
):
    worker = start_worker()
    wait_until(spoken, "first piece")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(WAIT_SECONDS) == 0
    row = LongSpeech.objects.get()
    assert 0 < row.pieces_spoken < row.pieces
    assert row.lease is None and LongSpeech.objects.due(timezone.now()).exists()
    assert not Heartbeat.objects.exists()
    first = row.parts[0]

    start_worker()
    wait_until(lambda: spoken() > row.pieces_spoken or is_over(), "next piece")
    now = LongSpeech.objects.get()
    assert not now.parts or now.parts[0] == first, "what was spoken stays"
    wait_until(is_over, "end of the text")

    is_charged_once(text, alice)


def test_a_killed_worker_is_followed_by_one_that_goes_on_after_the_last_part(
    text, alice, start_worker
):
    worker = start_worker()
    wait_until(lambda: spoken() >= 2, "second piece")
    worker.kill()
    worker.wait()
    row = LongSpeech.objects.get()
    assert row.lease and row.pieces_spoken < row.pieces
    LongSpeech.objects.update(
        leased_until=timezone.now() - timedelta(seconds=1), due_at=timezone.now()
    )

    start_worker()
    wait_until(is_over, "end of the text")

    is_charged_once(text, alice)

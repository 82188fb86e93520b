"""A long text with two at it at once, in threads: it ends once, and is charged once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connections

from billing.models import LedgerEntry, Wallet
from jobs.worker import Worker, jobs_on
from usage.engines.tests.quick import QuickEngine
from usage.models import LongSpeech, UsageEvent
from usage.speech import long, renewal, retention, speak
from vocalis.operations import deletion

TEXT = (
    "The first sentence is this one. The second sentence is that one. "
    "The third sentence is here.  The fourth sentence is the last one. "
)
UNTIL = [0, 32, 65, 94, len(TEXT)]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    class Slow(QuickEngine):
        characters_max = first_characters_max = 100
        characters_a_second = 1

    slow = Slow()
    monkeypatch.setattr(speak, "engine", lambda name: slow)
    monkeypatch.setattr(long, "engine", lambda name: slow)
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)
    monkeypatch.setattr(long, "PART_SECONDS", -1)
    return slow


def together(*acts):
    """Do them at once, and return what went wrong."""
    barrier = threading.Barrier(len(acts))

    def run(act):
        try:
            barrier.wait(20)
            act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.exception() for future in [pool.submit(run, act) for act in acts]]


def worker(now):
    return Worker(jobs_on(["speech"]), clock=lambda: now)


def ended_once(generation, now):
    """The credits that it cost."""
    worker(now).drain()
    generation.refresh_from_db()
    wallet = Wallet.objects.get(customer=generation.customer)
    spent = [
        -amount
        for amount in LedgerEntry.objects.filter(kind="capture").values_list("amount", flat=True)
    ]
    assert wallet.reserved == 0
    if generation.state == "failed":
        assert not spent and wallet.balance == 500
        assert not UsageEvent.objects.exists()
        kept = []
    else:
        assert spent == [generation.credits] == [generation.characters_charged]
        assert wallet.balance == 500 - generation.credits
        assert UsageEvent.objects.get().properties["text_length"] == str(generation.credits)
        kept = [generation.audio.split("/")[1]]
    try:
        stored = default_storage.listdir(str(generation.customer_id))[1]
    except FileNotFoundError:
        stored = []
    assert stored == kept
    assert LongSpeech.objects.get().parts == []
    return generation.credits if kept else 0


@pytest.mark.parametrize("spoken", [0, 1, 3])
def test_two_stops_and_a_worker_end_a_text_once(alice, wallet, now, spoken):
    generation = speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)
    for _ in range(spoken):
        long.SPEAK.run(now)
    mine = [type(generation).objects.get() for _ in range(2)]

    errors = together(worker(now).drain, *(lambda one=one: long.stop(one, now) for one in mine))

    assert errors == [None, None, None]
    assert ended_once(generation, now) in UNTIL[spoken:]


def test_two_workers_speak_a_text_once(alice, wallet, now, engine):
    generation = speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)

    assert together(worker(now).drain, worker(now).drain) == [None, None]

    assert ended_once(generation, now) == len(TEXT)
    assert engine.calls == 4


def test_a_renewal_and_the_end_at_once_charge_once(alice, wallet, now):
    generation = speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)
    for _ in range(3):
        long.SPEAK.run(now)
    LongSpeech.objects.update(renew_at=now)

    errors = together(worker(now).drain, *[lambda: renewal.renew(now)] * 2)

    assert errors == [None, None, None]
    assert ended_once(generation, now) == len(TEXT)


def test_an_operator_who_cancels_and_a_worker_end_it_once(alice, wallet, now):
    generation = speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)
    for _ in range(3):
        long.SPEAK.run(now)
    mine = type(generation).objects.get()

    errors = together(worker(now).drain, lambda: long.fail(mine, long.CANCELLED, now))

    assert errors == [None, None]
    assert ended_once(generation, now) in (0, len(TEXT))


def test_a_customer_who_is_deleted_while_a_worker_speaks_leaves_nothing(alice, wallet, now, engine):
    """The first try ends the text and says to try again; the second one finds it ended."""
    generation = speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)
    long.SPEAK.run(now)
    told = []

    def delete():
        engine.during = lambda: None
        with pytest.raises(deletion.NotDeletable, match="spoken right now"):
            list(deletion.delete(alice, dry_run=False, now=now))
        told.append(True)

    engine.during = delete
    worker(now).drain()
    assert told
    list(deletion.delete(alice, dry_run=False, now=now))

    assert ended_once(generation, now) == 0
    assert (generation.state, generation.text) == ("failed", "")


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_two_stops_a_worker_and_two_requests_make_it_again_once_or_not(
    alice, wallet, now, engine, pieces
):
    generation = speak.speak(customer=alice, text=TEXT, voice_id="standard", key="k", now=now)
    worker(now).drain()
    generation.refresh_from_db()
    default_storage.delete(generation.audio)
    kept = generation.audio
    retention.make_again(generation=generation, now=now)
    for _ in range(pieces):
        long.SPEAK.run(now)
    mine = [type(generation).objects.get() for _ in range(4)]

    errors = together(
        worker(now).drain,
        *(lambda one=one: long.stop(one, now) for one in mine[:2]),
        *(lambda one=one: retention.make_again(generation=one, now=now) for one in mine[2:]),
    )

    assert errors == [None] * 5
    generation.refresh_from_db()
    if generation.audio == kept:  # stopped
        default_storage.save(kept, ContentFile(b""))
    assert not generation.is_making_again
    assert ended_once(generation, now) == len(TEXT)

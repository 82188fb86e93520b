"""Several requests in the same instant: one wallet, one key, one generation."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections

from billing.ledger import InsufficientCredits
from billing.models import LedgerEntry, Reservation, Wallet
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent, Voice
from usage.speech import own_voice, problems, speak

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    for module in (speak, own_voice):
        monkeypatch.setattr(module, "engine", lambda name: QuickEngine())


def together(threads, do):
    """What `do(number)` gives or raises in that many threads at once."""
    barrier = threading.Barrier(threads)

    def one(number):
        barrier.wait()
        try:
            return do(number)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(threads)))


def test_one_key_in_many_requests_is_spoken_once(alice, wallet, now):
    answers = together(
        8,
        lambda _: speak.speak(
            customer=alice, text="Hello", voice_id="standard", key="same", now=now
        ),
    )

    done = [answer for answer in answers if isinstance(answer, Generation)]
    assert sum(not answer.replayed for answer in done) == 1
    assert {type(answer) for answer in answers} <= {Generation, problems.StillRunning}
    assert (
        Generation.objects.count()
        == UsageEvent.objects.count()
        == LedgerEntry.objects.filter(kind="capture").count()
    )
    assert Wallet.objects.values_list("balance", "reserved").get() == (495, 0)


def test_many_requests_never_spend_more_than_there_is(alice, wallet, now):
    answers = together(
        12,
        lambda number: speak.speak(
            customer=alice, text="x" * 100, voice_id="standard", key=f"k{number}", now=now
        ),
    )

    assert sum(isinstance(answer, Generation) for answer in answers) == 5
    assert sum(isinstance(answer, InsufficientCredits) for answer in answers) == 7
    assert Wallet.objects.values_list("balance", "reserved").get() == (0, 0)
    assert Generation.objects.count() == UsageEvent.objects.count() == 5


def test_an_abandoned_request_is_taken_over_by_one(alice, wallet, now, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(speak, "_make", lambda *args: None)
        speak.speak(customer=alice, text="Hello", voice_id="standard", key="same", now=now)
    later = now + timedelta(seconds=speak.taken_seconds(len("Hello")))

    answers = together(
        6,
        lambda _: speak.speak(
            customer=alice, text="Hello", voice_id="standard", key="same", now=later
        ),
    )

    assert sum(isinstance(answer, Generation) and not answer.replayed for answer in answers) == 1
    assert {type(answer) for answer in answers} <= {Generation, problems.StillRunning}
    assert Reservation.objects.count() == UsageEvent.objects.count() == 1
    assert Wallet.objects.values_list("balance", "reserved").get() == (495, 0)


def test_one_own_voice_is_set_up_at_a_time_and_a_double_click_pays_once(alice, now):
    from conftest import fund

    fund(alice, 60_000, now)

    answers = together(
        6,
        lambda _: own_voice.set_up(
            customer=alice, name="Mine", settings={"pitch": 1.05}, key="same", now=now
        ),
    )

    assert {type(answer) for answer in answers} <= {Voice, problems.StillRunning}
    assert Voice.objects.get().state == "ready"
    assert Wallet.objects.values_list("balance", "reserved").get() == (35_000, 0)
    assert UsageEvent.objects.count() == 1

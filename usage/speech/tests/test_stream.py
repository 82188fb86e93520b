"""A text that is delivered while it is made is charged for what was sent."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from billing import keys, ledger
from billing.models import KeyBudget, Reservation, Wallet
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent
from usage.speech import audio, problems, speak, stream
from usage.speech.asked import Asked

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = (
    "The first sentence is this one. The second sentence is that one. "
    "The third sentence is here.  The fourth sentence is the last one. "
)
PIECES = 4
UNTIL = [0, 32, 65, 94, len(TEXT)]
PIECE = bytes(480)


class Gated(QuickEngine):
    """Speaks each piece once somebody lets it; `fails` is the number of the piece that fails."""

    characters_max = first_characters_max = 100
    fails = -1
    permanent = False

    def __init__(self):
        super().__init__(self.wait, samples=PIECE)
        self.gate = threading.Semaphore(100)

    def wait(self):
        assert self.gate.acquire(timeout=10)
        if self.calls == self.fails + 1:
            raise EngineFailed("It broke.", permanent=self.permanent)


@pytest.fixture
def engine(monkeypatch):
    gated = Gated()
    for module in (speak, stream):
        monkeypatch.setattr(module, "engine", lambda name: gated)
    yield gated
    gated.gate.release(100)
    assert stream._free._value == stream.STREAMS_MAX


@pytest.fixture
def key(alice, now):
    return keys.create(customer=alice, name="k", limit=400, now=now)[0]


def begin(customer, now, key=None, text=TEXT, name="key-1", answer="mp3"):
    asked = Asked(api_key_id=key and key.pk, answer=answer)
    return stream.begin(
        customer=customer, text=text, voice_id="standard", key=name, now=now, asked=asked
    )


def read(opened, count=PIECES + 1):
    """Read so many pieces; one more than there are is the end."""

    async def reading():
        got = []

        async def answer():
            async with opened.delivered() as pieces:
                async for piece in pieces:
                    yield piece

        sending = answer()
        async for piece in sending:
            got.append(piece)
            if len(got) == count:
                break
        await sending.aclose()
        return got

    try:
        return asyncio.run(reading())
    finally:
        settled(opened)


def settled(opened):
    """Wait until it is charged or given back: a piece may be in work when the client leaves."""
    until = time.monotonic() + 10
    while opened._spoken or not opened._is_settled:
        assert time.monotonic() < until
        time.sleep(0.005)


def credits(customer):
    return Wallet.objects.values_list("balance", "reserved").get(customer=customer)


def properties():
    return list(UsageEvent.objects.values_list("properties", flat=True))


def test_a_text_that_is_sent_whole_is_charged_whole(alice, wallet, key, engine, now):
    opened = begin(alice, now, key)
    assert credits(alice) == (500, len(TEXT))

    got = read(opened)

    assert len(got) == PIECES
    generation = Generation.objects.get()
    assert (generation.state, generation.credits) == ("done", len(TEXT))
    assert generation.characters_spoken is None
    assert generation.api_key == key
    assert credits(alice) == (500 - len(TEXT), 0)
    assert properties() == [{"voice_type": "standard", "text_length": str(len(TEXT))}]
    assert len(audio.read_part(generation.audio)[1]) == PIECES * len(PIECE)
    assert KeyBudget.objects.values_list("spent", "held").get() == (len(TEXT), 0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_client_that_leaves_pays_for_the_pieces_it_was_sent(
    alice, wallet, key, engine, now, count
):
    # The last piece that it got is not known to have arrived: nothing more was asked for.
    read(begin(alice, now, key), count=count + 1)

    generation = Generation.objects.get()
    assert (generation.state, generation.credits) == ("done", UNTIL[count])
    assert generation.characters_charged == UNTIL[count]
    assert credits(alice) == (500 - UNTIL[count], 0)
    assert properties()[0]["text_length"] == str(UNTIL[count])
    assert len(audio.read_part(generation.audio)[1]) == count * len(PIECE)
    assert KeyBudget.objects.values_list("spent", "held").get() == (UNTIL[count], 0)


def test_a_client_that_was_sent_nothing_pays_nothing(alice, wallet, key, engine, now):
    read(begin(alice, now, key), count=1)

    generation = Generation.objects.get()
    assert (generation.state, generation.failure) == ("failed", stream.LEFT)
    assert credits(alice) == (500, 0)
    assert not properties()
    assert KeyBudget.objects.values_list("spent", "held").get() == (0, 0)


def test_an_answer_that_nobody_asks_for_is_given_up(alice, wallet, engine, now, monkeypatch):
    monkeypatch.setattr(stream, "BEGIN_SECONDS", 0.05)
    opened = begin(alice, now)

    settled(opened)

    assert Generation.objects.get().state == "failed"
    assert credits(alice) == (500, 0)


def test_a_first_piece_that_fails_is_told_with_the_credits_back(alice, wallet, engine, now):
    engine.fails = 0

    with pytest.raises(problems.SpeechFailed):
        begin(alice, now)

    assert credits(alice) == (500, 0)
    engine.fails = -1
    assert len(read(begin(alice, now))) == PIECES  # the same key again


def test_a_first_piece_that_always_fails_is_refused(alice, wallet, engine, now):
    engine.fails, engine.permanent = 0, True

    with pytest.raises(problems.Refused):
        begin(alice, now)

    assert credits(alice) == (500, 0)


@pytest.mark.parametrize("fails", [1, 3])
def test_a_later_piece_that_fails_breaks_off_and_costs_nothing(
    alice, wallet, key, engine, now, fails
):
    engine.fails = fails

    with pytest.raises(problems.SpeechFailed):
        read(begin(alice, now, key))

    assert Generation.objects.get().state == "failed"
    assert credits(alice) == (500, 0)
    assert not properties()
    assert KeyBudget.objects.values_list("spent", "held").get() == (0, 0)


def test_a_client_that_leaves_ends_the_engine_after_the_piece_it_speaks(alice, wallet, engine, now):
    engine.during = lambda: time.sleep(0.3)
    opened = begin(alice, now)

    async def leaving():
        async with opened.delivered() as pieces:
            async for _ in pieces:
                break

    asyncio.run(leaving())
    settled(opened)

    assert engine.calls < PIECES


def test_the_same_key_again_is_the_stored_answer_at_no_cost(alice, wallet, key, engine, now):
    read(begin(alice, now, key))

    again = begin(alice, now, key)

    assert isinstance(again, Generation)
    assert again.replayed
    assert credits(alice) == (500 - len(TEXT), 0)
    with pytest.raises(problems.KeyReused):
        begin(alice, now, key, answer="wav")
    with pytest.raises(problems.KeyReused):
        begin(alice, now, key, text="Another one.")


def test_the_same_key_meanwhile_is_told_to_wait(alice, wallet, key, engine, now):
    opened = begin(alice, now, key)

    with pytest.raises(problems.StillRunning):
        begin(alice, now, key)
    read(opened)


def test_each_api_key_has_keys_of_its_own(alice, wallet, key, engine, now):
    other = keys.create(customer=alice, name="other", now=now)[0]
    short = "A short one."

    for each in (key, other, None):
        read(begin(alice, now, each, text=short))

    assert Generation.objects.count() == 3


def test_a_budget_that_is_spent_refuses_before_anything_is_spoken(alice, wallet, engine, now):
    small = keys.create(customer=alice, name="small", limit=5, now=now)[0]

    with pytest.raises(ledger.BudgetExceeded):
        begin(alice, now, small)

    assert engine.calls == 0
    assert not Generation.objects.exists()
    assert credits(alice) == (500, 0)


def test_what_is_more_than_the_process_can_speak_is_refused_before_anything(
    alice, wallet, engine, now, monkeypatch
):
    monkeypatch.setattr(stream, "_free", threading.BoundedSemaphore(1))
    opened = begin(alice, now)

    with pytest.raises(problems.TooManyStreams):
        begin(alice, now, name="key-2")
    read(opened)
    monkeypatch.undo()

    assert Generation.objects.count() == 1


def test_an_answer_that_is_read_too_slowly_ends_and_what_was_sent_is_charged(
    alice, wallet, engine, now, monkeypatch
):
    monkeypatch.setattr(stream, "STREAM_SECONDS", 0.1)
    opened = begin(alice, now)

    async def slowly():
        async with opened.delivered() as pieces:
            async for _ in pieces:
                if opened._sent == 1:
                    await asyncio.sleep(0.5)

    with pytest.raises(problems.SpeechFailed):
        asyncio.run(slowly())
    settled(opened)

    assert credits(alice) == (500 - UNTIL[1], 0)


def test_a_reservation_that_has_expired_meanwhile_is_made_again_or_nothing_is_kept(
    alice, wallet, engine, now
):
    opened = begin(alice, now)
    ledger.expire_reservations(now=now + timedelta(seconds=601))
    ledger.reserve(wallet_id=wallet.id, key="other", amount=450, now=now)

    with pytest.raises(problems.SpeechFailed):
        read(opened)

    generation = Generation.objects.get()
    assert (generation.state, generation.audio) == ("failed", "")
    assert credits(alice) == (500, 450)
    assert Reservation.objects.open().count() == 1

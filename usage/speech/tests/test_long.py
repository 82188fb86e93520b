"""A long text is spoken by a worker, piece by piece, once, and charged for what was delivered."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from billing import ledger
from billing.live import feeds
from billing.models import Reservation, Wallet
from conftest import fund
from jobs import queue, stopping
from jobs.errors import Snooze
from jobs.worker import Worker, jobs_on
from usage import engines
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, LongSpeech, UsageEvent
from usage.speech import abandoned, audio, long, parts, problems, progress, renewal, speak, words
from usage.speech.outcome import UNEXPECTED

TEXT = (
    "The first sentence is this one. The second sentence is that one. "
    "The third sentence is here.  The fourth sentence is the last one. "
)
PIECES = 4
# The lease counts from the moment at which the worker died: on a busy machine some seconds later.
AFTER_LEASE = timedelta(seconds=parts.LEASE_SECONDS + 60)
# How many characters make up the first pieces, with the blanks before the next one.
UNTIL = [0, 32, 65, 94, len(TEXT)]
PIECE = bytes(480)


class Killed(BaseException):
    """The process dies here: nothing after this line runs."""


class Slow(QuickEngine):
    characters_max = first_characters_max = 100
    characters_a_second = 1


@pytest.fixture
def engine(monkeypatch):
    slow = Slow(samples=PIECE)
    monkeypatch.setattr(speak, "engine", lambda name: slow)
    monkeypatch.setattr(long, "engine", lambda name: slow)
    return slow


@pytest.fixture
def slices(monkeypatch):
    """A worker gives the row back after each piece."""
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)
    monkeypatch.setattr(long, "PART_SECONDS", -1)


def say(customer, now, text=TEXT, key="key-1"):
    return speak.speak(customer=customer, text=text, voice_id="standard", key=key, now=now)


def work(now, *queues):
    Worker(jobs_on(queues or ["speech"]), clock=lambda: now).drain()


def speak_pieces(count, now):
    for _ in range(count):
        assert long.SPEAK.run(now)


def credits(customer) -> tuple[int, int]:
    return Wallet.objects.values_list("balance", "reserved").get(customer=customer)


def stored(customer) -> list[str]:
    try:
        return sorted(default_storage.listdir(str(customer.id))[1])
    except FileNotFoundError:
        return []


def samples(generation) -> int:
    return len(audio.read_part(generation.audio)[1])


def failed(generation) -> str:
    generation.refresh_from_db()
    assert generation.state == "failed"
    assert not UsageEvent.objects.exists()
    return generation.failure


def test_a_long_text_is_reserved_and_left_to_a_worker(alice, wallet, now, engine):
    generation = say(alice, now)

    assert (generation.state, generation.is_queued, engine.calls) == ("pending", True, 0)
    assert credits(alice) == (500, len(TEXT))
    work(now, "default")
    assert engine.calls == 0


def test_a_text_that_a_request_can_wait_for_is_not_queued(alice, wallet, now, engine):
    generation = say(alice, now, text="a" * 30)

    assert (generation.state, generation.is_queued) == ("done", False)
    assert not LongSpeech.objects.exists()


def test_only_kokoro_is_slow_enough_for_the_queue():
    longest = {name: engines.engine(name).characters_a_second for name in engines.FACTORIES}

    assert longest == {"hibari": None, "kokoro": 30, "espeak": None, "remote": None}
    assert long.takes_long(engines.engine("kokoro"), 901)
    assert not long.takes_long(engines.engine("kokoro"), 900)


def test_it_is_spoken_charged_and_reported_once(alice, wallet, now, engine):
    generation = say(alice, now)
    work(now)

    generation.refresh_from_db()
    assert (generation.state, engine.calls) == ("done", PIECES)
    assert credits(alice) == (500 - len(TEXT), 0)
    assert generation.credits == len(TEXT) and generation.characters_spoken is None
    assert generation.available_after == 500 - len(TEXT)
    event = UsageEvent.objects.get()
    assert event.properties == {"voice_type": "standard", "text_length": str(len(TEXT))}
    assert stored(alice) == [generation.audio.split("/")[1]]
    assert samples(generation) == PIECES * len(PIECE)
    work(now)
    assert engine.calls == PIECES and UsageEvent.objects.count() == 1


def test_the_real_engine_gives_the_same_sound_and_word_times_as_in_one_go(
    alice, wallet, now, monkeypatch
):
    say(alice, now, key="whole")
    hibari = engines.engine("hibari")
    monkeypatch.setattr(hibari, "characters_a_second", 1, raising=False)
    say(alice, now, key="long")
    assert Generation.objects.get(key="long").state == "pending"
    work(now)

    whole, made = (Generation.objects.get(key=key) for key in ("whole", "long"))
    assert made.state == "done"
    sound, again = (audio.read_part(one.audio) for one in (whole, made))
    assert sound == again
    expected, found = (words.unpacked(one.words) for one in (whole, made))
    assert [(w.start, w.end) for w in found] == [(w.start, w.end) for w in expected]
    for word, same in zip(found, expected, strict=True):
        assert abs(word.begin_ms - same.begin_ms) <= 2 and abs(word.end_ms - same.end_ms) <= 2


def test_the_same_key_finds_what_is_under_way_and_then_what_was_made(alice, wallet, now, engine):
    first = say(alice, now)

    assert say(alice, now).id == first.id
    assert credits(alice) == (500, len(TEXT))
    work(now)
    again = say(alice, now)
    assert again.replayed and again.state == "done"
    assert credits(alice) == (500 - len(TEXT), 0)
    with pytest.raises(problems.KeyReused):
        say(alice, now, text=TEXT + "More.")


def test_too_few_credits_leave_nothing(alice, wallet, now, engine):
    with pytest.raises(ledger.InsufficientCredits):
        say(alice, now, text=TEXT * 4)

    assert not Generation.objects.exists() and not LongSpeech.objects.exists()


# --- Workers that die, wait, and meet -------------------------------------------------------------


@pytest.mark.parametrize("point", ["store", "store_half", "count"])
def test_a_worker_killed_between_two_pieces_is_followed_by_one_that_speaks_none_twice(
    alice, wallet, now, engine, slices, monkeypatch, point
):
    generation = say(alice, now)
    speak_pieces(2, now)
    store = audio.store

    def die(row, name, *rest):
        if point != "store":
            store(row, name, *rest)
        raise Killed

    with monkeypatch.context() as patch:
        if point == "count":
            patch.setattr(parts, "Part", lambda *args: die_now())
        else:
            patch.setattr(parts.audio, "store", die)

        def die_now():
            raise Killed

        with pytest.raises(Killed):
            long.SPEAK.run(now)
    assert engine.calls == 3
    work(now)  # the lease holds still
    assert engine.calls == 3

    later = now + AFTER_LEASE
    work(later)

    generation.refresh_from_db()
    assert (generation.state, engine.calls) == ("done", PIECES + 1), "only the one it died in twice"
    assert stored(alice) == [generation.audio.split("/")[1]]
    assert credits(alice) == (500 - len(TEXT), 0)


@pytest.mark.parametrize("point", ["outcome.finish", "parts.forget"])
def test_a_worker_killed_at_the_end_leaves_the_end_to_the_next(
    alice, wallet, now, engine, monkeypatch, point
):
    generation = say(alice, now)

    def die(*args, **options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"usage.speech.{point}", die)
        with pytest.raises(Killed):
            long.SPEAK.run(now)

    work(now + AFTER_LEASE)

    generation.refresh_from_db()
    assert (generation.state, engine.calls) == ("done", PIECES)
    assert stored(alice) == [generation.audio.split("/")[1]]
    assert credits(alice) == (500 - len(TEXT), 0)
    assert UsageEvent.objects.count() == 1


def test_a_worker_that_stood_still_leaves_the_text_to_the_one_that_took_it_over(
    alice, wallet, now, engine, slices
):
    generation = say(alice, now)
    speak_pieces(1, now)
    later = now + AFTER_LEASE
    told = []

    def stand_still():
        if not told:
            told.append(True)
            speak_pieces(1, later)

    engine.during = stand_still
    long.SPEAK.run(now)

    row = LongSpeech.objects.get()
    assert row.pieces_spoken == 2 and len(stored(alice)) == 2
    work(later)
    generation.refresh_from_db()
    assert generation.state == "done"
    assert stored(alice) == [generation.audio.split("/")[1]]
    assert credits(alice) == (500 - len(TEXT), 0)


def test_the_first_that_was_asked_for_is_finished_first(alice, wallet, now, engine, slices):
    first = say(alice, now, key="a")
    second = say(alice, now + timedelta(seconds=1), key="b")
    speak_pieces(PIECES, now + timedelta(seconds=1))

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("done", "pending")


def test_a_worker_that_is_told_to_end_gives_the_text_back_at_once(alice, wallet, now, engine):
    say(alice, now)
    worker = Worker(jobs_on(["speech"]), clock=lambda: now)
    engine.during = worker.stop

    with stopping.by(worker.stopping):
        worker.run_pass()

    row = LongSpeech.objects.get()
    assert (row.pieces_spoken, row.lease) == (1, None)
    assert LongSpeech.objects.due(now).exists()


def test_an_engine_that_closes_gives_the_text_back_at_once(alice, wallet, now, engine):
    say(alice, now)

    def close():
        raise engines.EngineClosed

    engine.during = close
    long.SPEAK.run(now)

    assert LongSpeech.objects.due(now).exists() and LongSpeech.objects.get().attempts == 0


def test_a_part_that_is_lost_is_made_again(alice, wallet, now, engine, slices):
    generation = say(alice, now)
    speak_pieces(2, now)
    default_storage.delete(LongSpeech.objects.get().parts[0][0])
    for _ in range(2):
        long.SPEAK.run(now)
    work(now + timedelta(seconds=10))

    generation.refresh_from_db()
    assert (generation.state, engine.calls) == ("done", 2 * PIECES)
    assert stored(alice) == [generation.audio.split("/")[1]]


def test_a_text_that_is_cut_in_another_way_by_a_new_version_is_begun_anew(
    alice, wallet, now, engine, slices
):
    generation = say(alice, now)
    speak_pieces(2, now)
    engine.characters_max = engine.first_characters_max = 5_000
    LongSpeech.objects.update(characters_spoken=50)
    work(now)

    generation.refresh_from_db()
    assert generation.state == "done"
    assert stored(alice) == [generation.audio.split("/")[1]]


# --- Pieces that fail -----------------------------------------------------------------------------


def failing(error):
    def during():
        raise error

    return during


def test_a_piece_that_fails_three_times_gives_everything_back(alice, wallet, now, engine, slices):
    generation = say(alice, now)
    speak_pieces(2, now)
    engine.during = failing(EngineFailed("The engine had a bad day."))
    for seconds in (0, 5, 10):
        work(now + timedelta(seconds=seconds))

    assert failed(generation) == "The engine had a bad day."
    assert engine.calls == 2 + long.TRIES
    assert credits(alice) == (500, 0) and stored(alice) == []


def test_a_piece_that_can_never_be_spoken_gives_everything_back_at_once(alice, wallet, now, engine):
    generation = say(alice, now)
    engine.during = failing(EngineFailed("Change it.", permanent=True))
    work(now)

    assert failed(generation) == "Change it."
    assert credits(alice) == (500, 0)


def test_a_piece_that_fails_once_is_spoken_the_second_time(alice, wallet, now, engine):
    generation = say(alice, now)

    def once():
        engine.during = lambda: None
        raise EngineFailed("The engine had a bad day.")

    engine.during = once
    work(now)
    work(now + timedelta(seconds=5))

    generation.refresh_from_db()
    assert generation.state == "done"


def test_too_much_audio_fails(alice, wallet, now, engine, monkeypatch):
    generation = say(alice, now)
    monkeypatch.setattr("usage.engines.whole.AUDIO_SECONDS_MAX", 0.03)
    work(now)

    assert "minutes of audio" in failed(generation)
    assert stored(alice) == []


def test_a_failed_text_may_be_asked_for_again_under_its_key(alice, wallet, now, engine):
    generation = say(alice, now)
    engine.during = failing(EngineFailed("Change it.", permanent=True))
    work(now)
    engine.during = lambda: None

    later = now + timedelta(seconds=30)
    assert say(alice, later).state == "pending"
    assert credits(alice) == (500, len(TEXT))
    work(later)

    generation.refresh_from_db()
    assert (generation.state, generation.failure) == ("done", "")
    assert credits(alice) == (500 - len(TEXT), 0)
    assert stored(alice) == [generation.audio.split("/")[1]]


# --- Stopping -------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoken", [1, 2, 3])
def test_stopping_delivers_and_charges_what_was_spoken(alice, wallet, now, engine, slices, spoken):
    generation = say(alice, now)
    speak_pieces(spoken, now)

    for _ in range(2):  # the second changes nothing
        long.stop(generation, now)

    assert (generation.state, generation.characters_spoken) == ("done", UNTIL[spoken])
    assert (generation.characters, generation.credits) == (len(TEXT), UNTIL[spoken])
    assert generation.available_after == 500 - UNTIL[spoken]
    assert credits(alice) == (500 - UNTIL[spoken], 0)
    event = UsageEvent.objects.get()
    assert event.properties["text_length"] == str(UNTIL[spoken])
    assert event.credits == event.reservation.captured == UNTIL[spoken]
    assert samples(generation) == spoken * len(PIECE)
    assert words.unpacked(generation.words)[-1].end <= UNTIL[spoken]
    work(now)
    assert stored(alice) == [generation.audio.split("/")[1]]
    assert engine.calls == spoken
    assert say(alice, now).replayed


def test_stopping_after_the_last_piece_costs_the_full_price(
    alice, wallet, now, engine, slices, monkeypatch
):
    generation = say(alice, now)
    speak_pieces(PIECES - 1, now)
    engine.during = lambda: LongSpeech.objects.update(stop_asked_at=now)
    speak_pieces(1, now)

    generation.refresh_from_db()
    assert (generation.state, generation.characters_spoken) == ("done", None)
    assert credits(alice) == (500 - len(TEXT), 0)


def test_stopping_before_anything_is_spoken_costs_nothing(alice, wallet, now, engine):
    generation = say(alice, now)
    long.stop(generation, now)

    assert failed(generation) == long.STOPPED
    assert credits(alice) == (500, 0)
    work(now)
    assert engine.calls == 0


def test_stopping_while_a_worker_speaks_ends_after_the_piece_in_hand(alice, wallet, now, engine):
    generation = say(alice, now)

    def stop():
        engine.during = lambda: None
        long.stop(generation, now)
        assert generation.state == "pending"

    engine.during = stop
    work(now)

    generation.refresh_from_db()
    assert (generation.state, generation.characters_spoken) == ("done", UNTIL[1])
    assert credits(alice) == (500 - UNTIL[1], 0)
    assert stored(alice) == [generation.audio.split("/")[1]]


def test_stopping_too_late_changes_nothing(alice, wallet, now, engine):
    generation = say(alice, now)
    work(now)
    long.stop(generation, now)

    assert (generation.state, generation.characters_spoken) == ("done", None)
    assert credits(alice) == (500 - len(TEXT), 0)
    assert LongSpeech.objects.get().stop_asked_at is None


def test_a_stopped_text_is_credited_back_what_it_cost(alice, wallet, now, engine, slices, staff):
    from usage import credit_back

    generation = say(alice, now)
    speak_pieces(1, now)
    long.stop(generation, now)

    row = credit_back.credit_back(generation=generation, by=staff, reason="noise", now=now)

    assert row.credits == UNTIL[1]


# --- Credits --------------------------------------------------------------------------------------


def open_reservations() -> list[tuple[int, object]]:
    return list(Reservation.objects.open().values_list("amount", "created_at"))


def test_the_credits_stay_reserved_while_it_waits(alice, wallet, now, engine):
    generation = say(alice, now)

    for minutes in range(0, 60, 4):
        later = now + timedelta(minutes=minutes)
        work(later, "default")
        ledger.expire_reservations(now=later)
        assert credits(alice) == (500, len(TEXT)), minutes
        [(amount, created_at)] = open_reservations()
        assert amount == len(TEXT)
        assert later - created_at < timedelta(seconds=ledger.RESERVATION_SECONDS)

    work(later)
    generation.refresh_from_db()
    assert generation.state == "done"
    assert UsageEvent.objects.get().happened_at == created_at


def test_after_an_hour_it_has_failed_and_all_is_given_back(alice, wallet, now, engine, slices):
    generation = say(alice, now)
    speak_pieces(2, now)
    for minutes in range(5, 65, 5):
        work(now + timedelta(minutes=minutes), "default")

    assert failed(generation) == long.TOO_LONG
    assert credits(alice) == (500, 0)
    work(now + timedelta(minutes=61))
    assert stored(alice) == []


def test_renewing_twice_at_once_is_renewing_once(alice, wallet, now, engine):
    say(alice, now)
    later = now + timedelta(seconds=long.RENEW_SECONDS)
    assert renewal.renew(later) == 1
    assert renewal.renew(later) == 0

    assert open_reservations() == [(len(TEXT), later)]
    assert Generation.objects.get().tries == 1


def test_credits_that_end_meanwhile_may_still_be_used_until_the_reservation_ends(
    alice, now, engine, slices
):
    fund(alice, 500, now, ends_at=now + timedelta(minutes=2))
    generation = say(alice, now)
    later = now + timedelta(seconds=long.RENEW_SECONDS)
    work(later, "default")

    generation.refresh_from_db()
    assert generation.state == "pending"
    work(later)
    generation.refresh_from_db()
    assert generation.state == "done"


def test_credits_that_end_before_it_is_spoken_fail_it(alice, now, engine, slices):
    fund(alice, 500, now, ends_at=now + timedelta(minutes=2))
    generation = say(alice, now)
    speak_pieces(1, now)
    for minutes in (5, 10, 11):
        work(now + timedelta(minutes=minutes), "default")

    assert failed(generation) == long.NO_CREDITS
    assert credits(alice)[1] == 0
    work(now + timedelta(minutes=11))
    assert stored(alice) == []


def test_a_wallet_that_is_frozen_meanwhile_fails_it_when_the_reservation_ends(
    alice, wallet, now, engine
):
    generation = say(alice, now)
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)
    work(now + timedelta(minutes=6), "default")
    generation.refresh_from_db()
    assert generation.state == "pending"

    work(now + timedelta(minutes=11), "default")

    assert failed(generation) == problems.FROZEN
    assert credits(alice) == (500, 0)


def test_credits_that_are_spent_elsewhere_after_an_outage_fail_it_at_the_end(
    alice, wallet, now, engine
):
    """No worker of the money queue came by, and the reservation expired."""
    generation = say(alice, now)
    later = now + timedelta(minutes=11)
    ledger.expire_reservations(now=later)
    ledger.reserve(wallet_id=wallet.id, key="other", amount=400, now=later)
    work(later)

    assert failed(generation) == long.NO_CREDITS
    assert credits(alice) == (500, 400)
    work(later)
    assert stored(alice) == []


def test_a_reservation_that_expired_is_made_anew_at_the_end(alice, wallet, now, engine):
    generation = say(alice, now)
    later = now + timedelta(minutes=11)
    ledger.expire_reservations(now=later)
    work(later)

    generation.refresh_from_db()
    assert generation.state == "done"
    assert credits(alice) == (500 - len(TEXT), 0)


def test_a_queued_text_is_not_taken_for_abandoned(alice, wallet, now, engine):
    generation = say(alice, now)
    abandoned.give_up_generations(now + timedelta(seconds=speak.ABANDONED_SECONDS + 1))

    generation.refresh_from_db()
    assert generation.state == "pending" and generation.failure != UNEXPECTED


def test_waiting_ends_with_the_text_or_with_patience(alice, wallet, engine):
    generation = say(alice, timezone.now())
    long.wait(generation, seconds=0)
    assert generation.state == "pending"
    work(timezone.now())
    long.wait(generation, seconds=0)
    assert generation.state == "done"


def test_a_row_that_is_not_held_is_not_written(alice, wallet, now, engine):
    say(alice, now)
    [row] = queue.claim(LongSpeech, now=now, limit=1, lease_seconds=10)
    queue.fail(row, Snooze("elsewhere"), now=now)
    row.lease = "former"

    with pytest.raises(parts.Lost):
        parts.write(row, pieces=9)


def test_event_streams_tell_how_far_a_text_is_until_it_is_over(
    alice, bob, wallet, engine, slices, now
):
    fund(bob, 1_000, now)
    generation = say(alice, now)
    others = Wallet.objects.get(customer=bob).id
    before = progress.feed([wallet.id, others])

    speak_pieces(2, now)
    meanwhile = feeds.told([wallet.id, others])
    work(now)

    text = {"id": str(generation.id), "characters": len(TEXT), "characters_spoken": 0}
    assert before == {wallet.id: {"texts": [text]}}
    told = json.dumps({"texts": [text | {"characters_spoken": UNTIL[2]}]})
    assert meanwhile == {wallet.id: (("speech_progress", told),)}
    assert progress.feed([wallet.id, others]) == {}


def test_each_piece_wakes_the_event_streams(alice, wallet, engine, slices, now, monkeypatch):
    woken = []
    monkeypatch.setattr(parts, "wake", woken.append)
    say(alice, now)

    speak_pieces(2, now)

    assert woken == [wallet.id] * 2

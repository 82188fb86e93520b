"""The audio of a long text is made again by a worker, piece by piece, and costs nothing."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from billing.models import LedgerEntry, Reservation, Wallet
from jobs.worker import Worker, jobs_on
from usage import credit_back
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, LongSpeech, UsageEvent
from usage.speech import (
    audio,
    expiry,
    long,
    outcome,
    parts,
    problems,
    renewal,
    retention,
    speak,
    voices,
)
from vocalis.operations import deletion

TEXT = (
    "The first sentence is this one. The second sentence is that one. "
    "The third sentence is here.  The fourth sentence is the last one. "
)
PIECES = 4
UNTIL = [0, 32, 65, 94, len(TEXT)]
PIECE = bytes(range(240)) * 2
DAY = timedelta(days=1)
free = pytest.mark.usefixtures("costs_nothing")


class Killed(BaseException):
    """The process dies here: nothing after this line runs."""


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    class Slow(QuickEngine):
        characters_max = first_characters_max = 100
        characters_a_second = 1

    slow = Slow(samples=PIECE)
    for module in (speak, long):
        monkeypatch.setattr(module, "engine", lambda name: slow)
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)  # a piece at a time
    monkeypatch.setattr(long, "PART_SECONDS", -1)
    return slow


@pytest.fixture
def spoken(alice, wallet, now, engine):
    """A text that a worker spoke, whose file was lost."""
    generation = say(alice, now)
    lose(generation)
    engine.calls = 0
    return generation


@pytest.fixture
def short(alice, wallet, now, engine):
    """A text for which a request can wait, lost too."""
    generation = speak.speak(customer=alice, text="Hi", voice_id="standard", key="s", now=now)
    lose(generation)
    engine.calls = 0
    return generation


@pytest.fixture
def costs_nothing(short, spoken):
    """Making audio again changes nothing about money and usage, whatever happens in a test."""
    before = books(spoken)
    yield
    assert books(spoken) == before


def books(generation):
    receipt = ("state", "credits", "characters_spoken", "reservation", "available_after", "tries")
    return (
        list(Wallet.objects.values_list("balance", "reserved", "version")),
        list(Reservation.objects.order_by("id").values_list("id", "key", "state", "captured")),
        list(LedgerEntry.objects.order_by("id").values_list("id", "kind", "amount")),
        list(UsageEvent.objects.order_by("id").values_list("id", "credits", "properties")),
        Generation.objects.values_list(*receipt).get(pk=generation.pk),
    )


def say(customer, now, key="k"):
    speak.speak(customer=customer, text=TEXT, voice_id="standard", key=key, now=now)
    work(now)
    return Generation.objects.get(key=key)


def lose(generation):
    default_storage.delete(generation.audio)


def again(generation, now):
    return retention.make_again(generation=Generation.objects.get(pk=generation.pk), now=now)


def work(now):
    Worker(jobs_on(["speech"]), clock=lambda: now).drain()


def make_pieces(count, now):
    for _ in range(count):
        assert long.SPEAK.run(now)


def found(generation) -> Generation:
    return Generation.objects.get(pk=generation.pk)


def stored(customer) -> list[str]:
    return [f"{customer.id}/{name}" for name in default_storage.listdir(str(customer.id))[1]]


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def is_as_before(generation) -> None:
    """But for when it was last asked for. Nothing is left of the attempt."""
    now = found(generation)
    for field in Generation._meta.concrete_fields:
        if field.name not in ("again_at",):
            assert getattr(now, field.name) == getattr(generation, field.name), field.name
    row = LongSpeech.objects.get(pk=generation.pk)
    assert (row.parts, row.storing, row.due_at, row.renew_at) == ([], "", None, None)
    assert stored(generation.customer) == []


@free
def test_a_worker_makes_it_piece_by_piece_and_it_is_kept_from_then_on(alice, spoken, now, engine):
    expiry.EXPIRE.run(now + 31 * DAY)
    later = now + 400 * DAY

    made = again(spoken, later)

    assert made.is_with_worker and engine.calls == 0
    make_pieces(2, later)
    assert (engine.calls, LongSpeech.objects.get().characters_spoken) == (2, UNTIL[2])
    work(later)
    made = found(spoken)
    assert not made.is_making_again and made.audio_deleted_at is None
    assert made.audio_until_at == made.finished_at + 30 * DAY >= later + 30 * DAY
    assert (made.words, made.duration_seconds) == (spoken.words, spoken.duration_seconds)
    assert audio.read_part(made.audio)[1] == PIECE * PIECES
    assert stored(alice) == [made.audio] and engine.calls == PIECES
    assert LongSpeech.objects.get().parts == []
    assert again(spoken, later).audio == made.audio, "twice is once"


@free
def test_asked_for_twice_it_is_made_once_and_another_one_waits(short, spoken, now, engine):
    for _ in range(2):
        assert again(spoken, now + DAY).is_with_worker
        with pytest.raises(problems.AgainElsewhere):
            again(short, now + DAY + timedelta(minutes=50))
        make_pieces(1, now + DAY)

    work(now + DAY)
    assert engine.calls == PIECES
    assert not again(short, now + DAY).is_with_worker, "a request can wait for it"


@free
@pytest.mark.parametrize("point", ["parts.add", "parts.join", "_deliver_again", "parts.forget"])
def test_a_worker_that_is_killed_is_followed_by_one_that_goes_on_after_the_last_part(
    alice, spoken, now, engine, monkeypatch, point
):
    again(spoken, now + DAY)
    make_pieces(2, now + DAY)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(f"usage.speech.long.{point}", failing(Killed()))
        make_pieces(PIECES, now + DAY)
    row = LongSpeech.objects.get()
    assert row.lease and row.pieces_spoken >= 2
    heard = engine.calls

    later = now + DAY + timedelta(seconds=parts.LEASE_SECONDS + 2)
    work(later)

    assert engine.calls == heard + PIECES - row.pieces_spoken, "what was stored is spoken once"
    made = found(spoken)
    assert stored(alice) == [made.audio] and not made.is_making_again
    assert audio.read_part(made.audio)[1] == PIECE * PIECES


@free
@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_stopping_gives_it_up_and_the_row_is_as_it_was(alice, spoken, now, engine, pieces):
    again(spoken, now + DAY)
    make_pieces(pieces, now + DAY)

    for _ in range(2):  # the second is too late
        long.stop(found(spoken), now + DAY)

    assert not found(spoken).is_making_again
    work(now + DAY)
    is_as_before(spoken)
    assert engine.calls == pieces
    assert LongSpeech.objects.get().again_failure == long.STOPPED_AGAIN
    again(spoken, now + 2 * DAY)
    assert LongSpeech.objects.get().again_failure == ""
    work(now + 2 * DAY)
    assert stored(alice) == [found(spoken).audio]


@free
def test_stopping_while_a_worker_speaks_leaves_nothing_of_its_piece(spoken, now, engine):
    again(spoken, now + DAY)
    make_pieces(1, now + DAY)

    def stop():
        engine.during = lambda: None
        long.stop(found(spoken), now + DAY)

    engine.during = stop
    work(now + DAY)

    is_as_before(spoken)
    assert engine.calls == 2


@free
def test_stopped_and_asked_for_anew_in_the_same_piece_it_is_made(alice, spoken, now, engine):
    again(spoken, now + DAY)

    def once_more():
        engine.during = lambda: None
        long.stop(found(spoken), now + DAY)
        assert again(spoken, now + DAY + timedelta(seconds=1)).is_with_worker

    engine.during = once_more
    work(now + DAY)
    work(now + DAY + timedelta(minutes=1))

    made = found(spoken)
    assert stored(alice) == [made.audio] and not made.is_making_again
    assert audio.read_part(made.audio)[1] == PIECE * PIECES


@free
def test_what_no_worker_makes_within_an_hour_is_given_up(alice, spoken, now, engine):
    again(spoken, now + DAY)
    make_pieces(2, now + DAY)
    assert renewal.RENEW.run(now + DAY + timedelta(minutes=59)) == 0
    assert found(spoken).is_making_again

    assert renewal.RENEW.run(now + DAY + timedelta(minutes=60)) == 1

    assert not found(spoken).is_making_again
    assert LongSpeech.objects.get().again_failure == long.TOO_LONG
    work(now + DAY + timedelta(minutes=61))
    is_as_before(spoken)


@free
def test_where_no_worker_comes_by_the_next_request_gives_it_up(short, spoken, now):
    again(spoken, now + DAY)
    with pytest.raises(problems.AgainElsewhere):
        again(short, now + DAY + timedelta(minutes=59))

    later = now + DAY + timedelta(minutes=60)
    again(short, later)

    assert not found(spoken).is_making_again
    assert LongSpeech.objects.get().again_failure == long.TOO_LONG
    assert again(spoken, later).is_with_worker


@free
def test_an_engine_that_fails_three_times_gives_it_up_and_says_why(spoken, now, engine):
    again(spoken, now + DAY)
    make_pieces(1, now + DAY)
    engine.during = failing(EngineFailed("The engine is busy."))
    for minutes in range(5):
        work(now + DAY + timedelta(minutes=minutes))

    is_as_before(spoken)
    assert LongSpeech.objects.get().again_failure == "The engine is busy."
    assert engine.calls == 1 + long.TRIES


@free
def test_a_part_that_is_lost_is_made_anew(alice, spoken, now, engine):
    again(spoken, now + DAY)
    make_pieces(2, now + DAY)
    default_storage.delete(LongSpeech.objects.get().parts[0][0])
    work(now + DAY)
    work(now + DAY + timedelta(minutes=5))

    assert audio.read_part(found(spoken).audio)[1] == PIECE * PIECES
    assert stored(alice) == [found(spoken).audio]


@free
def test_a_voice_that_is_withdrawn_meanwhile_gives_it_up(spoken, now, monkeypatch):
    again(spoken, now + DAY)
    with monkeypatch.context() as patch:
        patch.setattr(voices, "resolve", failing(problems.UnknownVoice()))
        work(now + DAY)
    work(now + DAY + timedelta(minutes=1))

    is_as_before(spoken)
    assert LongSpeech.objects.get().again_failure == long.NO_VOICE


@free
def test_a_damaged_file_goes_when_the_new_one_is_there(alice, spoken, now):
    default_storage.save(spoken.audio, ContentFile(b"no sound"))
    again(spoken, now + DAY)
    make_pieces(1, now + DAY)
    assert spoken.audio in stored(alice)

    work(now + DAY)

    assert stored(alice) == [found(spoken).audio] != [spoken.audio]


@free
def test_a_text_that_was_spoken_in_a_request_may_take_a_worker_now(alice, wallet, spoken, now):
    """The engine of its voice has become slower, or another one."""
    Generation.objects.update(is_queued=False)
    LongSpeech.objects.all().delete()

    assert again(spoken, now + DAY).is_with_worker
    work(now + DAY)

    assert stored(alice) == [found(spoken).audio]


# --- Who was credited back, and who is deleted ----------------------------------------------------


def test_what_is_credited_back_meanwhile_is_given_up(spoken, now, staff, engine):
    again(spoken, now + DAY)
    make_pieces(1, now + DAY)
    credit_back.credit_back(generation=spoken, by=staff, reason="Lost", now=now)

    work(now + DAY)

    assert not found(spoken).is_making_again and engine.calls == 1
    assert "credited back" in LongSpeech.objects.get().again_failure
    assert stored(spoken.customer) == []
    with pytest.raises(problems.CreditedBack):
        again(spoken, now + DAY)


@pytest.mark.parametrize("is_long", [True, False])
def test_of_a_stopped_text_what_was_charged_is_made_again(alice, wallet, now, engine, is_long):
    generation = speak.speak(customer=alice, text=TEXT, voice_id="standard", key="stopped", now=now)
    make_pieces(2, now)
    long.stop(generation, now)
    lose(generation)
    before, engine.calls = books(generation), 0
    if not is_long:
        engine.characters_a_second = 3

    assert again(generation, now + DAY).is_with_worker is is_long
    work(now + DAY)

    made = found(generation)
    assert engine.calls == 2 and made.characters_charged == UNTIL[2]
    assert audio.read_part(made.audio)[1] == PIECE * 2
    assert stored(alice) == [made.audio] and books(generation) == before


def test_a_customer_who_is_deleted_meanwhile_leaves_nothing(alice, spoken, now, engine):
    again(spoken, now + DAY)
    make_pieces(2, now + DAY)

    list(deletion.delete(alice, dry_run=False, now=now + DAY))

    generation = found(spoken)
    assert stored(alice) == [] and not generation.is_making_again
    assert (generation.text, generation.audio) == ("", "")
    work(now + DAY)
    assert engine.calls == 2


def test_a_customer_is_not_deleted_while_a_worker_has_it_in_hand(alice, spoken, now, engine):
    again(spoken, now + DAY)

    def delete():
        engine.during = lambda: None
        with pytest.raises(deletion.NotDeletable, match="spoken right now"):
            list(deletion.delete(alice, dry_run=False, now=now + DAY))

    engine.during = delete
    work(now + DAY)
    list(deletion.delete(alice, dry_run=False, now=now + DAY))

    assert stored(alice) == [] and found(spoken).text == ""


@pytest.mark.parametrize("is_long", [True, False])
def test_who_asks_while_their_account_is_deleted_gets_nothing(
    alice, spoken, now, engine, is_long, monkeypatch
):
    """The request has read the row, and then stands still."""
    if not is_long:
        engine.characters_a_second = None
    resolve = voices.resolve

    def deleted_meanwhile(*args):
        monkeypatch.setattr(voices, "resolve", resolve)
        list(deletion.delete(alice, dry_run=False, now=now + DAY))
        return resolve(*args)

    monkeypatch.setattr(voices, "resolve", deleted_meanwhile)
    with pytest.raises(problems.StillRunning):
        again(spoken, now + DAY)

    work(now + DAY)
    assert stored(alice) == [] and engine.calls == 0
    assert not found(spoken).is_making_again


@pytest.mark.parametrize("is_long", [True, False])
def test_who_asks_while_their_texts_are_deleted_is_deleted_with_the_next_try(
    alice, spoken, now, engine, monkeypatch, is_long
):
    if not is_long:  # then it is there, too, before the deletion goes on
        engine.characters_a_second = None
    delete = deletion.encoded.delete

    def asked_meanwhile(name):
        delete(name)
        again(spoken, now + DAY)

    with monkeypatch.context() as patch:
        patch.setattr(deletion, "encoded", SimpleNamespace(delete=asked_meanwhile))
        with pytest.raises(deletion.NotDeletable):
            list(deletion.delete(alice, dry_run=False, now=now + DAY))

    list(deletion.delete(alice, dry_run=False, now=now + DAY))
    assert stored(alice) == [] and found(spoken).text == ""
    assert not found(spoken).is_making_again


@free
def test_an_attempt_that_another_has_followed_delivers_nothing(alice, spoken, now):
    again(spoken, now + DAY)
    make_pieces(PIECES - 1, now + DAY)
    late = found(spoken)
    long.stop(found(spoken), now + DAY)
    again(spoken, now + 2 * DAY)

    assert not long.fail(late, long.CANCELLED, now + 2 * DAY)
    assert not outcome.finish_again(late, SimpleNamespace(duration_seconds=1, words=()), "x", now)
    assert found(spoken).is_making_again and found(spoken).audio == spoken.audio

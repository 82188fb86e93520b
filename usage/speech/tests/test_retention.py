"""Audio is kept as long as was promised, then deleted without a trace, and made again free."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Semaphore, Thread

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from billing.models import LedgerEntry, Reservation, Subscription, Wallet
from billing.tests.money_stage import Killed
from billing.tests.operate import run
from conftest import fund
from jobs.models import PausedJob
from usage import credit_back
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent
from usage.speech import encoded, expiry, outcome, problems, promise, retention, speak, voices
from vocalis.operations import deletion

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
MONTH = 30 * DAY  # without a plan


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    fake = QuickEngine()
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


@pytest.fixture
def spoken(alice, wallet, now, engine):
    generation = say(alice, now)
    engine.calls = 0
    return generation


def say(customer, now, key="k", text="Hello", voice="standard"):
    return speak.speak(customer=customer, text=text, voice_id=voice, key=key, now=now)


def again(generation, now):
    return retention.make_again(generation=Generation.objects.get(pk=generation.pk), now=now)


def subscribe(customer, plan, now):
    Subscription.objects.filter(state="active").update(state="ended")
    return Subscription.objects.create(
        customer=customer, plan=plan, state="active", key=plan, created_at=now
    )


def files() -> list[str]:
    """All that is stored or cached anywhere."""
    found = []
    for folder in (default_storage.path(""), encoded.settings.AUDIO_CACHE):
        found += [str(path) for path in Path(folder).glob("*/*")]
    return sorted(found)


def books():
    """What making audio again never touches."""
    return (
        list(Wallet.objects.values_list("balance", "reserved", "version")),
        list(Reservation.objects.order_by("id").values_list("id", "state", "captured")),
        list(LedgerEntry.objects.order_by("id").values_list("id", "amount")),
        list(UsageEvent.objects.order_by("id").values_list("id", "due_at")),
    )


def lose(generation):
    default_storage.delete(generation.audio)


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


# --- What is promised


@pytest.mark.parametrize(
    ("plan", "days"), [(None, 30), ("trial", 30), ("creator", 90), ("pro", 365), ("enterprise", 0)]
)
def test_audio_is_kept_as_long_as_the_plan_of_its_moment_says(alice, wallet, now, plan, days):
    if plan:
        subscribe(alice, plan, now)

    generation = say(alice, now)

    kept = generation.audio_until_at
    assert kept == (generation.finished_at + timedelta(days=days) if days else None)
    assert Generation.objects.get().audio_until_at == kept


def test_a_plan_that_begins_keeps_what_is_there_as_long_and_one_that_ends_takes_nothing(
    alice, bob, spoken, now
):
    fund(bob, 100, now)
    say(bob, now)
    made_at = spoken.finished_at
    for plan, until in (("pro", 365 * DAY), ("creator", 365 * DAY)):
        subscribe(alice, plan, now)
        assert expiry.LENGTHEN.due(now).exists()
        assert expiry.LENGTHEN.run(now) == 1
        assert Generation.objects.get(pk=spoken.pk).audio_until_at == made_at + until
    assert not expiry.LENGTHEN.due(now).exists()
    assert Generation.objects.get(customer=bob).audio_until_at < now + 31 * DAY

    subscribe(alice, "enterprise", now)
    expiry.LENGTHEN.run(now)
    assert Generation.objects.get(pk=spoken.pk).audio_until_at is None


def test_a_plan_does_not_bring_back_what_was_deleted(alice, spoken, now):
    expiry.EXPIRE.run(now + 31 * DAY)
    subscribe(alice, "pro", now)

    expiry.LENGTHEN.run(now + 31 * DAY)

    assert Generation.objects.get().audio_deleted_at == now + 31 * DAY


@pytest.mark.parametrize(("plan", "days"), [("creator", 90), ("enterprise", 0)])
def test_a_plan_that_began_while_a_text_was_spoken_counts_at_the_end_at_the_latest(
    alice, spoken, now, plan, days
):
    Subscription.objects.filter(pk=subscribe(alice, plan, now).pk).update(is_audio_lengthened=True)

    assert expiry.EXPIRE.run(now + 31 * DAY) == 1

    generation = Generation.objects.get()
    assert default_storage.exists(generation.audio) and not generation.audio_deleted_at
    assert generation.audio_until_at == (
        generation.finished_at + timedelta(days=days) if days else None
    )
    assert not expiry.EXPIRE.due(now + 31 * DAY).exists()


def test_a_file_that_goes_in_the_moment_a_plan_begins_is_said_to_be_gone(
    alice, spoken, now, monkeypatch
):
    delete = expiry.encoded.delete

    def begin_a_plan(name):
        delete(name)
        promise.lengthen(subscribe(alice, "creator", now), now + 31 * DAY)

    monkeypatch.setattr(expiry.encoded, "delete", begin_a_plan)

    assert expiry.EXPIRE.run(now + 31 * DAY) == 1

    generation = Generation.objects.get()
    assert (generation.audio, generation.audio_deleted_at) == ("", now + 31 * DAY)


def test_a_plan_keeps_no_file_that_a_killed_worker_has_deleted(alice, spoken, now):
    encoded.delete(spoken.audio)  # and died before it could say so
    later = now + 31 * DAY
    subscribe(alice, "creator", now)

    assert expiry.LENGTHEN.run(later) == 1
    assert expiry.EXPIRE.run(later) == 1

    generation = Generation.objects.get()
    assert (generation.audio, generation.audio_deleted_at) == ("", later)


def test_while_nobody_can_tell_whether_a_file_is_there_it_is_neither_kept_nor_gone(
    alice, spoken, now, monkeypatch
):
    subscribe(alice, "creator", now)
    later = now + 31 * DAY

    def silent(name, mode="rb"):
        raise OSError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "open", silent)
        assert expiry.EXPIRE.run(later) == 0

    assert PausedJob.objects.get().name == "audio.expire"
    assert not Generation.objects.get().audio_deleted_at
    assert expiry.EXPIRE.run(later) == 1
    assert Generation.objects.get().audio_until_at == spoken.finished_at + 90 * DAY


def test_the_later_of_two_ends(now):
    assert promise.later(now, now + DAY) == promise.later(now + DAY, now) == now + DAY
    assert promise.later(None, now) is None is promise.later(now, None)


# --- The end of it


def test_after_its_time_audio_goes_with_all_that_was_made_of_it_and_the_rest_stays(
    alice, spoken, now
):
    for name in encoded.DELIVERED:
        encoded.open_encoded(spoken, name).close()
    before, written = books(), Generation.objects.get()
    assert len(files()) == 1 + len(encoded.DELIVERED)
    assert not expiry.EXPIRE.due(spoken.audio_until_at - timedelta(seconds=1)).exists()
    later = now + 31 * DAY

    assert expiry.EXPIRE.due(later).exists()
    assert expiry.EXPIRE.run(later) == 1

    assert files() == []
    generation = Generation.objects.get()
    assert (generation.audio, generation.audio_deleted_at) == ("", later)
    for name in ("text", "words", "credits", "reservation_id", "voice_name", "duration_seconds"):
        assert getattr(generation, name) == getattr(written, name)
    assert books() == before
    assert not expiry.EXPIRE.due(later).exists()


def test_audio_that_is_kept_for_ever_has_no_end(alice, spoken, now):
    Generation.objects.update(audio_until_at=None)

    assert not expiry.EXPIRE.due(now + 100 * 365 * DAY).exists()


def test_audio_that_was_lost_before_its_time_ends_in_order_too(spoken, now):
    lose(spoken)

    assert expiry.EXPIRE.run(now + 31 * DAY) == 1
    assert Generation.objects.get().audio_deleted_at


def test_a_file_that_cannot_be_deleted_stays_due_and_does_not_stop_the_others(
    alice, spoken, now, monkeypatch
):
    other = say(alice, now + timedelta(seconds=1), key="other")
    delete = default_storage.delete

    def refusing(name):
        if name == spoken.audio:
            raise PermissionError(13, "not yours")
        delete(name)

    later = now + 31 * DAY
    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "delete", refusing)
        assert expiry.EXPIRE.run(later) == 1

    paused = PausedJob.objects.get()
    assert paused.name == "audio.expire" and "not yours" in paused.reason
    assert Generation.objects.get(pk=other.pk).audio_deleted_at
    assert not Generation.objects.get(pk=spoken.pk).audio_deleted_at
    assert expiry.EXPIRE.run(later) == 1 and files() == []


def test_a_worker_killed_between_file_and_row_leaves_the_rest_to_the_next(spoken, now, monkeypatch):
    later = now + 31 * DAY
    with monkeypatch.context() as patch:
        patch.setattr(encoded, "forget", failing(Killed()))
        with pytest.raises(Killed):
            expiry.EXPIRE.run(later)
    assert not Generation.objects.get().audio_deleted_at

    assert expiry.EXPIRE.run(later) == 1
    assert Generation.objects.get().audio_deleted_at and files() == []


def test_the_command_does_what_the_workers_do(alice, spoken, now, monkeypatch):
    say(alice, now, key="other")
    monkeypatch.setattr("operations.command.timezone.now", lambda: now + 31 * DAY)

    code, text = run("prune_audio", "--dry-run")
    assert code == 1 and "2 would be deleted" in text and len(files()) == 2
    code, text = run("prune_audio")
    assert code == 0 and "2 deleted" in text and files() == []
    assert run("prune_audio").text == "Summary: nothing to do.\n"


def test_what_is_prepared_is_not_made_again_when_it_is_asked_for(spoken, monkeypatch):
    encoded.prepare(spoken.audio)

    assert len(files()) == 3
    for name in ("_encode", "_shape"):
        monkeypatch.setattr(encoded, name, failing(AssertionError("made again")))
    with encoded.open_encoded(spoken, "mp3") as sound, encoded.open_levels(spoken) as shape:
        assert len(sound.read()) > 100
        assert len(json.loads(shape.read())) > 50


def test_the_cache_of_encodings_is_pruned_while_nothing_is_encoded(spoken, now):
    with encoded.open_encoded(spoken, "mp3") as file:
        path = file.name
    expiry.EXPIRE.prepare(now)
    assert Path(path).exists()
    os.utime(path, (0, 0))

    expiry.EXPIRE.prepare(now)

    assert not Path(path).exists() and default_storage.exists(spoken.audio)


def test_a_cache_that_cannot_be_pruned_stops_no_worker(monkeypatch, now):
    monkeypatch.setattr(encoded, "prune", failing(PermissionError(13, "no")))

    expiry.EXPIRE.prepare(now)


# --- Again


def test_deleted_audio_is_made_again_for_nothing(alice, spoken, now, engine):
    before = books()
    expiry.EXPIRE.run(now + 31 * DAY)
    later = now + 400 * DAY

    made = again(spoken, later)

    generation = Generation.objects.get()
    assert generation.audio == made.audio != spoken.audio and engine.calls == 1
    assert default_storage.exists(made.audio) and len(files()) == 1
    assert generation.audio_deleted_at is None and not generation.is_making_again
    assert generation.audio_until_at == generation.finished_at + MONTH >= later + MONTH
    assert books() == before
    with encoded.open_encoded(generation, "wav") as file:
        assert file.read(4) == b"RIFF"


def break_it(generation):
    default_storage.delete(generation.audio)
    default_storage.save(generation.audio, ContentFile(b"no sound"))


def cut_it(generation):
    path = Path(default_storage.path(generation.audio))
    path.write_bytes(path.read_bytes()[:-20])


def forget_it(generation):
    lose(generation)
    Generation.objects.update(audio="")


def lead_elsewhere(generation):
    lose(generation)
    Generation.objects.update(audio="../../etc/passwd")


@pytest.mark.parametrize("how", [lose, break_it, cut_it, forget_it, lead_elsewhere])
def test_audio_that_was_lost_or_damaged_is_made_again_and_nothing_else_remains(
    alice, wallet, now, engine, how
):
    engine.samples = bytes(range(256)) * 100
    generation = say(alice, now)
    before, engine.calls = books(), 0
    how(generation)

    made = again(generation, now + DAY)

    assert engine.calls == 1 and books() == before
    assert [Path(path).name for path in files()] == [Path(made.audio).name]
    assert again(generation, now + DAY).audio == made.audio and engine.calls == 1


def test_audio_made_again_early_keeps_its_date(alice, spoken, now):
    subscribe(alice, "pro", now)
    expiry.LENGTHEN.run(now)
    promised = Generation.objects.get().audio_until_at
    subscribe(alice, "creator", now)
    lose(spoken)

    assert again(spoken, now + DAY).audio_until_at == promised


def test_audio_that_is_there_is_not_made_again(alice, spoken, now, engine):
    assert again(spoken, now + DAY).audio == spoken.audio
    assert engine.calls == 0 and Generation.objects.get().again_at is None


def test_audio_whose_cost_was_credited_back_is_not_made_again(spoken, now, staff, engine):
    lose(spoken)
    credit_back.credit_back(generation=spoken, by=staff, reason="Lost", now=now)

    with pytest.raises(problems.CreditedBack):
        again(spoken, now + DAY)
    assert engine.calls == 0


def test_a_voice_that_is_gone_is_said_so_and_one_that_is_away_is_waited_for(
    spoken, now, monkeypatch
):
    lose(spoken)
    with monkeypatch.context() as patch:
        patch.setattr(voices, "missing", lambda engine: "no package")
        with pytest.raises(problems.SpeechFailed, match="just now"):
            again(spoken, now + DAY)
    Generation.objects.update(voice="standard-nobody", voice_name="Nobody")

    with pytest.raises(problems.VoiceGone, match="The voice Nobody does not exist"):
        again(spoken, now + DAY)
    assert not Generation.objects.get().is_making_again


def test_an_engine_that_fails_leaves_nothing_and_it_may_be_tried_again(spoken, now, engine):
    lose(spoken)
    engine.during = failing(EngineFailed("The engine is busy."))
    with pytest.raises(problems.SpeechFailed, match="busy"):
        again(spoken, now + DAY)
    assert files() == [] and not Generation.objects.get().is_making_again

    engine.during = failing(EngineFailed("Too long.", permanent=True))
    with pytest.raises(problems.Refused):
        again(spoken, now + DAY)

    engine.during = lambda: None
    assert again(spoken, now + DAY).audio


def test_one_at_a_time_for_a_customer(alice, bob, spoken, now, engine):
    other = say(alice, now, key="other")
    fund(bob, 100, now)
    bobs = say(bob, now)
    for generation in (spoken, other, bobs):
        lose(generation)
    seen = []

    def meanwhile():
        engine.during = lambda: None
        for generation, error in (
            (spoken, problems.StillRunning),
            (other, problems.AgainElsewhere),
        ):
            with pytest.raises(error):
                again(generation, now + DAY)
            seen.append(error)
        again(bobs, now + DAY)

    engine.during = meanwhile
    again(spoken, now + DAY)

    assert len(seen) == 2
    assert again(other, now + DAY).audio


def test_twenty_an_hour(alice, wallet, now, engine):
    texts = [say(alice, now, key=str(number), text="Hi") for number in range(21)]
    for generation in texts:
        lose(generation)
    for number, generation in enumerate(texts[:20]):
        again(generation, now + DAY + timedelta(minutes=number))
    half_past = now + DAY + timedelta(minutes=30)

    with pytest.raises(problems.AgainTooOften, match="Try again in 30 minutes") as refused:
        again(texts[20], half_past)
    assert refused.value.retry_after_seconds == 1800

    assert again(texts[20], half_past + timedelta(minutes=30, seconds=1)).audio


# --- Killed, overtaken, together


@pytest.mark.parametrize(
    "point", ["speak.synthesise", "audio.store", "outcome.delete_former", "outcome.finish_again"]
)
@pytest.mark.parametrize("then", ["a request", "a worker"])
def test_what_a_killed_process_leaves_is_taken_over_or_cleared_away(
    alice, spoken, now, monkeypatch, point, then
):
    break_it(spoken)
    began = now + DAY
    with monkeypatch.context() as patch:
        patch.setattr(f"usage.speech.retention.{point}", failing(Killed()))
        patch.setattr(retention, "give_up", lambda generation, now: None)
        with pytest.raises(Killed):
            again(spoken, began)
    with pytest.raises(problems.StillRunning):
        again(spoken, began + timedelta(seconds=60))
    assert not expiry.GIVE_UP_AUDIO.due(began + timedelta(seconds=60)).exists()

    later = began + timedelta(minutes=10)
    if then == "a worker":
        assert expiry.GIVE_UP_AUDIO.due(later).exists() and expiry.GIVE_UP_AUDIO.run(later) == 1
        assert not Generation.objects.get().is_making_again
        remaining = {Path(path).name for path in files()}
        assert remaining <= {Path(spoken.audio).name}
    made = again(spoken, later)

    assert [Path(path).name for path in files()] == [Path(made.audio).name]


def test_a_commit_whose_answer_is_lost_keeps_the_audio(spoken, now, monkeypatch):
    lose(spoken)
    finish = outcome.finish_again

    def lost(*args):
        finish(*args)
        raise ConnectionError("the connection broke after COMMIT")

    with monkeypatch.context() as patch:
        patch.setattr(outcome, "finish_again", lost)
        with pytest.raises(ConnectionError):
            again(spoken, now + DAY)

    generation = Generation.objects.get()
    assert default_storage.exists(generation.audio) and len(files()) == 1
    assert not generation.is_making_again


def test_an_attempt_that_was_taken_for_gone_leaves_nothing(spoken, now, engine):
    lose(spoken)
    made = []

    def sleep_too_long():
        engine.during = lambda: None
        made.append(again(spoken, now + DAY + timedelta(minutes=10)))

    engine.during = sleep_too_long
    with pytest.raises(problems.StillRunning):
        again(spoken, now + DAY)

    assert Generation.objects.get().audio == made[0].audio
    assert [Path(path).name for path in files()] == [Path(made[0].audio).name]


def test_a_customer_is_not_deleted_meanwhile_and_what_was_left_goes_then(
    alice, spoken, now, monkeypatch
):
    lose(spoken)
    with monkeypatch.context() as patch:
        patch.setattr(outcome, "finish_again", failing(Killed()))
        patch.setattr(retention, "give_up", lambda generation, now: None)
        with pytest.raises(Killed):
            again(spoken, now + DAY)
    assert len(files()) == 1
    with pytest.raises(deletion.NotDeletable):
        list(deletion.delete(alice, dry_run=False, now=now + DAY))

    list(deletion.delete(alice, dry_run=False, now=now + DAY + timedelta(minutes=10)))

    generation = Generation.objects.get()
    assert files() == [] and not generation.is_making_again and generation.text == ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [1, 2], ids=["the same", "two"])
def test_eight_tabs_at_once_make_one(alice, wallet, now, engine, number):
    rows = [say(alice, now, key=str(key)) for key in range(number)]
    for generation in rows:
        lose(generation)
    engine.calls, outcomes, start, at_work = 0, [], Barrier(8), Barrier(2)
    refused = Semaphore(0)
    engine.during = lambda: at_work.wait(60)

    def tab(index):
        start.wait(10)
        try:
            outcomes.append(again(rows[index % number], now + DAY))
        except (problems.StillRunning, problems.AgainElsewhere) as error:
            outcomes.append(error)
            refused.release()
        finally:
            connection.close()

    threads = [Thread(target=tab, args=[index]) for index in range(8)]
    for thread in threads:
        thread.start()
    assert all(refused.acquire(timeout=30) for _ in range(7))
    at_work.wait(10)  # only now the one goes on
    for thread in threads:
        thread.join()

    assert [isinstance(one, Generation) for one in outcomes].count(True) == 1
    assert engine.calls == 1 and len(outcomes) == 8
    assert not Generation.objects.filter(is_making_again=True).exists()

"""The path of a generation from text to captured credits, and every way it can fail."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.storage import default_storage

from billing import ledger
from billing.models import LedgerEntry, Reservation, Wallet
from conftest import fund
from usage.audio import Reader
from usage.engines import EngineFailed, NothingToSpeak
from usage.engines.espeak import Espeak
from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, UsageEvent, Voice
from usage.speech import abandoned, audio, outcome, problems, speak, voices


def say(customer, now, text="Hello there.", voice="standard", key="key-1"):
    return speak.speak(customer=customer, text=text, voice_id=voice, key=key, now=now)


def balances(wallet) -> tuple[int, int]:
    return Wallet.objects.values_list("balance", "reserved").get(id=wallet.id)


def stored(customer) -> list[str]:
    try:
        return sorted(default_storage.listdir(str(customer.id))[1])
    except FileNotFoundError:
        return []


class Killed(BaseException):
    """The process dies here: nothing after this line runs."""


@pytest.fixture
def killed_in(monkeypatch):
    """`with killed_in("finish"):` a process that dies when it gets there, cleaning up nothing."""

    @contextmanager
    def dying(point):
        with monkeypatch.context() as patch:
            patch.setattr(f"usage.speech.speak.{point}", lambda *args, **named: failing(Killed())())
            patch.setattr(speak, "give_back", lambda *args: None)
            with pytest.raises(Killed):
                yield

    return dying


@pytest.fixture
def engine(monkeypatch):
    """An engine that does what its `during` says, and counts."""

    fake = QuickEngine()
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


def failing(error):
    def during():
        raise error

    return during


def test_speaking_stores_audio_captures_and_makes_one_event_due(alice, wallet, now):
    generation = say(alice, now, text="Hello there.")

    assert generation.state == "done" and not generation.replayed
    assert (generation.characters, generation.credits, generation.available_after) == (12, 12, 488)
    assert balances(wallet) == (488, 0)
    with (
        default_storage.open(generation.audio) as file,
        Reader(file) as sound,
    ):
        seconds = sound.samples / sound.sample_rate
        assert seconds == pytest.approx(generation.duration_seconds)
        assert 2 * sound.samples == sum(map(len, sound))
    assert generation.audio.endswith(".flac") and generation.content_type == "audio/flac"
    event = UsageEvent.objects.get()
    assert event.transaction_id == f"vocalis-gen-{generation.id}"
    assert (event.event_type, event.customer, event.credits) == ("voice_generation", alice, 12)
    assert event.properties == {"voice_type": "standard", "text_length": "12"}
    assert event.happened_at == event.reservation.created_at == now
    assert event.due_at == now and event.sent_at is None
    assert event.reservation == Generation.objects.get().reservation


def test_a_premium_voice_costs_twice(alice, wallet, now):
    generation = say(alice, now, text="Hello", voice="premium")

    assert generation.credits == 10
    assert UsageEvent.objects.get().properties == {"voice_type": "premium", "text_length": "5"}


def test_line_ends_and_accents_are_counted_once_everywhere(alice, wallet, now):
    generation = say(alice, now, text="Cafe\u0301\r\nau lait")

    assert generation.text == "Café\nau lait"
    assert generation.characters == generation.credits == 12
    assert UsageEvent.objects.get().properties["text_length"] == "12"


def test_the_same_key_and_body_answer_again_at_no_cost(alice, wallet, now, engine):
    first = say(alice, now, text="one\r\ntwo")
    calls = engine.calls
    again = say(alice, now + timedelta(hours=1), text="one\ntwo")

    assert again.id == first.id and again.replayed
    assert again.available_after == first.available_after == 493
    assert engine.calls == calls > 0
    assert balances(wallet) == (493, 0)
    assert UsageEvent.objects.count() == 1


@pytest.mark.parametrize("other", [{"text": "Something else"}, {"voice": "standard-oliver"}])
def test_the_same_key_with_another_body_is_refused(alice, wallet, now, engine, other):
    say(alice, now)

    with pytest.raises(problems.KeyReused) as refused:
        say(alice, now, **other)

    assert list(refused.value.errors) == ["key"]
    assert balances(wallet) == (488, 0)


def test_two_customers_may_use_the_same_key(alice, bob, wallet, now, engine):
    fund(bob, 100, now)

    assert say(alice, now).id != say(bob, now).id


def test_wrong_fields_are_named_together(alice, wallet, now):
    with pytest.raises(problems.Refused) as refused:
        say(alice, now, text=" ", voice="nobody", key="two words")

    assert sorted(refused.value.errors) == ["key", "text", "voice"]
    assert not Generation.objects.exists()


def test_someone_elses_voice_is_unknown(alice, bob, wallet, now):
    voice = Voice.objects.create(
        customer=bob,
        key="v",
        name="Bob's",
        state="ready",
        engine="espeak",
        settings={"variant": "en-us+f3"},
        credits=25_000,
        created_at=now,
    )

    with pytest.raises(problems.Refused) as refused:
        say(alice, now, voice=str(voice.id))
    assert refused.value.errors == {"voice": ["Choose one of the voices."]}
    assert voices.resolve(bob, str(voice.id)).name == "Bob's"


def test_a_voice_not_ready_is_unknown(alice, now):
    voice = Voice.objects.create(
        customer=alice,
        key="v",
        name="Mine",
        state="pending",
        engine="espeak",
        settings={"variant": "en-us+f3"},
        credits=25_000,
        created_at=now,
    )

    with pytest.raises(problems.UnknownVoice):
        voices.resolve(alice, str(voice.id))


def test_tiers_name_their_first_voice_and_ids_their_tier(alice):
    assert voices.resolve(alice, "standard").id == "standard-ava"
    assert voices.resolve(alice, "premium").id == "premium-nora"
    for speaker in voices.HOUSE.values():
        assert speaker.id.startswith(f"{speaker.type}-")


@pytest.mark.any_database  # what engines make of it; its neighbours write the same rows
def test_every_house_voice_speaks_and_sounds_different(alice, wallet, now):
    sounds = {
        speaker.id: say(alice, now, voice=speaker.id, key=speaker.id)
        for speaker in voices.HOUSE.values()
    }

    audio = set()
    for generation in sounds.values():
        with default_storage.open(generation.audio) as file:
            audio.add(file.read())
    assert len(audio) == len(sounds) >= 4


def test_too_few_credits_leave_no_trace(alice, wallet, now, engine):
    with pytest.raises(ledger.InsufficientCredits) as refused:
        say(alice, now, text="x" * 501)

    assert (refused.value.missing, refused.value.needed, refused.value.available) == (1, 501, 500)
    assert not Generation.objects.exists() and not Reservation.objects.exists()
    assert engine.calls == 0
    fund(alice, 1, now)
    assert say(alice, now, text="x" * 501).credits == 501


def test_the_last_credit_can_be_spent(alice, wallet, now, engine):
    assert say(alice, now, text="x" * 500).available_after == 0


def test_a_customer_who_never_had_credits_is_refused(bob, now, engine):
    with pytest.raises(ledger.InsufficientCredits):
        say(bob, now)


def test_a_frozen_wallet_speaks_nothing(alice, wallet, now, engine):
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)

    with pytest.raises(ledger.WalletFrozen):
        say(alice, now)
    assert not Generation.objects.exists()


def test_attempts_of_one_instant_are_told_apart(alice, wallet, now, engine):
    engine.during = failing(EngineFailed("The speech engine did not answer."))
    with pytest.raises(problems.SpeechFailed):
        say(alice, now)
    first = Generation.objects.get()
    engine.during = lambda: None

    say(alice, now)

    second = Generation.objects.get()
    assert second.taken_at > first.taken_at
    assert audio.name_for(second) != audio.name_for(first)


def test_an_engine_that_fails_costs_nothing_and_may_be_asked_again(alice, wallet, now, engine):
    engine.during = failing(EngineFailed("The speech engine did not answer."))
    with pytest.raises(problems.SpeechFailed, match="did not answer"):
        say(alice, now)
    assert balances(wallet) == (500, 0)
    generation = Generation.objects.get()
    assert (generation.state, generation.failure) == ("failed", "The speech engine did not answer.")

    engine.during = lambda: None
    again = say(alice, now)

    assert again.id == generation.id and again.state == "done" and again.tries == 1
    assert balances(wallet) == (488, 0)
    assert sorted(Reservation.objects.values_list("state", flat=True)) == ["captured", "released"]
    assert UsageEvent.objects.count() == 1


@pytest.mark.parametrize(
    "error", [EngineFailed("No such voice.", permanent=True), NothingToSpeak("Nothing to say.")]
)
def test_what_can_never_be_spoken_is_refused(alice, wallet, now, engine, error):
    engine.during = failing(error)

    with pytest.raises(problems.Refused) as refused:
        say(alice, now)

    assert refused.value.errors == {"text": [str(error)]}
    assert balances(wallet) == (500, 0)


def test_an_error_nobody_foresaw_gives_the_credits_back(alice, wallet, now, engine):
    engine.during = failing(RuntimeError("a bug"))

    with pytest.raises(RuntimeError):
        say(alice, now)

    assert balances(wallet) == (500, 0)
    assert Generation.objects.get().failure == outcome.UNEXPECTED


def test_a_full_disk_costs_nothing_and_leaves_no_file(alice, wallet, now, engine, monkeypatch):
    save = default_storage.save

    def half(name, content):
        save(name, content)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(default_storage, "save", half)
    with pytest.raises(problems.SpeechFailed, match="could not be stored"):
        say(alice, now)

    assert balances(wallet) == (500, 0)
    assert stored(alice) == []
    assert not UsageEvent.objects.exists()


def test_a_failed_capture_undoes_the_event_and_the_audio(alice, wallet, now, engine, monkeypatch):
    def broken(**kwargs):
        ledger_capture(**kwargs)
        raise RuntimeError("after the capture, before the commit")

    ledger_capture = ledger.capture
    monkeypatch.setattr(ledger, "capture", broken)
    with pytest.raises(RuntimeError):
        say(alice, now)

    assert balances(wallet) == (500, 0)
    assert Generation.objects.get().state == "failed"
    assert not UsageEvent.objects.exists()
    assert stored(alice) == []


def test_a_request_still_running_is_not_begun_again(alice, wallet, now, engine, killed_in):
    with killed_in("finish"):
        say(alice, now)

    with pytest.raises(problems.StillRunning) as running:
        say(alice, now + timedelta(seconds=speak.taken_seconds(len("Hello")) - 1))
    assert running.value.retry_after_seconds > 0
    assert balances(wallet) == (500, 12)


@pytest.mark.parametrize("point", ["synthesise", "audio.store", "finish"])
def test_an_abandoned_request_is_taken_over_with_its_reservation(
    alice, wallet, now, killed_in, point
):
    with killed_in(point):
        say(alice, now)
    assert balances(wallet) == (500, 12)

    generation = say(alice, now + timedelta(seconds=speak.taken_seconds(len("Hello"))))

    assert generation.state == "done"
    assert balances(wallet) == (488, 0)
    assert Reservation.objects.get().state == "captured"
    # The promise was made with the first reservation.
    assert UsageEvent.objects.get().happened_at == now
    # What the killed process stored is gone.
    assert stored(alice) == [generation.audio.split("/")[1]]


def test_an_abandoned_request_whose_reservation_expired_reserves_anew(
    alice, wallet, now, engine, killed_in
):
    with killed_in("finish"):
        say(alice, now)
    later = now + timedelta(minutes=11)
    assert ledger.expire_reservations(now=later) == [wallet.id]
    assert balances(wallet) == (500, 0)

    say(alice, later)

    assert balances(wallet) == (488, 0)
    assert sorted(Reservation.objects.values_list("state", flat=True)) == ["captured", "expired"]
    assert UsageEvent.objects.get().happened_at == later


def test_a_reservation_that_expires_while_speaking_is_made_again(alice, wallet, now, engine):
    later = now + timedelta(minutes=11)
    engine.during = lambda: ledger.expire_reservations(now=later)

    generation = say(alice, now)

    assert generation.state == "done" and generation.tries == 1
    assert balances(wallet) == (488, 0)
    assert LedgerEntry.objects.filter(kind="capture").count() == UsageEvent.objects.count() == 1


def test_a_late_capture_takes_nothing_that_was_spent_meanwhile(alice, wallet, now, engine):
    def spend_it_elsewhere():
        ledger.expire_reservations(now=now + timedelta(minutes=11))
        ledger.capture(
            reservation_id=ledger.reserve(wallet_id=wallet.id, key="other", amount=495, now=now).id,
            now=now,
        )

    engine.during = spend_it_elsewhere
    with pytest.raises(ledger.InsufficientCredits):
        say(alice, now)

    assert balances(wallet) == (5, 0)
    generation = Generation.objects.get()
    assert generation.state == "failed" and generation.audio == ""
    assert stored(alice) == [] and not UsageEvent.objects.exists()


def test_who_was_taken_over_while_asleep_changes_nothing(alice, wallet, now, engine):
    later = now + timedelta(seconds=speak.taken_seconds(len("Hello")))
    taken = []

    def sleep_too_long():
        if not taken:
            taken.append(True)
            taken.append(say(alice, later))

    engine.during = sleep_too_long
    with pytest.raises(problems.StillRunning):
        say(alice, now)

    generation = taken[1]
    assert balances(wallet) == (488, 0)
    assert Generation.objects.get().audio == generation.audio
    assert stored(alice) == [generation.audio.split("/")[1]]
    assert UsageEvent.objects.count() == 1


def test_a_commit_whose_answer_is_lost_keeps_the_audio(alice, wallet, now, engine, monkeypatch):
    def lost(*args, **named):
        finish(*args, **named)
        raise ConnectionError("the connection broke after COMMIT")

    finish = speak.finish
    monkeypatch.setattr(speak, "finish", lost)
    with pytest.raises(ConnectionError):
        say(alice, now)

    again = say(alice, now)
    assert again.replayed and again.state == "done"
    assert stored(alice) == [again.audio.split("/")[1]]
    assert balances(wallet) == (488, 0)


def test_what_nobody_comes_back_for_ends_failed(alice, wallet, now, engine, killed_in):
    with killed_in("finish"):
        say(alice, now)
    job = abandoned.GIVE_UP_GENERATIONS
    assert not job.due(now + timedelta(minutes=10)).exists()
    later = now + timedelta(minutes=11)

    ledger.expire_reservations(now=later)
    assert job.run(later) == 1

    generation = Generation.objects.get()
    assert (generation.state, generation.failure) == ("failed", outcome.UNEXPECTED)
    assert balances(wallet) == (500, 0)
    assert stored(alice) == []
    assert job.run(later) == 0
    assert say(alice, later).state == "done"  # and the same key still works


def test_an_own_voice_speaks_at_the_standard_rate(alice, wallet, now):
    voice = Voice.objects.create(
        customer=alice,
        key="v",
        name="Mine",
        state="ready",
        engine="espeak",
        settings={"variant": "en-us+f3", "pitch": 70},
        credits=25_000,
        created_at=now,
    )

    generation = say(alice, now, text="Hello", voice=str(voice.id))

    assert voices.resolve(alice, str(voice.id)).settings == {"variant": "en-us+f3", "pitch": 70}
    assert (generation.credits, generation.voice_name) == (5, "Mine")
    assert UsageEvent.objects.get().properties["voice_type"] == "standard"


def test_every_house_voice_has_a_sample_and_own_voices_have_none():
    for speaker in voices.HOUSE.values():
        data = Path(settings.BASE_DIR, "static", speaker.sample).read_bytes()
        assert 10_000 < len(data) < 60_000 and data[0] == 0xFF, speaker.id
    own = Voice(name="Mine", engine="espeak", settings={})
    assert voices.own_speaker(own).sample == ""


def test_a_text_in_letters_the_voice_does_not_know_is_refused_before_anything_is_reserved(
    alice, wallet, now
):
    with pytest.raises(problems.Refused) as refused:
        say(alice, now, text="Hello, Привет!")

    assert refused.value.errors == {
        "text": ["Ava does not speak Cyrillic letters. Choose a voice that does: Ada."]
    }
    assert not Generation.objects.exists() and not Reservation.objects.exists()
    assert say(alice, now, text="Привет", voice="standard-classic").state == "done"


def test_voices_whose_engine_lacks_its_packages_are_hidden_and_the_next_one_stands_for_its_tier(
    alice, client, monkeypatch
):
    monkeypatch.setattr(voices, "missing", lambda name: "no packages" * (name == "kokoro"))

    assert {speaker.type for speaker in voices.house()} == {"standard"}
    for hidden in ("premium", "premium-nora", "standard-oliver"):
        with pytest.raises(problems.UnknownVoice):
            voices.resolve(alice, hidden)
    client.force_login(alice.user)
    html = client.get("/studio/").content.decode()
    assert "standard-ava" in html and "premium-" not in html and "Oliver" not in html


def test_a_site_without_any_engine_still_shows_the_studio(alice, client, monkeypatch):
    monkeypatch.setattr(voices, "missing", lambda name: "no packages")
    client.force_login(alice.user)

    assert client.get("/studio/").status_code == 200


def test_customers_do_not_read_what_is_for_operators(alice, wallet, now, monkeypatch, caplog):
    own = Voice.objects.create(
        customer=alice,
        key="v",
        name="Mine",
        engine="espeak",
        settings={"variant": "en-us+f3"},
        state="ready",
        credits=1,
        created_at=now,
    )
    monkeypatch.setattr(Espeak, "problem", lambda self: "Install requirements.txt.")

    with pytest.raises(problems.SpeechFailed, match="This voice cannot speak just now"):
        say(alice, now, voice=str(own.id))
    assert "Install requirements.txt." in caplog.text
    assert balances(wallet)[1] == 0

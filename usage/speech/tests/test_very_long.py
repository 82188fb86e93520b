"""Texts beyond what a request speaks: queued by their length, made in parts, with what cannot be
spoken left out and given back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import default_storage

from billing.models import Wallet
from conftest import fund
from jobs.worker import Worker, jobs_on
from usage import engines
from usage.engines import EngineFailed
from usage.engines.tests.quick import QuickEngine
from usage.engines.whole import speak_pieces
from usage.models import Generation, LongSpeech, UsageDay, UsageEvent
from usage.speech import (
    audio,
    long,
    parts,
    problems,
    progress,
    receipt,
    renewal,
    retention,
    speak,
    turns,
    voices,
    words,
)
from usage.speech import manner as manners
from usage.text import LONG_MAX_CHARACTERS, MAX_CHARACTERS

LINE = "word " * 19 + "end.\n"  # a piece of 100 characters
BAD = "brrr " * 19 + "end.\n"
CREDITS = 20_000


class Fast(QuickEngine):
    characters_max = first_characters_max = 100

    def speak(self, pieces, **options):
        for piece in pieces:
            if piece.spoken.startswith("b"):
                self.calls += 1
                raise EngineFailed("It crashed.", permanent=self.is_permanent)
        yield from super().speak(pieces, **options)

    is_permanent = True


@pytest.fixture
def engine(monkeypatch):
    fast = Fast()
    monkeypatch.setattr(speak, "engine", lambda name: fast)
    monkeypatch.setattr(long, "engine", lambda name: fast)
    return fast


@pytest.fixture
def rich(alice, now):
    fund(alice, CREDITS, now)
    return alice


def say(customer, now, text=LINE * 60, key="key-1"):
    return speak.speak(customer=customer, text=text, voice_id="standard", key=key, now=now)


def work(now, *queues):
    Worker(jobs_on(queues or ["speech"]), clock=lambda: now).drain()


def credits(customer) -> tuple[int, int]:
    return Wallet.objects.values_list("balance", "reserved").get(customer=customer)


def stored(customer) -> list[str]:
    names = default_storage.listdir(str(customer.id))[1]
    return sorted(f"{customer.id}/{name}" for name in names)


@pytest.mark.parametrize(
    ("characters", "queued"), [(MAX_CHARACTERS, False), (MAX_CHARACTERS + 1, True)]
)
def test_a_text_longer_than_a_request_speaks_is_queued_however_fast_its_engine(
    rich, now, engine, characters, queued
):
    generation = say(rich, now, text=(LINE * 60)[:characters])

    assert (generation.is_queued, credits(rich)[1]) == (queued, characters if queued else 0)


def test_no_text_is_longer_than_the_longest(rich, now, engine):
    with pytest.raises(problems.Refused, match="at most 100,000 can be spoken"):
        say(rich, now, text=(LINE * 1_001)[: LONG_MAX_CHARACTERS + 1])

    assert not Generation.objects.exists()


def test_programs_that_listen_send_no_more_than_a_request_speaks(rich, now, engine):
    with pytest.raises(problems.Refused, match="at most 5,000 can be spoken"):
        speak.check(rich, LINE * 60, "standard", "key", None)


def test_several_pieces_are_one_part_and_the_first_is_one_by_itself(rich, now, engine):
    generation = say(rich, now)
    engine.during = lambda: None
    assert long.SPEAK.run(now)

    generation.refresh_from_db()
    assert (generation.state, generation.credits, engine.calls) == ("done", 6_000, 60)
    assert stored(rich) == [generation.audio]
    assert credits(rich) == (CREDITS - 6_000, 0)


def test_a_part_ends_with_its_time_or_with_so_much_audio(rich, now, engine, monkeypatch):
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)
    generation = say(rich, now)
    row = lambda: LongSpeech.objects.get()  # noqa: E731
    long.SPEAK.run(now)
    assert row().pieces_spoken == 1
    monkeypatch.setattr(long, "PART_AUDIO_SECONDS", 0.05)  # each piece has 0.01
    long.SPEAK.run(now)
    assert (row().pieces_spoken, len(row().parts)) == (6, 2)
    monkeypatch.setattr(long, "PART_SECONDS", -1)
    long.SPEAK.run(now)
    assert (row().pieces_spoken, row().characters_spoken) == (7, 700)
    assert progress.of(generation).percent == 11


def test_the_real_engine_gives_the_same_samples_and_word_times_as_its_pieces(
    rich, now, monkeypatch
):
    """Whatever was one part: the file is that of all pieces in order."""
    text = "# One\n\n" + "The keeper counted ships.\n\n" * 5 + "# Two\nIt was 17:45, and he slept."
    monkeypatch.setattr(long, "takes_long", lambda engine, characters, speed: True)
    monkeypatch.setattr(long, "PART_AUDIO_SECONDS", 4)
    generation = say(rich, now, text=text)
    work(now)

    generation.refresh_from_db()
    speaker = voices.resolve(rich, "standard")
    chosen = engines.engine(speaker.engine)
    todo = manners.pieces(chosen, generation, speaker)
    spoken = list(speak_pieces(chosen, todo, settings=speaker.settings))
    rate, samples = audio.read_part(generation.audio)
    assert (rate, samples) == (chosen.sample_rate, b"".join(each.samples for each in spoken))
    assert generation.duration_seconds == len(samples) / 2 / rate
    times = words.unpacked(generation.words)
    assert [text[word.start : word.end] for word in times[-2:]] == ["he", "slept"]
    begins = sum(len(each.samples) for each in spoken[:-1]) / 2 / rate
    first = spoken[-1].times[0][0] + begins
    found = next(word for word in times if word.start == todo[-1].words[0].start)
    assert abs(found.begin_ms / 1_000 - first) <= 0.002


# --- How long, and who is next --------------------------------------------------------------------


def test_the_time_for_a_text_follows_its_length_and_its_speed(rich, now, engine):
    short = Generation(characters=MAX_CHARACTERS)
    book = Generation(characters=LONG_MAX_CHARACTERS)
    slow = Generation(characters=LONG_MAX_CHARACTERS, manner={"speed": 0.5})

    hours = [turns.total_seconds(each) / 3_600 for each in (short, book, slow)]
    assert [round(each, 1) for each in hours] == [1.0, 3.6, 6.3]


def test_after_its_time_all_is_given_back(rich, now, engine):
    generation = say(rich, now)
    until = now + timedelta(seconds=turns.total_seconds(generation))
    renewal.renew(until - timedelta(seconds=1))
    generation.refresh_from_db()
    assert generation.state == "pending"
    renewal.renew(until)

    generation.refresh_from_db()
    assert (generation.state, generation.failure) == ("failed", long.TOO_LONG)
    assert credits(rich) == (CREDITS, 0)


def test_a_page_that_is_asked_for_later_overtakes_a_book(rich, now, engine, monkeypatch):
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)
    monkeypatch.setattr(long, "PART_SECONDS", -1)
    book = say(rich, now, text=LINE * 80, key="book")
    for _ in range(70):  # two minutes of a slow voice
        long.SPEAK.run(now + timedelta(minutes=5))
    page = say(rich, now + timedelta(minutes=1), key="page", text=LINE * 51)
    for _ in range(51):
        long.SPEAK.run(now + timedelta(minutes=5))

    states = {one.key: one.state for one in Generation.objects.all()}
    assert states == {"book": "pending", "page": "done"}
    assert book.id != page.id


# --- What cannot be spoken ------------------------------------------------------------------------

WITH_BAD = LINE * 30 + BAD + LINE * 40
RANGE = [3_000, 3_100]


def test_a_piece_that_cannot_be_spoken_is_left_out_and_given_back(rich, now, engine):
    generation = say(rich, now, text=WITH_BAD)
    work(now)

    generation.refresh_from_db()
    assert (generation.state, generation.left_out) == ("done", [RANGE])
    assert (generation.characters_charged, generation.credits) == (7_000, 7_000)
    assert (generation.characters_reached, generation.credits_given_back) == (7_100, 100)
    assert credits(rich) == (CREDITS - 7_000, 0)
    assert generation.available_after == CREDITS - 7_000
    event = UsageEvent.objects.get()
    assert (event.credits, event.properties["text_length"]) == (7_000, "7000")
    assert event.reservation.captured == 7_000
    assert UsageDay.objects.get().characters == 7_000
    assert stored(rich) == [generation.audio]
    times = words.unpacked(generation.words)
    assert not any(RANGE[0] <= word.start < RANGE[1] for word in times)
    assert times[-1].end > 7_000
    assert receipt.receipt(generation).characters == 7_000


def test_what_may_pass_is_tried_for_minutes_before_it_is_left_out(rich, now, engine):
    engine.is_permanent = False
    generation = say(rich, now, text=WITH_BAD)
    later = now
    for _ in range(long.LONG_TRIES + 1):
        work(later)
        later += timedelta(minutes=3)

    generation.refresh_from_db()
    assert (generation.state, generation.left_out) == ("done", [RANGE])
    assert engine.calls == 70 + 1 + long.LONG_TRIES, "first behind others, which are kept"


@pytest.mark.parametrize("text", [LINE * 50 + BAD * 4 + LINE * 20, LINE * 40 + BAD])
def test_a_text_of_which_too_much_would_be_missing_fails_whole(
    rich, now, engine, text, monkeypatch
):
    monkeypatch.setattr(long, "takes_long", lambda engine, characters, speed: True)
    generation = say(rich, now, text=text)
    for seconds in range(0, 60, 10):
        work(now + timedelta(seconds=seconds))

    generation.refresh_from_db()
    assert (generation.state, generation.failure) == ("failed", "It crashed.")
    assert credits(rich) == (CREDITS, 0) and stored(rich) == []
    assert not UsageEvent.objects.exists()


def test_what_was_left_out_stays_so_when_the_audio_is_made_again(rich, now, engine):
    generation = say(rich, now, text=WITH_BAD)
    work(now)
    generation.refresh_from_db()
    before = audio.read_part(generation.audio)
    default_storage.delete(generation.audio)

    retention.make_again(generation=generation, now=now + timedelta(minutes=1))
    work(now + timedelta(minutes=1))

    generation.refresh_from_db()
    assert not generation.is_making_again and audio.read_part(generation.audio) == before
    assert credits(rich) == (CREDITS - 7_000, 0)


def test_stopped_after_a_gap_it_costs_what_was_spoken(rich, now, engine, monkeypatch):
    monkeypatch.setattr(long, "PART_SECONDS", -1)
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)
    generation = say(rich, now, text=WITH_BAD)
    for _ in range(35):
        long.SPEAK.run(now)
    long.stop(generation, now)

    assert (generation.state, generation.left_out) == ("done", [RANGE])
    assert (generation.characters_charged, generation.characters_reached) == (3_400, 3_500)
    assert credits(rich) == (CREDITS - 3_400, 0)
    assert generation.credits_given_back == 7_100 - 3_400


def test_a_gap_is_forgotten_with_the_parts(rich, now, engine, monkeypatch):
    monkeypatch.setattr(long, "PART_SECONDS", -1)
    monkeypatch.setattr(long, "SLICE_SECONDS", -1)
    say(rich, now, text=WITH_BAD)
    for _ in range(33):
        long.SPEAK.run(now)
    row = LongSpeech.objects.get()
    assert row.left_out == [RANGE] and row.characters_spoken == 3_300
    parts.forget(row)
    row.refresh_from_db()
    assert (row.left_out, row.parts, row.characters_spoken) == ([], [], 0)


def test_what_took_long_can_be_played_at_once_where_it_was_made(rich, now, engine, settings):
    generation = say(rich, now)
    work(now)
    generation.refresh_from_db()

    names = {path.name for path in Path(settings.AUDIO_CACHE).glob("*/*")}
    stem = Path(generation.audio).stem
    assert names == {f"{stem}.mp3", f"{stem}.levels"}

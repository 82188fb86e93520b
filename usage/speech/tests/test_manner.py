"""How a text is spoken: what may be asked for, what is kept of it, and what is heard."""

from __future__ import annotations

from datetime import timedelta

import pytest

from usage.engines.tests.quick import QuickEngine
from usage.engines.whole import speak_whole
from usage.models import Generation
from usage.speech import manner, speak, voices
from usage.speech.problems import KeyReused, Refused

TEXT = "One fish.\n\nTwo fish. Red fish.\n \nBlue fish."


class PacedEngine(QuickEngine):
    """Speaks each word in a tenth of a second at usual speed, and pauses as engines do."""

    def speak(self, pieces, *, settings, speed=1.0, piece_seconds=20):
        for piece in pieces:
            for spoken in super().speak([piece], settings=settings):
                word = 0.1 / speed
                seconds = word * len(piece.words) + piece.pause_seconds / speed
                samples = bytes(2 * round(seconds * self.sample_rate))
                times = tuple((n * word, (n + 1) * word) for n in range(len(piece.words)))
                yield type(spoken)(piece, samples, times)


@pytest.fixture
def engine(monkeypatch):
    fake = PacedEngine()
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


def say(customer, now, key="key-1", text=TEXT, **wanted):
    return speak.speak(
        customer=customer, text=text, voice_id="standard", key=key, now=now, manner=wanted
    )


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (None, {}),
        ({}, {}),
        ({"speed": None, "pause_seconds": ""}, {}),
        ({"speed": "1.0", "pause_seconds": "0.70"}, {}),
        ({"speed": 1, "text": "other fields are none of ours"}, {}),
        ({"speed": 0.25}, {"speed": 0.25}),
        ({"speed": " 4 "}, {"speed": 4.0}),
        ({"speed": "1.23456"}, {"speed": 1.235}),
        ({"pause_seconds": 0}, {"pause_seconds": 0.0}),
        ({"pause_seconds": ".5"}, {"pause_seconds": 0.5}),
        ({"speed": 2, "pause_seconds": 0.7}, {"speed": 2.0, "pause_seconds": 0.7}),
        ({"speed": 2, "pause_seconds": 0.35}, {"speed": 2.0}),
    ],
)
def test_only_what_differs_from_the_usual_manner_is_kept(wanted, kept):
    assert manner.checked(wanted) == kept


@pytest.mark.parametrize(
    "value",
    ["fast", "0.24", "4.01", "-1", "1,5", "1e0", "1_0", "٢", "nan", "inf", 0.2, 5, True, [], {}]
    + [float("nan"), 10**400],
)
def test_what_is_no_speed_is_refused_with_the_range(value):
    with pytest.raises(Refused) as refused:
        manner.checked({"speed": value, "pause_seconds": 6})

    assert refused.value.errors == {
        "speed": ["Choose a speed from 0.25 to 4; 1 is the usual one."],
        "pause_seconds": ["Choose a pause from 0 to 5 seconds."],
    }


def test_errors_of_text_and_manner_are_named_together(alice, wallet, now):
    with pytest.raises(Refused) as refused:
        say(alice, now, text="", speed="9")

    assert set(refused.value.errors) == {"text", "speed"}
    assert not Generation.objects.exists()


def test_the_price_is_the_same_and_the_row_keeps_the_manner(alice, wallet, now, engine):
    usual = say(alice, now)
    slow = say(alice, now, key="key-2", speed=0.5, pause_seconds=3)

    assert slow.credits == usual.credits
    assert usual.manner == {}
    slow.refresh_from_db()
    assert slow.manner == {"speed": 0.5, "pause_seconds": 3.0}
    # Eight words and the last pause, 0.9 seconds, and two pauses between paragraphs.
    assert usual.duration_seconds == pytest.approx(0.9 + 2 * 0.7)
    assert slow.duration_seconds == pytest.approx(2 * 0.9 + 2 * 3)


def test_words_follow_the_pause(engine):
    def gaps(**how):
        speech = speak_whole(engine, TEXT, settings={}, **how)
        begins = {TEXT[word.start : word.end]: word.begin_seconds for word in speech.words}
        return begins["Two"], begins["Blue"], speech.duration_seconds

    assert gaps() == pytest.approx((0.9, 2.0, 2.3), abs=0.001)
    assert gaps(paragraph_pause_seconds=0) == pytest.approx((0.2, 0.6, 0.9), abs=0.001)
    assert gaps(paragraph_pause_seconds=2, speed=4) == pytest.approx((2.05, 4.15, 4.225), abs=0.001)


def test_what_is_heard_while_it_is_made_is_what_is_stored(engine, alice, now):
    written = {"text": TEXT, "characters": len(TEXT)}
    generation = Generation(**written, manner={"speed": 2.0, "pause_seconds": 1.5})
    heard: list[bytes] = []
    speech = manner.spoken(
        engine, generation, voices.DEFAULT, deadline_seconds=10, heard=heard.append
    )

    assert b"".join(heard) == speech.samples
    pieces = manner.pieces(engine, generation, voices.DEFAULT)
    again = engine.speak(pieces, settings={}, speed=manner.speed_of(generation))
    assert b"".join(spoken.samples for spoken in again) == speech.samples


def test_the_same_key_in_another_manner_is_refused_and_in_the_same_one_answered(
    alice, wallet, now, engine
):
    first = say(alice, now, speed=1.5)

    assert say(alice, now, speed="1.50").id == first.id
    for other in ({}, {"speed": 2}, {"speed": 1.5, "pause_seconds": 1}):
        with pytest.raises(KeyReused):
            say(alice, now, **other)


def test_a_manner_is_not_mistaken_for_a_text(alice, wallet, now, engine):
    say(alice, now, text="Hello", speed=2)

    for text in ("Hello\nspeed=2.0", "speed=2.0\nHello"):
        with pytest.raises(KeyReused):
            say(alice, now, text=text)


def test_a_slow_text_is_waited_for_longer():
    assert speak.patience_seconds(5_000) == 310
    assert speak.patience_seconds(5_000, 2.0) == 310
    assert speak.patience_seconds(5_000, 0.25) == speak.patience_seconds(5_000, 0.5) == 560
    assert timedelta(seconds=speak.taken_seconds(5_000, 0.25)).total_seconds() < 600

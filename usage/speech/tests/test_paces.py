"""How long a text will sound, about."""

from __future__ import annotations

import pytest

from usage.engines import engine
from usage.engines.whole import speak_whole
from usage.speech import paces, voices
from usage.templatetags import speech_length

TEXT = (
    "Every morning the harbour wakes before the city does. Gulls circle over the cranes, a tram "
    "rings twice at the corner, and the first coffee is poured behind steamed glass."
)


def test_every_house_voice_is_measured():
    assert set(paces.MEASURED) == set(voices.HOUSE)
    assert all(10 < pace < 25 for pace in paces.MEASURED.values())


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_a_text_sounds_about_as_long_as_is_said(speed):
    speaker = voices.HOUSE["standard-classic"]
    speech = speak_whole(
        engine(speaker.engine),
        TEXT,
        settings=speaker.settings,
        language=speaker.language,
        speed=speed,
        deadline_seconds=60,
    )

    said = paces.seconds(len(TEXT), speaker, speed)
    assert said == pytest.approx(speech.duration_seconds, rel=0.2)


def test_a_voice_without_a_sample_is_taken_for_the_middle_one_of_its_class():
    own = voices.Speaker("x", "Mine", voices.VoiceType.PREMIUM, "kokoro", {})

    premium = [pace for id_, pace in paces.MEASURED.items() if id_.startswith("premium-")]
    assert min(premium) < paces.of(own) < max(premium)


def test_the_hours_that_credits_buy_follow_from_the_measured_paces():
    a_second = paces.of_type("standard")

    assert paces.seconds_of_credits(250_000, "standard") == pytest.approx(250_000 / a_second)
    assert paces.seconds_of_credits(250_000, "premium") == pytest.approx(
        125_000 / paces.of_type("premium")
    )
    assert paces.characters_in(3_600, "standard") == round(3_600 * a_second)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, "under a minute"), (3_059, "50 min"), (3_600, "1 h"), (14_999, "4 h 9 min")],
)
def test_a_length_of_speech_is_rounded_down(seconds, words):
    assert speech_length.in_words(seconds) == words

import io
import threading
import wave
from concurrent.futures import ThreadPoolExecutor

import pytest

from usage import engines
from usage.engines import EngineFailed, NothingToSpeak
from usage.engines.espeak_voices import VARIANTS

AMERICAN = {"variant": "en-us"}
SENTENCE = "The quick brown fox jumps over 12 lazy dogs."


def speak(text=SENTENCE, voice=AMERICAN):
    return engines.engine().speak(text=text, settings=voice)


def test_speech_is_a_whole_wav_file_of_the_length_it_says():
    speech = speak()

    with wave.open(io.BytesIO(speech.audio)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (22_050, 2, 1)
        assert file.getnframes() / 22_050 == speech.duration_seconds
        assert len(file.readframes(10_000_000)) == len(speech.audio) - 44
    assert 2 < speech.duration_seconds < 5
    assert speech.content_type == "audio/wav"


@pytest.mark.parametrize("variant", ["en-us", "en-gb-x-rp", *VARIANTS])
def test_a_helper_gives_the_same_bytes_again_whatever_it_said_before(variant):
    first = speak(voice={"variant": variant})
    speak("Something else, in between.", {"variant": "en-us+f2", "pitch": 80})

    assert speak(voice={"variant": variant}) == first


def test_another_helper_started_at_another_time_gives_the_same_bytes():
    # Breath is noise, and the library would seed it with the time.
    breathy = {"variant": "en-us+f3"}
    first = speak(voice=breathy)
    engines.close()

    assert speak(voice=breathy) == first


def test_every_offered_voice_sounds_different():
    voices = ["en-us", "en-gb-x-rp", *VARIANTS]

    assert len({speak(voice={"variant": variant}).audio for variant in voices}) == len(voices)


@pytest.mark.parametrize(
    "voice",
    [
        {"variant": "en-us", "pitch": 80},
        {"variant": "en-us", "range": 0},
        {"variant": "en-us", "pace": 174},
    ],
)
def test_pitch_range_and_pace_are_heard(voice):
    assert speak(voice=voice).audio != speak().audio


def test_a_slower_pace_takes_longer():
    slow, fast = (speak(voice={"variant": "en-us", "pace": pace}) for pace in (80, 400))

    assert slow.duration_seconds > 3 * fast.duration_seconds


@pytest.mark.parametrize(
    "variant",
    ["en-gb", "en-us+nobody", "en-us+", "", "+f3", "../lang/gmw/en-US", "en-us+../mb/x", "EN-US"],
)
def test_a_voice_that_is_not_installed_is_refused_for_good(variant):
    with pytest.raises(EngineFailed, match="has no voice") as failure:
        speak(voice={"variant": variant})

    assert failure.value.permanent


@pytest.mark.parametrize(
    "voice",
    [
        {"variant": "en-us", "pitch": 100},
        {"variant": "en-us", "range": -1},
        {"variant": "en-us", "pace": 79},
        {"variant": "en-us", "pace": 401},
    ],
)
def test_settings_out_of_range_are_refused_for_good(voice):
    with pytest.raises(EngineFailed, match="from .* to") as failure:
        speak(voice=voice)

    assert failure.value.permanent


def test_an_engine_that_does_not_exist_is_refused_for_good():
    with pytest.raises(EngineFailed, match="'parrot'") as failure:
        engines.engine("parrot")

    assert failure.value.permanent


def test_tags_are_spoken_as_text():
    # As markup the tag would vanish, and a break would last as long as it asks.
    assert speak("a <b> c").duration_seconds > speak("a c").duration_seconds
    assert speak("<speak>hi</speak>").duration_seconds > 2 * speak("hi").duration_seconds
    assert speak('hi <break time="30s"/> you').duration_seconds < 10


def test_phonemes_in_brackets_are_spelled_out_and_not_spoken():
    assert speak("[[h@l'oU]]").duration_seconds > 2 * speak("hello").duration_seconds


@pytest.mark.parametrize("control", ["\0", "\x01", "\ud800"])
def test_control_characters_never_reach_the_library(control):
    with pytest.raises(EngineFailed, match="control characters") as failure:
        speak(f"hello {control}90S world")

    assert failure.value.permanent


@pytest.mark.parametrize("text", ["", "   ", "...", "\n", "\u200b"])
def test_a_text_without_sound_raises_nothing_to_speak(text):
    with pytest.raises(NothingToSpeak):
        speak(text)


def test_digits_of_other_scripts_are_spoken_as_digits():
    assert speak("٣ apples") == speak("3 apples")


def test_signs_without_a_sound_of_their_own_are_named():
    assert speak("★").audio == speak(" black star ").audio


def test_five_thousand_characters_are_spoken_to_the_end():
    text = "Copper rivers wind past seven quiet towns. " * 120
    full, half = speak(text[:5000]), speak(text[:2500])

    assert 1.9 < full.duration_seconds / half.duration_seconds < 2.1


def test_more_than_half_an_hour_of_audio_is_refused_for_good():
    with pytest.raises(EngineFailed, match="more than 30 minutes") as failure:
        speak("漢" * 5000, {"variant": "en-us", "pace": 80})

    assert failure.value.permanent


def test_eight_threads_get_each_their_own_words():
    texts = [f"Number {number} speaks." for number in range(16)]
    alone = [speak(text) for text in texts]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(speak, texts * 4)) == alone * 4


def test_threads_that_start_together_share_one_engine():
    engines.close()
    barrier = threading.Barrier(8)

    def get(_):
        barrier.wait()
        return engines.engine()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(get, range(8)))) == 1


@pytest.mark.parametrize(
    "voice", [{}, {"variant": "en-us", "speed": 1}, {"variant": None}, {"variant": 5}]
)
def test_settings_of_another_engine_are_refused_for_good(voice):
    with pytest.raises(EngineFailed) as failure:
        speak(voice=voice)

    assert failure.value.permanent


@pytest.mark.parametrize("pitch", ["50", 50.0, True, None])
def test_a_number_that_is_none_is_refused_for_good(pitch):
    with pytest.raises(EngineFailed, match="from 0 to 99"):
        speak(voice={"variant": "en-us", "pitch": pitch})


def test_a_personal_voice_takes_what_the_engine_offers_and_nothing_else():
    wrong = {"variant": "en-us+croak", "pitch": 50.0, "range": True, "pace": "175", "speed": 1}

    assert engines.tuning_errors("espeak", {"variant": "en-us+f3", "pace": 400}) == {}
    assert sorted(engines.tuning_errors("espeak", wrong)) == [
        "pace",
        "pitch",
        "range",
        "speed",
        "variant",
    ]

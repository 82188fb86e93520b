import io
import re
import threading
import wave
from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest

from usage import engines
from usage.engines import EngineFailed, NothingToSpeak
from usage.engines.espeak.voices import VARIANTS
from usage.engines.whole import speak_whole
from usage.text.pieces import Piece, Word

AMERICAN = {"variant": "en-us"}
SENTENCE = "The quick brown fox jumps over 12 lazy dogs."


def speak(text=SENTENCE, voice=AMERICAN, **how):
    return speak_whole(engines.engine(), text, settings=voice, **how)


def said(*words):
    """Seconds and samples of words that reach the engine as they are, past the text front end."""
    piece = Piece(0, len(words), tuple(Word(n, n + 1, word) for n, word in enumerate(words)), 0)
    (spoken,) = engines.engine().speak([piece], settings=AMERICAN)
    return len(spoken.samples) / 2 / 22_050, spoken.samples


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
    assert said("a", "<b>", "c") > said("a", "c")
    assert said("<speak>hi</speak>")[0] > 2 * said("hi")[0]
    assert said("hi", '<break time="30s"/>', "you")[0] < 10


def test_phonemes_in_brackets_are_spelled_out_and_not_spoken():
    assert said("[[h@l'oU]]")[0] > 2 * said("hello")[0]


@pytest.mark.parametrize("control", ["\0", "\x01", "\ud800"])
def test_control_characters_never_reach_the_library(control):
    with pytest.raises(EngineFailed, match="control characters") as failure:
        word = Word(0, 5, f"hello {control}90S world")
        list(engines.engine().speak([Piece(0, 5, (word,), 0.1)], settings={"variant": "en-us"}))

    assert failure.value.permanent


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_a_blank_text_raises_nothing_to_speak(text):
    with pytest.raises(NothingToSpeak):
        speak(text)


@pytest.mark.parametrize("speed", [1, 2])
def test_a_piece_without_words_is_a_pause_of_its_length(speed):
    pause = Piece(0, 3, (), 0.5)

    (spoken,) = engines.engine().speak([pause], settings=AMERICAN, speed=speed)

    assert spoken.samples == bytes(2 * round(22_050 * 0.5 / speed)) and spoken.times == ()


def test_each_word_as_written_has_a_time_in_order_within_the_audio():
    text = "Dr. Smith paid $5 for 12 ★ apples,  didn't he? Yes."
    speech = speak(text)

    assert [text[word.start : word.end] for word in speech.words] == re.findall(
        r"\$?\b[\w.']+\b\.?(?= S)|\$?[\w']+|★", text
    )
    times = [second for word in speech.words for second in (word.begin_seconds, word.end_seconds)]
    assert times == sorted(times) and times[-1] < speech.duration_seconds
    assert all(word.end_seconds - word.begin_seconds > 0.05 for word in speech.words)


@pytest.mark.parametrize(
    "text",
    ["From the mill to the river.", "Of the people, for a while.", "It was in the hall of a ★."],
)
def test_words_that_the_library_speaks_as_one_are_not_spelled_and_share_its_time(text):
    speech = speak(text)

    # Spelled, "the" alone takes three seconds: "latin small letter t, latin small letter h, ...".
    assert speech.duration_seconds < 0.6 * len(speech.words)
    assert all(word.end_seconds - word.begin_seconds > 0.02 for word in speech.words)
    assert [word.begin_seconds for word in speech.words] == sorted(
        word.begin_seconds for word in speech.words
    )


def test_words_are_where_they_sound():
    """Between two sentences it is silent, and the times leave that out."""
    speech = speak("Please stop it now. Then you may go.", {"variant": "en-us"})
    stop, go = speech.words[3:5]
    silence = speech.samples[
        2 * round(22_050 * (stop.end_seconds + 0.01)) : 2 * round(22_050 * go.begin_seconds)
    ]

    assert go.begin_seconds - stop.end_seconds > 0.3 and not silence.strip(b"\0")


@pytest.mark.parametrize("speed", [0.25, 0.5, 2, 4])
def test_speed_shortens_what_is_said_by_its_factor(speed):
    usual, other = speak(), speak(speed=speed)

    assert other.duration_seconds * speed == pytest.approx(usual.duration_seconds, rel=0.25)
    assert len(other.words) == len(usual.words)
    assert all(word.end_seconds > word.begin_seconds for word in other.words)


@pytest.mark.parametrize("speed", [0.24, 4.01, 0, -1, float("nan")])
def test_a_speed_out_of_range_is_refused_for_good(speed):
    with pytest.raises(EngineFailed, match="speed goes from") as failure:
        speak(speed=speed)

    assert failure.value.permanent


def test_a_gain_makes_it_louder_and_never_clips():
    loud = speak(voice=AMERICAN | {"gain": 4.0}).samples
    values = array("h", loud)

    assert max(map(abs, values)) <= 0.99 * 32_768
    assert sum(map(abs, values)) > 1.5 * sum(map(abs, array("h", speak().samples)))


def test_five_hundred_letters_without_a_blank_are_spoken_or_refused_and_never_cut_short():
    """The library drops what is over its buffer, without a word."""
    word = "abcdefghij" * 50
    piece = Piece(0, 500, (Word(0, 500, word),), 0.3)

    with pytest.raises(EngineFailed, match="cannot speak this passage: 'abc") as failure:
        list(engines.engine().speak([piece], settings=AMERICAN))

    assert failure.value.permanent


def test_digits_of_other_scripts_are_spoken_as_digits():
    assert speak("٣ apples") == speak("3 apples")


def test_signs_without_a_sound_of_their_own_are_named():
    assert said("★") == said("black star")


def test_five_thousand_characters_are_spoken_to_the_end():
    text = "Copper rivers wind past seven quiet towns. " * 120
    full, half = speak(text[:5000]), speak(text[:2500])
    assert len(full.words) == len(text[:5000].split())

    assert 1.9 < full.duration_seconds / half.duration_seconds < 2.1


@pytest.mark.parametrize("words", ["漢 " * 200, "★ " * 200])
def test_many_words_in_one_clause_are_all_heard(words):
    """The library drops those after the first hundred or so."""
    piece = Piece(0, 400, tuple(Word(0, 400, word) for word in words.split()), 0.3)

    (spoken,) = engines.engine().speak([piece], settings=AMERICAN, piece_seconds=60)

    assert len(spoken.times) == 200
    assert min(end - begin for begin, end in spoken.times) > 0.2


def test_more_than_half_an_hour_of_audio_is_refused_for_good():
    with pytest.raises(EngineFailed, match="more than 30 minutes") as failure:
        speak("漢 " * 2500, {"variant": "en-us", "pace": 80})

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

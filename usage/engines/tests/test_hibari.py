"""The default voice, with its real model."""

import math
import re
from array import array

import pytest

from usage import engines
from usage.engines import EngineFailed
from usage.engines.hibari import Hibari
from usage.engines.whole import speak_whole
from usage.text.pieces import Piece, Word, pieces

SENTENCE = "The quick brown fox jumps over the lazy dog, doesn't it?"


@pytest.fixture(scope="module")
def hibari():
    engine = Hibari(helpers=1)
    engine.warm()
    yield engine
    engine.close()


def piece(*words, pause=0.3):
    return Piece(0, 1, tuple(Word(0, 1, word) for word in words), pause)


def loudness(samples):
    values = array("h", samples)
    return math.sqrt(sum(value * value for value in values) / len(values))


def test_each_written_word_has_its_time(hibari):
    text = f"{SENTENCE} Yes!"
    speech = speak_whole(hibari, text, settings={})

    assert [text[word.start : word.end] for word in speech.words] == re.findall(r"[\w']+", text)
    times = [t for word in speech.words for t in (word.begin_seconds, word.end_seconds)]
    assert times == sorted(times) and times[-1] <= speech.duration_seconds
    assert all(word.end_seconds > word.begin_seconds for word in speech.words)
    assert speech.sample_rate == 24_000 and 3 < speech.duration_seconds < 7


def test_a_word_of_several_spoken_ones_has_one_time(hibari):
    (spoken,) = hibari.speak(
        [piece("It", "costs", "one thousand two hundred dollars,", "or", "more.")], settings={}
    )
    lengths = [end - begin for begin, end in spoken.times]

    assert len(lengths) == 5
    assert lengths[2] > 1 and lengths[2] > 2 * max(lengths[:2] + lengths[3:])


def test_the_same_piece_gives_the_same_bytes_whatever_was_said_before_and_by_another_helper(hibari):
    what = pieces(SENTENCE)
    first = list(hibari.speak(what, settings={}))
    list(hibari.speak([piece("Something", "else.")], settings={"pitch": 1.1}))
    other = Hibari(helpers=1)

    assert list(hibari.speak(what, settings={})) == first
    assert list(other.speak(what, settings={})) == first
    other.close()


def test_silence_around_a_piece_is_short_and_its_pause_follows(hibari):
    (spoken,) = hibari.speak([piece("Hello", "there.", pause=0.5)], settings={}, speed=2)
    values = array("h", spoken.samples)
    pause = round(24_000 * 0.25)

    assert not any(values[-pause:]) and values[0] == 0
    sound = [n for n, value in enumerate(values) if abs(value) > 327]
    assert sound[0] <= 24_000 * 0.05
    assert len(values) - pause - sound[-1] <= 24_000 * 0.05


@pytest.mark.parametrize("speed", [0.25, 0.5, 2, 4])
def test_speed_shortens_words_and_pause_by_its_factor(hibari, speed):
    (usual,), (other,) = (
        hibari.speak(pieces(SENTENCE), settings={}, speed=factor) for factor in (1, speed)
    )

    assert len(other.samples) * speed == pytest.approx(len(usual.samples), rel=0.2)
    assert other.times[-1][1] * speed == pytest.approx(usual.times[-1][1], rel=0.2)
    assert all(end > begin for begin, end in other.times)


@pytest.mark.parametrize(
    "voice", [{"range": 0.7}, {"range": 1.3}, {"pitch": 0.9}, {"pitch": 1.1}, {"gain": 0.5}]
)
def test_tunings_are_heard_and_change_no_length(hibari, voice):
    (usual,) = hibari.speak(pieces(SENTENCE), settings={})
    (tuned,) = hibari.speak(pieces(SENTENCE), settings=voice)

    assert tuned.samples != usual.samples
    assert len(tuned.samples) == pytest.approx(len(usual.samples), rel=0.03)


def test_a_gain_is_the_same_for_every_text_and_never_clips(hibari):
    usual, louder, loudest = (
        b"".join(s.samples for s in hibari.speak(pieces(SENTENCE), settings={"gain": gain}))
        for gain in (1, 1.6, 4)
    )

    assert loudness(louder) == pytest.approx(1.6 * loudness(usual), rel=0.03)
    assert loudness(loudest) > 2 * loudness(usual)
    assert max(map(abs, array("h", loudest))) <= 0.99 * 32_768


def test_a_very_long_sentence_is_spoken_in_parts_to_its_end(hibari):
    """The model takes 200 phonemes at once."""
    words = ["copper", "rivers", "wind", "past", "seven", "quiet", "towns,"] * 20
    (once,) = hibari.speak([piece(*words[:7])], settings={})
    (spoken,) = hibari.speak([piece(*words)], settings={})

    assert len(spoken.samples) > 15 * len(once.samples)
    assert min(end - begin for begin, end in spoken.times) > 0.05


def test_a_very_long_word_is_spoken_to_its_end(hibari):
    """The net for unknown words reads thirty letters and drops the rest."""
    (short,) = hibari.speak([piece("blonkerplatz")], settings={})
    (long,) = hibari.speak([piece("blonkerplatz" * 10)], settings={})

    assert long.times[0][1] > 6 * short.times[0][1]


@pytest.mark.parametrize("word", ["漢字", "★", "..."])
def test_a_word_it_has_no_sound_for_is_refused_for_good(hibari, word):
    with pytest.raises(EngineFailed, match="cannot speak this passage") as failure:
        list(hibari.speak([piece("hello", word, "there")], settings={}))

    assert failure.value.permanent


@pytest.mark.parametrize(
    "voice",
    [
        {"range": 0.69},
        {"range": 1.31},
        {"pitch": 0.89},
        {"pitch": "1"},
        {"pitch": True},
        {"gain": 0},
        {"gain": float("nan")},
        {"variant": "en-us"},
    ],
)
def test_settings_that_are_wrong_are_refused_for_good_and_at_once(voice):
    with pytest.raises(EngineFailed) as failure:
        engines.engine("hibari").speak([piece("hello")], settings=voice)

    assert failure.value.permanent


def test_a_pace_is_heard_as_a_length_and_words_keep_their_share(hibari):
    (usual,), (slow,), (fast,) = (
        hibari.speak(pieces(SENTENCE), settings={"pace": pace}) for pace in (1.0, 0.5, 2.0)
    )

    assert len(slow.samples) == pytest.approx(2 * len(usual.samples), rel=0.25)
    assert len(fast.samples) == pytest.approx(len(usual.samples) / 2, rel=0.25)
    assert len(slow.times) == len(usual.times) == len(fast.times)


def test_an_own_voice_takes_numbers_within_the_measured_range():
    assert engines.tuning_errors("hibari", {"range": 1.3, "pitch": 1}) == {}
    assert sorted(engines.tuning_errors("hibari", {"range": 2.0, "pitch": "1", "x": 1})) == [
        "pitch",
        "range",
        "x",
    ]


def test_ipa_is_spoken_in_place_of_the_word_and_the_others_stay(hibari):
    text = "The Bergen line, they said."
    sounds = {}
    for name, given in {
        "": {},
        "short": {"bergen": "/bɛ/"},
        "long": {"bergen": "/ˈbɛɹɡəndaɪtʃ/"},
    }.items():
        speech = speak_whole(hibari, text, settings={}, pronunciations=given)
        sounds[name] = [word.end_seconds - word.begin_seconds for word in speech.words]

    assert [len(times) for times in sounds.values()] == [5, 5, 5]
    assert sounds["short"][1] < sounds[""][1] - 0.05
    assert sounds["long"][1] > sounds[""][1] + 0.1
    assert sounds["long"][2:] == pytest.approx(sounds[""][2:], abs=0.15)


PHONEMES = "ˈˌ.,bɹdGɡɜtθɪŋkəaɑWbˈOʧʤAIYOQæɛʌʊiufhjlmnpsvwzðʃʒT ɔᵊᵻː"


@pytest.mark.parametrize(
    ("word", "plain"),
    [("È", "E"), ("Ħ", "H"), ("ȫ", "o"), ("ẞ", "ss"), ("Ḥasan", "Hasan"), ("Nguyễn", "Nguyen")],
)
def test_a_letter_that_no_lexicon_knows_is_read_as_what_it_is_made_of(word, plain):
    """It had no sound, and where it was a word of its own the passage was refused."""
    from usage.engines.neural.phonemes import Speller

    speller = Speller(frozenset(PHONEMES))
    assert speller.parts(["A", word]) == speller.parts(["A", plain])
    assert speller.parts(["rosé"]) != speller.parts(["rose"])  # that one is known


def test_ipa_of_what_the_voice_reads_anyway_sounds_the_same(hibari):
    """So the table of signs gives the phonemes that the model was trained on."""
    from usage.engines.neural.phonemes import Speller

    speller = Speller(frozenset(PHONEMES))
    words = ["Think", "about", "church", "boats."]
    ipa = {0: "θɪŋk", 1: "əˈbaʊt", 2: "tʃɜːtʃ", 3: "boʊts"}

    assert speller.parts(words, ipa) == speller.parts(words)


@pytest.mark.parametrize("speed", [1, 2])
def test_a_word_after_silence_begins_when_it_is_heard(hibari, speed):
    late = []
    for word in ("Open", "Alice", "Anna", "Nora", "Mango", "Dog", "Lemon", "Yellow"):
        (spoken,) = hibari.speak([piece(f"{word},", "never", "mind.")], settings={}, speed=speed)
        values = array("h", spoken.samples)
        heard = next(n for n, value in enumerate(values) if abs(value) > 327) / 24_000
        late.append(spoken.times[0][0] - heard)

    assert max(map(abs, late)) <= 0.03  # the model counts in frames of 25 ms
    assert speed != 1 or abs(sorted(late)[4]) < 0.015

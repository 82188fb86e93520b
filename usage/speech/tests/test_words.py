"""The times of words: kept in a few bytes, monotone, and joined to what was written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usage.engines.whole import SpokenWord
from usage.speech.words import Timed, as_objects, packed, timed, unpacked, written
from usage.text.pieces import pieces


def spoken(text: str, seconds: float = 0.5) -> list[SpokenWord]:
    """The words of a text, each half a second long, one after the other."""
    words = [word for piece in pieces(text) for word in piece.words]
    return [
        SpokenWord(word.start, word.end, number * seconds, (number + 1) * seconds)
        for number, word in enumerate(words)
    ]


def times(text: str, seconds: float = 0.5) -> list[Timed]:
    words = spoken(text, seconds)
    return timed(words, len(words) * seconds)


def as_written(text: str) -> list[str]:
    return [each["word"] for each in as_objects(text, times(text))]


def test_times_are_milliseconds_of_the_audio():
    words = [SpokenWord(0, 5, 0.0404, 0.52), SpokenWord(7, 12, 0.6, 1.25)]

    assert timed(words, 1.3) == [Timed(0, 5, 40, 520), Timed(7, 12, 600, 1250)]


def test_times_are_monotone_and_within_the_audio_whatever_an_engine_says():
    words = [
        SpokenWord(0, 1, -0.1, 0.5),
        SpokenWord(2, 3, 0.4, 0.2),
        SpokenWord(4, 5, 0.9, 7.0),
        SpokenWord(6, 7, 8.0, 9.0),
    ]

    assert [(word.begin_ms, word.end_ms) for word in timed(words, 1.2349)] == [
        (0, 500),
        (500, 500),
        (900, 1234),
        (1234, 1234),
    ]


def test_what_is_said_for_no_character_of_its_own_belongs_to_the_word_before_or_after():
    words = [SpokenWord(0, 0, 0, 1), SpokenWord(0, 1, 1, 2), SpokenWord(1, 1, 2, 3)]

    assert timed(words, 3) == [Timed(0, 1, 0, 3_000)]


def test_what_is_kept_is_small_and_comes_back():
    text = "Good morning, dear listeners. It is half past three. " * 100
    words = times(text[:5_000])
    stored = packed(words)

    assert unpacked(stored) == words
    assert len(words) > 800 and len(stored) < 10 * len(words)
    assert (packed([]), unpacked("")) == ("", [])


@pytest.mark.parametrize("stored", ["1", "1 2 3", "1 2 3 4 5", "a b c d"])
def test_what_is_no_list_of_words_is_not_taken_for_one(stored):
    with pytest.raises(ValueError):
        unpacked(stored)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", ["Hello,", "world!"]),
        ("“Yes,” she said (twice).", ["“Yes,”", "she", "said", "(twice)."]),
        ("well—known", ["well—", "known"]),
        ("one (two)three", ["one", "(two)", "three"]),
        ("He left — alone", ["He", "left", "alone"]),
        ("See https://example.com/a, ok?", ["See", "https://example.com/a,", "ok?"]),
        ("It is $5 million.", ["It", "is", "$5 million."]),
        ("\n  ¿Qué?\n\nNada…  ", ["¿Qué?", "Nada…"]),
        ("1" * 60, ["1" * 60]),
        ("...", []),
    ],
)
def test_a_written_word_has_the_punctuation_that_is_attached_to_it(text, words):
    assert as_written(text) == words


def test_a_word_as_an_object():
    assert as_objects("Hello, you.", times("Hello, you.")) == [
        {"word": "Hello,", "start": 0.0, "end": 0.5, "from": 0, "to": 6},
        {"word": "you.", "start": 0.5, "end": 1.0, "from": 7, "to": 11},
    ]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("abc 12.,!?-—()\"“”'\n/:<>&*_[]#שع你é\u0301😀"), max_size=120))
def test_words_of_any_text_are_in_order_apart_and_as_written(text):
    words = times(text)
    found = as_objects(text, words)

    assert unpacked(packed(words)) == words
    end = heard = 0
    for each in found:
        assert end <= each["from"] < each["to"] <= len(text)
        assert heard <= each["start"] <= each["end"]
        assert each["word"] == text[each["from"] : each["to"]]
        assert each["word"] == each["word"].strip()
        end, heard = each["to"], each["end"]
    assert sum(map(len, written(text, words))) == len(words)

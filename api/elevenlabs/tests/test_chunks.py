"""When text that comes in bits is spoken, and where it is cut."""

from __future__ import annotations

import pytest

from api.elevenlabs.chunks import SCHEDULE, Chunks, schedule_of
from api.failures import Failure

WORDS = "word " * 200


def fed(chunks, text, **how):
    found = []
    for at in range(0, len(text), 5):
        found += chunks.add(text[at : at + 5], **how)
    return found


def test_the_schedule_says_how_much_is_enough():
    chunks = Chunks([20, 50, 100])
    found = fed(chunks, WORDS[:400])

    assert [len(each) for each in found] == [20, 50, 100, 100, 100]
    assert "".join(found) + chunks.text == WORDS[:400]


def test_a_chunk_ends_where_a_sentence_does_else_between_words():
    chunks = Chunks([30])

    assert chunks.add("One is here. Two is not the") == []
    assert chunks.add(" end of it") == ["One is here. "]
    assert chunks.text == "Two is not the end of it"
    assert chunks.add(" all yet") == ["Two is not the end of it all "]
    assert chunks.flush() == ["yet"]
    assert chunks.flush() == []


def test_no_word_is_torn_however_long_it_is():
    chunks = Chunks([20])

    assert chunks.add("x" * 4_990) == []
    assert chunks.add("y z") == ["x" * 4_990 + "y "]
    assert chunks.add("x" * 5_000) == ["z" + "x" * 4_999]  # no more can be spoken at once


def test_who_tries_gets_what_is_not_too_little():
    chunks = Chunks([500])

    assert fed(chunks, WORDS[:45], tries=True) == []
    assert fed(chunks, WORDS[45:60], tries=True) == [WORDS[:50]]


def test_automatic_speaks_each_bit_and_blanks_alone_are_nothing():
    chunks = Chunks(is_auto=True)

    assert chunks.add(" ") == []
    assert chunks.add("All of it.") == ["All of it."]
    assert chunks.add(" And more") == [" And more"]


def test_blanks_before_the_text_are_left_out_and_those_within_are_kept():
    chunks = Chunks([10])
    chunks.add(" ")

    assert chunks.add("Hello there") == ["Hello "]
    assert chunks.flush() == ["there"]
    chunks.add(" now")
    assert chunks.flush() == [" now"]


def test_the_schedule_of_a_request():
    assert schedule_of(None) == schedule_of({}) == SCHEDULE
    assert schedule_of({"chunk_length_schedule": [50, 60.0]}) == [50, 60]
    for wrong in ([], [4], [501], ["x"], 50, [None], [50] * 51):
        with pytest.raises(Failure):
            schedule_of({"chunk_length_schedule": wrong})

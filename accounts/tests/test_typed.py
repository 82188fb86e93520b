import time
from contextlib import suppress

import pytest

from accounts import typed

MARKS = "a" + "\u0301\u0327" * 150_000


def test_the_same_letters_have_one_form_however_they_were_typed():
    assert (
        typed.normalise("Cafe\u0301", characters_max=4)
        == typed.normalise("Café", characters_max=4)
        == "Café"
    )


@pytest.mark.parametrize("longest", ["\u1f82", "\u0390", "ǖ", "각"])
def test_no_text_that_fits_when_it_is_composed_is_too_long(longest):
    decomposed = {"\u1f82": "\u03b1\u0313\u0300\u0345", "\u0390": "\u03b9\u0308\u0301"}
    decomposed |= {"ǖ": "u\u0308\u0304", "각": "\u1100\u1161\u11a8"}

    assert typed.normalise(decomposed[longest] * 50, characters_max=50) == longest * 50


def test_what_is_too_long_in_any_form_is_refused():
    assert typed.normalise("é" * 40, characters_max=10) == "é" * 40, (
        "whoever asks tells the exact number"
    )

    with pytest.raises(typed.TooLong, match="more than 10 characters"):
        typed.normalise("é" * 41, characters_max=10)


@pytest.mark.parametrize("mark", ["\u0301", "\u0301\u0327", "\u0f73", "\u20dd", "\u093f"])
def test_a_long_run_of_combining_marks_is_refused_by_its_place(mark):
    assert typed.normalise("ab" + (mark * 30)[:30], characters_max=100)

    with pytest.raises(typed.Unfit, match="Character 33 is one more than 30 accents"):
        typed.normalise("ab" + (mark * 31)[:31], characters_max=100)


@pytest.mark.parametrize(
    "text", [MARKS, "\u0f73" * 300_000, "\u0344" * 300_000, ("a" + "\u0301\u0327" * 15) * 10_000]
)
@pytest.mark.parametrize("characters_max", [60, 5_000, 1_000_000])
def test_it_takes_a_time_that_grows_with_the_length_only(text, characters_max):
    began = time.process_time()
    with suppress(typed.Unfit):
        typed.normalise(text, characters_max=characters_max)

    assert time.process_time() - began < 1

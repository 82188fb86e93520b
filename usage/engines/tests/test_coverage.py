import pytest

from usage.engines.coverage import seconds_min, shortfall


@pytest.mark.parametrize(
    ("spoken", "least", "most"),
    [
        ("hello there", 0.2, 0.4),
        ("", 0, 0),
        ("... ,", 0, 0),
        ("漢字漢字漢字", 0.3, 0.5),
        ("12345", 0.15, 0.3),
        ("noooooooooooooooo", 0.05, 0.1),  # drawn out
        ("ひひひひひひひひ", 0.3, 0.5),  # a syllable each
    ],
)
def test_the_least_that_words_take(spoken, least, most):
    assert least <= seconds_min(spoken) <= most


def test_all_that_was_heard_is_no_shortfall():
    assert shortfall(["hello", "there"], [(0, 0.2), (0.2, 0.4)], 0.5, 1) == ""


@pytest.mark.parametrize(
    ("words", "times", "seconds", "speed", "said"),
    [
        (["hello", "there"], [(0, 0.2)], 0.5, 1, "1 times for 2 words"),
        (["hello", "★"], [(0, 0.2), (0.2, 0.2)], 0.5, 1, "1 of 2 words have no sound"),
        (["abcdefghij" * 10], [(0, 1.0)], 1.0, 1, "1.00 s of audio, where 2.50 s are the least"),
        (["hello"], [(0, 0.1)], 0.1, 1, "where 0.12 s"),
    ],
)
def test_what_is_missing_is_said_without_the_words(words, times, seconds, speed, said):
    found = shortfall(words, times, seconds, speed)

    assert said in found and not any(word in found for word in words)


def test_faster_speech_may_be_shorter():
    assert shortfall(["hello"], [(0, 0.05)], 0.05, 4) == ""

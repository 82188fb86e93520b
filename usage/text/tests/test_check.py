import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from usage import engines, text
from usage.engines.whole import speak_whole


def test_normalise_composes_accents_and_makes_every_line_end_a_line_feed():
    assert text.normalise("Cafe\u0301\r\nau lait\rnoir\n") == "Café\nau lait\nnoir\n"


@given(st.text(st.sampled_from("a\r\n\u0301\u0958é𝄞")))
def test_normalising_twice_changes_nothing(raw):
    assume("\u0301" * 31 not in raw)
    once = text.normalise(raw)

    assert text.normalise(once) == once


@pytest.mark.parametrize(
    ("raw", "characters"),
    [
        ("", 0),
        ("abc", 3),
        ("a\r\nb", 3),
        ("e\u0301", 1),
        ("😀", 1),
        ("👩‍💻", 3),
        ("\u0958", 2),
        (" a ", 3),
    ],
)
def test_count_is_code_points_after_normalising(raw, characters):
    assert text.count(raw) == characters


def test_check_returns_the_text_that_is_counted():
    assert text.check("Cafe\u0301,\r\nplease\t!") == "Café,\nplease\t!"


def test_five_thousand_characters_are_accepted_and_one_more_is_refused_with_both_numbers():
    assert len(text.check("e\u0301" * 5000)) == 5000

    with pytest.raises(
        text.TextRefused, match="5,001 characters and at most 5,000 .* Shorten it by 1"
    ):
        text.check("a" * 5001)


def test_all_that_is_wrong_with_a_text_is_said_at_once():
    with pytest.raises(text.TextRefused) as refused:
        text.check("\x01a\x02" + "b" * 5000 + "\x03")

    assert "Shorten it by 4." in str(refused.value)
    assert "Character 1 (U+0001) and 2 more are invisible" in str(refused.value)


def test_a_text_too_long_in_any_form_is_refused_and_counted_as_it_was_typed():
    assert text.check("\u03b1\u0313\u0300\u0345" * 5000) == "\u1f82" * 5000

    with pytest.raises(text.TextRefused, match="far over the 5,000 characters"):
        text.check("a" * 20_001)
    assert text.count("a\r\n" * 20_001) == 40_002


def test_more_accents_on_one_letter_than_any_language_has_are_refused_by_place():
    assert text.check("a" + "\u0327" * 30)

    with pytest.raises(
        text.TextRefused, match="Character 32 is one more than 30 accents on one letter"
    ):
        text.check("a" + "\u0327" * 31)


def test_the_empty_text_is_refused():
    with pytest.raises(text.TextRefused, match="Write something"):
        text.check("")


@pytest.mark.parametrize(
    "control", ["\0", "\x01", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\ud800", "\udfff"]
)
def test_control_characters_and_half_surrogates_are_refused_by_place_and_number(control):
    with pytest.raises(text.TextRefused, match=rf"Character 3 \(U\+{ord(control):04X}\)"):
        text.check("ab" + control)


NOTHING = [" ", "\n", "\t\n ", "\u200b", "\ufeff\u200d", "\ufe0f", "\u0301", "\u3164", "\u2800"]


@pytest.mark.parametrize("nothing", [*NOTHING, "\u00ad", "\ue000"])
def test_a_text_without_anything_visible_is_refused(nothing):
    with pytest.raises(text.TextRefused, match="nothing to speak"):
        text.check(nothing)


@pytest.mark.parametrize("silence", [".", "...", "?!", "—", "«»", "()", " . ", "\u200b!", "¿"])
def test_a_text_of_only_punctuation_is_silence_of_its_price(silence):
    assert text.check(silence) == silence
    assert text.count(silence) == len(silence)
    [piece] = text.pieces(silence)
    assert piece.words == () and piece.pause_seconds > 0


AUDIBLE = [
    *(
        "a",
        "Z.",
        "7",
        "é",
        "ß",
        "Привет",
        "γειά",
        "שלום",
        "مرحبا",
        "नमस्ते",
        "漢字",
        "かな",
        "한글",
        "ไทย",
        "Ꭰ",
        "ﬁ",
        "𝐀",
    ),
    *(
        "٣",
        "३",
        "５",
        "½",
        "Ⅻ",
        "²",
        "①",
        "€",
        "₿",
        "+",
        "<",
        "|",
        "^",
        "~~~",
        "★",
        "→",
        "♥",
        "😀",
        "👩‍💻",
        "🇨🇭",
        "( x )",
        "…a",
    ),
]


@pytest.mark.parametrize("audible", AUDIBLE)
def test_an_accepted_text_is_heard(audible):
    speech = speak_whole(engines.engine(), text.check(audible), settings={"variant": "en-us"})

    assert speech.audio[44:].strip(b"\0")


@settings(deadline=None)  # The first example starts a process.
@given(st.text(max_size=40))
def test_whatever_is_accepted_is_heard(raw):
    try:
        accepted = text.check(raw)
    except text.TextRefused:
        return
    assume(any(map(text.is_audible, accepted)))

    assert (
        speak_whole(engines.engine(), accepted, settings={"variant": "en-us"}).duration_seconds > 0
    )

"""How a text is divided, and what holds of every text that is accepted."""

import time
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from usage import text
from usage.text.pieces import CLAUSE, SENTENCE, WORD, breaks
from usage.text.tests.table import TABLE


def spoken(written: str, **how) -> list[str]:
    return [piece.spoken for piece in text.pieces(written, **how)]


def pauses(written: str) -> list[float]:
    return [piece.pause_seconds for piece in text.pieces(written)]


def test_sentences_are_pieces_and_the_last_sign_is_the_pause():
    written = "This is one. Is this two? This is three! And so on… The last of them."

    assert len(spoken(written)) == 5
    assert pauses(written) == [0.32, 0.32, 0.32, 0.4, 0.1]


def test_a_line_is_a_sentence_and_a_paragraph_a_longer_pause():
    written = "A heading here\nThe first paragraph.\n\nThe second paragraph."

    assert spoken(written) == ["A heading here.", "The first paragraph.", "The second paragraph."]
    assert pauses(written) == [0.32, 0.7, 0.1]


def test_a_long_line_that_an_editor_broke_goes_on():
    written = "This line was broken by an editor at about seventy characters,\nwhich is usual."

    assert len(spoken(written)) == 1


def test_breaks_after_words_are_those_by_which_pieces_are_cut():
    written = "Dr. Smith, **really**? Yes\nand “no”。\n\nEnd"
    words = [(0, 3), (4, 9), (13, 19), (23, 26), (27, 30), (32, 34), (38, 41)]

    shown = [written[start:end] for start, end in words]
    assert shown == ["Dr.", "Smith", "really", "Yes", "and", "no", "End"]
    paragraph = max(breaks(written, words))
    line = paragraph - 1
    assert breaks(written, words) == [WORD, CLAUSE, SENTENCE, line, WORD, paragraph, WORD]
    assert line > SENTENCE and breaks(written, []) == breaks("", []) == []


def test_very_short_sentences_are_joined_to_the_next_of_their_paragraph():
    assert spoken("Hi. How are you today?") == ["Hi. How are you today?"]
    assert spoken("How are you today? Fine.") == ["How are you today? Fine."]
    assert spoken("Hi.\n\nHow are you today?") == ["Hi.", "How are you today?"]


def test_a_run_on_sentence_is_cut_at_clauses_then_breaths_then_words():
    clauses = "the cat sat on the mat, " * 20
    breaths = "the cat sat on the mat and " * 20
    words = "the cat sat on the mat " * 20

    assert all(piece.endswith("mat,") for piece in spoken(clauses))
    assert all(piece.startswith("and the") for piece in spoken(breaths)[1:])
    for written in (clauses, breaths, words):
        assert 3 <= len(spoken(written)) <= 5
        assert all(len(piece) <= 160 for piece in spoken(written))


def test_the_first_piece_is_cut_short_where_it_can_be():
    written = "The quick brown fox jumps high, and the lazy dog stays where it is all day long."

    assert spoken(written, first_characters_max=45)[0] == "The quick brown fox jumps high,"
    assert len(spoken(written)) == 1
    breath = "The quick brown fox jumps over dogs because nobody at all is there to watch it."
    assert spoken(breath, first_characters_max=45)[0] == "The quick brown fox jumps over dogs"
    assert len(spoken("the quick brown fox " * 5, first_characters_max=45)) == 1


@pytest.mark.parametrize(
    ("written", "seconds"), [(".", 0.32), ("...", 0.4), ("?!", 0.32), ("—", 0.2), (", ,", 0.24)]
)
def test_a_text_of_only_punctuation_is_one_pause(written, seconds):
    assert text.pieces(text.check(written)) == [
        text.Piece(0, len(written), (), pytest.approx(seconds))
    ]


def test_the_silence_of_punctuation_is_bounded():
    [piece] = text.pieces("? " * 2500)

    assert piece.pause_seconds == 5


def test_a_bound_that_one_character_can_exceed_is_refused():
    with pytest.raises(ValueError, match="at least 100"):
        text.pieces("a", characters_max=99)


def test_an_empty_text_has_no_pieces():
    assert text.pieces("") == text.pieces(" \n ") == []


WRITTEN = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                *[written for written, _ in TABLE],
                *[
                    "a",
                    "b.",
                    "c,",
                    "I",
                    "V",
                    "A",
                    "1",
                    "2",
                    "3",
                    ".",
                    ",",
                    "-",
                    "/",
                    ":",
                    "$",
                    "€",
                    "%",
                    "@",
                    "#",
                    "*",
                    "_",
                    "`",
                    "~",
                    "<",
                    ">",
                    "&",
                    ";",
                    "|",
                    "[",
                    "]",
                    "(",
                    ")",
                    '"',
                    "'",
                ],
                *[
                    "a",
                    " ",
                    ". ",
                    ", ",
                    "\n",
                    "\n\n",
                    "\u00a0",
                    "\u200b",
                    "\u00ad",
                    "\u0301",
                    "½",
                    "²",
                    "\ufdfa",
                    "㎏",
                ],
                *["<b>", "</p>", "](", "http://", "漢", "α", "😀", "x" * 40, "9" * 40, "Dr.", "km"],
            ]
        ),
        max_size=25,
    ).map("".join),
    st.lists(st.sampled_from([" ", *(written for written, _ in TABLE)]), max_size=9).map(" ".join),
)


def check_pieces(written: str, pieces: list[text.Piece], characters_max: int) -> None:
    covered = [0] * len(written)
    place = 0
    for piece in pieces:
        assert place <= piece.start < piece.end <= len(written)
        assert len(piece.spoken) <= characters_max
        assert piece.pause_seconds > 0
        within = piece.start
        for word in piece.words:
            assert within <= word.start < word.end <= piece.end
            assert word.spoken == word.spoken.strip() != ""
            assert not written[word.end - 1].isspace()
            assert max(map(len, word.spoken.split())) <= 30 + 2  # with its signs
            within = word.end
        for index in range(piece.start, piece.end):
            covered[index] += 1
        place = piece.end
    assert all(
        count == 1 or (count == 0 and character.isspace())
        for character, count in zip(written, covered, strict=True)
    )


@settings(deadline=None, max_examples=200)
@given(WRITTEN, st.sampled_from(["en", "en-gb", "es", "fr"]), st.integers(100, 200))
@example("\ufdfa" * 60, "en", 100)
@example("$999,999,999,999.99 " * 5, "en", 100)
@example("漢" * 400, "en", 100)
@example("```\n" * 9, "en", 100)
@example("\U0001f3fb", "en", 100)  # a skin tone by itself: its name has numbers
def test_every_accepted_text_is_divided_without_loss(raw, language, characters_max):
    try:
        written = text.check(raw)
    except text.TextRefused:
        return

    for first in (None, 45):
        pieces = text.pieces(
            written, language=language, characters_max=characters_max, first_characters_max=first
        )
        assert pieces
        check_pieces(written, pieces, characters_max)


LETTERS = st.text(
    st.one_of(
        st.sampled_from("abcIVX 0123456789 .,-'/:; \n"),
        st.characters(categories=["Lu", "Ll", "Lo"]),
    ),
    max_size=80,
)


@settings(deadline=None, max_examples=200)
@given(LETTERS)
@example("0\u2184")  # the letter among the Roman numerals
@example("0\ufc5e")  # a letter that is two marks on a blank
def test_without_markup_every_letter_and_digit_is_in_a_word(raw):
    written = text.normalise(raw)
    inside = {
        place
        for piece in text.pieces(written)
        for word in piece.words
        for place in range(word.start, word.end)
    }

    silent = "\u115f\u1160\u3164\uffa0"
    missing = [
        character
        for place, character in enumerate(written)
        if place not in inside
        and unicodedata.category(character)[0] in "LN"
        and character not in silent
    ]
    assert missing == []


@settings(deadline=None)
@given(st.text(max_size=40))
def test_whatever_has_a_letter_number_or_symbol_has_words(raw):
    try:
        written = text.check(raw)
    except text.TextRefused:
        return

    if any(map(text.is_audible, written)):
        assert any(piece.words for piece in text.pieces(written))


@given(WRITTEN)
def test_dividing_leaves_the_price_alone(raw):
    before = text.count(raw)
    try:
        written = text.check(raw)
    except text.TextRefused:
        return
    text.pieces(written)

    assert text.count(raw) == text.count(written) == before == len(written)


ADVERSARIAL = [
    *["a.", "7", "<", "<b ", "<!--", "[", "[](", "[a](b", "*", "**a", "* ", "- ", "a", "1.", "1,"],
    *["1-", "1 ", "$", "$1", "@", "a@", "a@b.", "#a", "/", "http://", "&amp;", "&a", "😀", "👩‍💻"],
    *["漢", "\ufdfa", "㎏", "½", "²", "x²", "IV ", "A. ", "'", "'a", "-", "a-", "(", "\na", '5"'],
    *["_a", "~1", "\\*", "| a ", "|---", "+1", "0 0-", "3x", "α1", "> ", "<b><i>", "1:", "T.e "],
    *["!", "St. ", "1\u00a0", "1'000", "a...", "1e5 ", "a1", "a-1-", "=", "`", "1/", "$1-", "5' "],
    *["a\u0327", "#", "## ", "&#", "v1.", "+1(", "(1", "Mar ", "\u200b", "1 / "],
    *["9.30", "1 000 ", "1,00,", "①", "1₁", "<sup>1", "1st-", "1%-", "1:00-", "A St. ", "x1.1"],
]


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_no_text_takes_time_quadratic_in_its_length(unit):
    """Four times the text may take ten times as long, not sixteen; short times are noise, and a
    busy machine is given another try."""

    def seconds(characters: int) -> float:
        written = (unit * characters)[:characters]
        times = []
        for _ in range(3):
            began = time.process_time()
            text.pieces(written)
            times.append(time.process_time() - began)
        return min(times)

    def is_linear() -> bool:
        return seconds(5000) < max(10 * seconds(1250), 0.1)

    assert is_linear() or is_linear()


@pytest.mark.parametrize("middle", [" ", "\n", " \n", "\u00a0"])
def test_long_blanks_take_linear_time(middle):
    written = ("a---" + middle * 5000)[:4999] + "b"
    began = time.process_time()
    text.pieces(written)

    assert time.process_time() - began < 0.2


def test_five_thousand_characters_of_prose_take_milliseconds():
    """20 ms on a quiet machine; five times that here, for one that is busy."""
    prose = (
        "It was the best of times, it was the worst of times; Dr. Smith paid $1,234.56 on March "
        "3rd, 2025 for 5 kg. “Really?” she asked—see https://example.com/path. Chapter IV begins "
        "at 17:45. The quick brown fox jumps over the lazy dog while nobody is watching. "
    )
    written = (prose * 30)[:5000]
    times = []
    for _ in range(5):
        began = time.process_time()
        text.pieces(written)
        times.append(time.process_time() - began)

    assert min(times) < 0.1

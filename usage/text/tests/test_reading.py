"""What is said for what is written; see table.py."""

import random

import pytest

from usage import text
from usage.text.tests.romance import ITALIAN, PORTUGUESE, SPANISH
from usage.text.tests.table import OTHER_LANGUAGES, TABLE


def said(written: str, **how) -> str:
    return " | ".join(piece.spoken for piece in text.pieces(written, **how))


@pytest.mark.parametrize(("written", "spoken"), TABLE)
def test_a_written_text_is_read_in_these_words(written, spoken):
    assert said(text.check(written)) == spoken


@pytest.mark.parametrize(("language", "written", "spoken"), OTHER_LANGUAGES)
def test_in_other_languages_numbers_are_left_to_the_engine_and_signs_have_their_names(
    language, written, spoken
):
    assert said(text.check(written), language=language) == spoken


@pytest.mark.parametrize(
    ("language", "written", "spoken"),
    [
        (language, *row)
        for language, table in (("es", SPANISH), ("pt-br", PORTUGUESE), ("it", ITALIAN))
        for row in table
    ],
)
def test_spanish_portuguese_and_italian_are_read_in_their_own_words(language, written, spoken):
    assert said(text.check(written), language=language) == spoken


def test_each_romance_language_has_a_table_of_texts_that_says_nothing_twice():
    for table in (SPANISH, PORTUGUESE, ITALIAN):
        assert len({written for written, _ in table}) == len(table) >= 50


@pytest.mark.parametrize("language", ["es", "pt-br", "it"])
def test_every_number_up_to_a_billion_is_read_and_fits_a_word(language):
    numbers = [*range(0, 1_200), *(7_919**power % 10**9 for power in range(1, 400))]
    words = {number: said(str(number), language=language) for number in numbers}

    assert len(set(words.values())) == len(set(numbers))
    assert all(max(map(len, spoken.split())) <= 30 for spoken in words.values())
    assert not any(any(map(str.isdigit, spoken)) for spoken in words.values())


@pytest.mark.parametrize("language", ["es", "pt-br", "it"])
def test_any_mix_of_signs_and_digits_is_read_without_a_digit_left(language):
    chance = random.Random(7)
    parts = [*"0123456789,:;/-–'’ ()%€$£°ºª²+=<>*_~IVXCabnhkmgsé½😀¿»…", "R$", " de ", " enero"]
    parts += ["siglo ", "l'", "km/h", "1.234", "12:30", "31/12/2025", "Sr. ", "etc. ", "millones "]
    for _ in range(500):
        written = "".join(chance.choices(parts, k=chance.randint(1, 40)))
        spoken = said(f"a {written}", language=language)

        assert not set(spoken) & set("0123456789"), written


def test_the_table_is_large_and_says_nothing_twice():
    assert len(TABLE) >= 200
    assert len({written for written, _ in TABLE}) == len(TABLE)


def test_dates_of_digits_follow_the_order_of_the_language():
    assert said("3/4/2025", language="en-us") == "March fourth, twenty twenty-five"
    assert said("3/4/2025", language="en-gb") == "the third of April, twenty twenty-five"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("It is 5 °C.", ["It", "is", "5 °C"]),
        ("Pay $1,234.56, now", ["Pay", "$1,234.56", "now"]),
        ("on March 3rd, 2025!", ["on", "March 3rd, 2025"]),
        ("un<b>believ</b>able", ["un<b>believ</b>able"]),
        ("soft\u00adhyphen", ["soft\u00adhyphen"]),
        ("[a link](https://x.example) here", ["a", "link", "here"]),
        ("a@b.de", ["a", "@", "b", ".", "de"]),
        ("caf&eacute;", ["caf&eacute;"]),
        ("👩🏽‍💻 codes", ["👩", "💻", "codes"]),
        ("“Hi,” he said", ["Hi", "he", "said"]),
        ("2½ cups", ["2½", "cups"]),
        ("ext. 42 is No. 5", ["ext.", "42", "is", "No.", "5"]),
        ("10<sup>6</sup> is 1️⃣2️⃣", ["10", "<sup>6</sup>", "is", "1", "2"]),
        ("MP3s of F-16's", ["MP", "3s", "of", "F", "16's"]),
    ],
)
def test_a_word_covers_all_that_it_is_said_for(written, words):
    [piece] = text.pieces(written)

    assert [written[word.start : word.end] for word in piece.words] == words


def test_a_word_of_any_length_is_cut_so_that_nothing_is_lost():
    [*pieces] = text.pieces("x" * 500)
    words = [word for piece in pieces for word in piece.words]

    assert "".join(word.spoken for word in words) == "x" * 500
    assert max(len(word.spoken) for word in words) == 30
    assert words[0].start == 0 and words[-1].end == 500


def test_a_run_of_500_digits_is_read_digit_by_digit_in_groups():
    pieces = text.pieces("1234567890" * 50)
    words = [word for piece in pieces for word in piece.words]

    assert words[0].spoken == "one two three," and words[1].spoken == "four five six,"
    assert sum(len(word.spoken.split()) for word in words) == 500
    assert [word.start for word in words[1:]] == [word.end for word in words[:-1]]


@pytest.mark.parametrize(
    ("written", "scripts"),
    [
        ("Hello", {"LATIN"}),
        ("5 + 5 = 10 😀", set()),
        ("Привет, world", {"CYRILLIC", "LATIN"}),
        ("你好", {"HAN"}),
        ("日本語のテキスト", {"HAN", "HIRAGANA", "KATAKANA"}),
        ("ﾃｷｽﾄ", {"KATAKANA"}),
        ("مرحبا", {"ARABIC"}),
        ("ﻣﺮﺣﺒﺎ", {"ARABIC"}),
        ("한글", {"HANGUL"}),
        ("नमस्ते", {"DEVANAGARI"}),
        ("ไทย", {"THAI"}),
        ("Ｆｕｌｌ 𝐁𝐨𝐥𝐝 ﬁ ªº", {"LATIN"}),
        ("α-helix, ΔT, π", {"LATIN"}),
        ("γειά", {"GREEK"}),
        ("5 µm, 3 Ω, Å", {"LATIN"}),
        ("naïve Zürich ß", {"LATIN"}),
    ],
)
def test_scripts_are_those_of_the_letters(written, scripts):
    assert text.scripts(text.normalise(written)) == scripts

"""Words that customers want said their way: where they apply, and what is said for which range."""

import time

import pytest

from usage import text
from usage.text import ipa, pronunciations
from usage.text.tests.test_reading import said

ENTRIES = {
    "kubectl": "cube control",
    "SQL": "sequel",
    "sql": "S Q L",
    "Bergen": "/ˈbɛɹɡən/",
    "new york": "the big apple",
    "york": "yolk",
    "C++": "see plus",
    "R2": "are 2",
    "can": "con",
    "co": "company",
    "naïve": "nigh eve",
}


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Run kubectl, Kubectl and KUBECTL.", "Run cube control, cube control and cube control."),
        ("kubectls and mykubectl stay", "kubectls and mykubectl stay"),
        ("SQL is not sql. Sql is.", "sequel is not S Q L. S Q L is."),
        ("New York is not York", "the big apple is not yolk"),
        ("New\nYork", "the big apple"),
        ("New\n\nYork", "New. | yolk"),
        ("I write C++ on R2", "I write see plus on are two"),
        ("kubectl's flags, SQL’s keys", "cube control's flags, sequel's keys"),
        ("You can, but I can't", "You con, but I can't"),
        ("a co-founder", "a company founder"),
        ("the sql-kubectl bridge", "the S Q L cube control bridge"),
        ("the post-sql world", "the post S Q L world"),
        ("sql.example.com", "SQL dot example dot com"),
        ("<b>kubectl</b> and *SQL*!", "cube control and sequel!"),
        ("a nai\u0308ve plan", "a nigh eve plan"),
        ("Bergen", "Bergen"),
    ],
)
def test_an_entry_is_said_for_whole_words_the_longest_first(written, spoken):
    assert said(text.check(written), pronunciations=ENTRIES) == spoken


def test_word_ranges_are_those_of_the_written_words():
    written = "In **Bergen**, kubectl's off."
    [piece] = text.pieces(written, pronunciations=ENTRIES)

    assert [(written[word.start : word.end], word.spoken, word.ipa) for word in piece.words] == [
        ("In", "In", ""),
        ("Bergen", "Bergen,", "ˈbɛɹɡən"),
        ("kubectl's", "cube control's", ""),
        ("off", "off.", ""),
    ]


def test_only_entries_that_are_used_apply():
    assert pronunciations.applicable("SQL in Bergen", ENTRIES) == {
        "SQL": "sequel",
        "Bergen": "/ˈbɛɹɡən/",
    }
    assert pronunciations.applicable("Nothing of it", ENTRIES) == {}


def test_growth_is_what_is_said_more_than_written():
    assert pronunciations.growth("co co", ENTRIES) == 2 * (len("company") - len("co"))


def test_a_large_dictionary_is_searched_quickly():
    entries = {f"word{n} and more": "said" for n in range(500)}
    written = " ".join(f"word{n} and less" for n in range(300))
    begin = time.thread_time()

    pronunciations.applicable(written, entries)

    assert time.thread_time() - begin < 1


@pytest.mark.parametrize(
    ("written", "american", "british"),
    [
        ("ˈbɛɹɡən", "bˈɛɹɡən", "bˈɛɹɡən"),
        ("ˈbeɪrɡən", "bˈAɹɡən", "bˈAɹɡən"),
        ("niːtʃə", "nˈiʧə", "nˈiːʧə"),
        ("t͡ʃɛˈk.əʊ", "ʧɛkˈO", "ʧɛkˈQ"),
        ("bɜːd", "bˈɜɹd", "bˈɜːd"),
        ("ˌwɒtəˈlu", "wˌɑtəlˈu", "wˌɒtəlˈu"),
        ("ˈbʌtn̩", "bˈʌtᵊn", "bˈʌtᵊn"),
        ("ʃ", "ʃ", "ʃ"),
    ],
)
def test_ipa_becomes_the_phonemes_of_the_voices(written, american, british):
    assert ipa.phonemes(written) == american
    assert ipa.phonemes(written, british=True) == british
    assert ipa.unknown(written) == []


def test_signs_that_english_has_no_sound_for_are_named():
    assert ipa.unknown("ˈbaxʁ5x") == ["x", "ʁ", "5"]
    assert not ipa.is_audible("ˈː")


def test_a_possessive_is_heard_as_after_any_word():
    assert [ipa.possessive(word) for word in ("kæt", "dɒɡ", "fɒks")] == ["kæts", "dɒɡz", "fɒksɪz"]

"""Languages that eSpeak NG reads for Kokoro: from words to phonemes, in two processes."""

import importlib.resources
import json

import pytest

from usage import engines
from usage.engines import EngineFailed, kokoro
from usage.engines.kokoro import ipa
from usage.engines.kokoro.ipa import in_kokoros_alphabet, kokoro_phonemes
from usage.text import pieces
from usage.text.tests.romance import ITALIAN, PORTUGUESE, SPANISH


def read(language, written):
    (piece,) = pieces(written, language=language)
    return kokoro_phonemes([word.spoken for word in piece.words], language, 20)


@pytest.mark.parametrize(
    ("language", "written", "phonemes"),
    [
        ("es", "¿Cómo estás, niño?", ["kˈomo", "estˈas,", "nˈiɲo?"]),
        ("es", "La boda del chico.", ["la", "βˈoða", "ðel", "ʧˈiko."]),
        ("pt-br", "Não, bom dia!", ["nˈɐ̃ʊ̃,", "bˈoŋ", "ʤˈiæ!"]),
        ("it", "C'è l'amico", ["ʧe", "lamˈiko"]),
    ],
)
def test_words_have_the_phonemes_they_have_among_the_others_with_their_signs(
    language, written, phonemes
):
    assert read(language, written) == phonemes


def test_a_word_that_is_read_as_several_keeps_all_of_them():
    found = kokoro_phonemes(["Son", "201", "casas."], "es", 20)

    assert [len(phonemes.split()) for phonemes in found] == [1, 2, 1]


@pytest.mark.parametrize(
    ("language", "table"), [("es", SPANISH), ("pt-br", PORTUGUESE), ("it", ITALIAN)]
)
def test_every_word_of_the_tables_has_phonemes_that_kokoro_knows(language, table):
    file = importlib.resources.files("hibari") / "assets" / "vocab.json"
    alphabet = set(json.loads(file.read_text()))
    words = [
        word.spoken
        for written, _ in table
        for piece in pieces(written, language=language)
        for word in piece.words
    ]

    found = kokoro_phonemes(words, language, 20)

    assert len(found) == len(words)
    assert all(any(map(str.isalpha, phonemes)) for phonemes in found)
    assert set("".join(found)) <= alphabet


def test_tied_letters_are_one_letter_or_lose_their_tie():
    assert in_kokoros_alphabet("t^ʃa^ɪd^zo^ɪ-") == "ʧIʣoɪ"


def test_a_language_that_is_not_installed_is_refused_for_good():
    espeak = engines.engine("espeak")
    with pytest.raises(EngineFailed, match="does not know the language 'xx'") as failure:
        espeak.phonemes(["a"], "xx", seconds=5)

    assert failure.value.permanent


def test_without_espeak_no_text_fails_for_good(monkeypatch):
    monkeypatch.setattr(ipa, "missing", lambda name: f"{name} is not installed.")
    with pytest.raises(EngineFailed, match="cannot speak just now") as failure:
        kokoro_phonemes(["hola"], "es", 5)

    assert not failure.value.permanent


@pytest.mark.kokoro
def test_a_spanish_voice_speaks_each_word_in_its_time():
    written = "Hola, tengo 21 años."
    engine = kokoro.Kokoro(helpers=1)
    try:
        (spoken,) = engine.speak(
            pieces(written, language="es"), settings={"style": "ef_dora"}, piece_seconds=100
        )
    finally:
        engine.close()

    assert 1 < len(spoken.samples) / 2 / 24_000 < 5
    assert len(spoken.times) == 4
    assert all(end - begin > 0.05 for begin, end in spoken.times)
    assert sorted(spoken.times) == list(spoken.times)

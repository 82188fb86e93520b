"""Which language a house voice speaks, and what it needs for that."""

import pytest

from usage.engines.kokoro import LANGUAGES, blend
from usage.speech import voices


def test_each_further_language_has_a_woman_and_a_man_who_say_so():
    further = {}
    for speaker in voices.HOUSE.values():
        if speaker.language != "en":
            further.setdefault(speaker.language_name, []).append(speaker)

    assert {name: len(found) for name, found in further.items()} == {
        "Spanish": 2,
        "Brazilian Portuguese": 2,
        "Italian": 2,
    }
    for woman, man in further.values():
        assert "woman" in woman.description and ", man" in man.description
        assert woman.type == man.type == "premium"


def test_the_language_of_a_voice_is_that_of_its_style():
    for speaker in voices.HOUSE.values():
        if speaker.engine == "kokoro":
            shares = blend(speaker.settings["style"])
            language = LANGUAGES[max(shares, key=shares.__getitem__)[0]]
            assert language.partition("-")[0] == speaker.language.partition("-")[0], speaker.id


def test_without_espeak_the_voices_that_need_its_phonemes_are_hidden_too(monkeypatch):
    monkeypatch.setattr(voices, "missing", lambda name: "no packages" * (name == "espeak"))

    hidden = voices.HOUSE.keys() - {speaker.id for speaker in voices.house()}

    assert {voices.HOUSE[id_].language for id_ in hidden if id_ != "standard-classic"} == {
        "es",
        "pt-br",
        "it",
    }
    assert len(hidden) == 7


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("en-gb", "English"),
        ("pt-br", "Brazilian Portuguese"),
        ("pt-pt", "Portuguese"),
        ("fr-fr", "French"),
        ("xx-yy", "xx-yy"),
    ],
)
def test_a_language_is_named_by_its_code_or_the_first_part_of_it(code, name):
    speaker = voices.Speaker("x", "X", voices.VoiceType.STANDARD, "remote", {}, language=code)

    assert speaker.language_name == name

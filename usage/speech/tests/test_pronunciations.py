"""A customer's dictionary: what may stand in it, and what it does to a generation."""

from __future__ import annotations

import pytest

from usage.engines.tests.quick import QuickEngine
from usage.models import Generation, Pronunciation
from usage.speech import pronunciations, speak, voices
from usage.speech.problems import Refused, SpeechFailed
from usage.speech.tests.test_speak import failing


class Listening(QuickEngine):
    """Remembers the words of its last pieces."""

    def speak(self, pieces, **how):
        self.said = [(word.spoken, word.ipa) for piece in pieces for word in piece.words]
        yield from super().speak(pieces, **how)


@pytest.fixture
def engine(monkeypatch):
    fake = Listening()
    monkeypatch.setattr(speak, "engine", lambda name: fake)
    return fake


def say(customer, now, text, key="key-1"):
    return speak.speak(customer=customer, text=text, voice_id="standard", key=key, now=now)


def test_entries_are_said_at_the_price_of_what_is_written(alice, bob, wallet, now, engine):
    pronunciations.save(alice, "kubectl", "cube control")
    pronunciations.save(alice, "Bergen", "/ˈbɛɹɡən/")
    pronunciations.save(alice, "unused", "not there")
    pronunciations.save(bob, "run", "walk")
    generation = say(alice, now, "Run kubectl in Bergen")

    assert generation.credits == len("Run kubectl in Bergen")
    assert engine.said == [
        ("Run", ""),
        ("cube control", ""),
        ("in", ""),
        ("Bergen", "ˈbɛɹɡən"),
    ]
    generation.refresh_from_db()
    assert generation.manner == {
        "pronunciations": {"kubectl": "cube control", "Bergen": "/ˈbɛɹɡən/"}
    }


def test_an_attempt_taken_over_says_the_same_and_a_replay_is_the_first_answer(
    alice, wallet, now, engine
):
    entry = pronunciations.save(alice, "kubectl", "cube control")
    engine.during = failing(RuntimeError("a bug"))
    with pytest.raises(RuntimeError):
        say(alice, now, "kubectl")
    pronunciations.save(alice, "kubectl", "coob cuttle", entry=entry)
    engine.during = lambda: None
    generation = say(alice, now, "kubectl")

    assert engine.said == [("cube control", "")]
    assert say(alice, now, "kubectl").id == generation.id
    say(alice, now, "kubectl", key="key-2")
    assert engine.said == [("coob cuttle", "")]


def test_a_text_is_said_at_most_twice_as_long_as_it_is_written(alice, wallet, now, engine):
    pronunciations.save(alice, "tla", "three letter abbreviation")
    say(alice, now, "tla tla")

    with pytest.raises(Refused, match="more than twice as long"):
        say(alice, now, "tla " * 20, key="key-2")
    assert Generation.objects.count() == 1
    say(alice, now, "tla " * 4 + "and a good many other words " * 4, key="key-3")


def test_a_spelling_in_letters_the_voice_does_not_know_is_refused(alice, wallet, now):
    pronunciations.save(alice, "hello", "привет")

    with pytest.raises(Refused, match=r"of hello: Ava does not speak Cyrillic letters"):
        say(alice, now, "Hello there")
    assert not Generation.objects.exists()


@pytest.mark.parametrize(
    ("written", "spoken", "field", "words"),
    [
        ("", "x", "written", "1 to 60"),
        ("x" * 61, "x", "written", "1 to 60"),
        ("x" * 1_000_000, "x", "written", "1 to 60"),
        ("...", "dots", "written", "letter or digit"),
        ("a\x00b", "x", "written", "invisible"),
        ("x", " ", "spoken", "1 to 60"),
        ("x", "?!", "spoken", "nothing to say"),
        ("x", "/baχ5/", "spoken", "these signs: χ 5"),
        ("x", "/ˈ/", "spoken", "no sound in this"),
        ("x", "/bɛ", "spoken", "two slashes"),
        ("x", "/b/ɛ/", "spoken", "two slashes"),
        ("x", "/", "spoken", "two slashes"),
    ],
)
def test_what_cannot_stand_in_it_is_refused_in_words(alice, written, spoken, field, words):
    with pytest.raises(Refused) as refused:
        pronunciations.save(alice, written, spoken)

    assert list(refused.value.errors) == [field]
    assert words in refused.value.errors[field][0]
    assert not Pronunciation.objects.exists()


def test_a_word_stands_once_in_each_writing_and_in_one_form(alice, bob):
    first = pronunciations.save(alice, "  new   york ", "the big apple")
    pronunciations.save(alice, "New York", "noo yawk")
    pronunciations.save(bob, "new york", "there")
    pronunciations.save(alice, "cafe\u0301", "calf eh")

    assert first.written == "new york"
    assert alice.pronunciations.filter(written="caf\u00e9").exists()
    with pytest.raises(Refused, match="already"):
        pronunciations.save(alice, "new york", "again")
    with pytest.raises(Refused, match="already"):
        pronunciations.save(alice, "New York", "again", entry=first)


def test_a_dictionary_has_an_end(alice, monkeypatch):
    monkeypatch.setattr(pronunciations, "ENTRIES_MAX", 1)
    entry = pronunciations.save(alice, "one", "won")

    with pytest.raises(Refused, match="You have 1 words"):
        pronunciations.save(alice, "two", "too")
    assert pronunciations.save(alice, "two", "too", entry=entry).pk == entry.pk


def test_a_preview_says_the_word_in_a_short_sentence(monkeypatch):
    engine = Listening()
    monkeypatch.setattr(pronunciations, "engine", lambda name: engine)
    pronunciations.preview("SQL", "sequel", voices.DEFAULT)

    assert engine.said == [("Once", ""), ("more:", ""), ("sequel.", "")]
    engine.during = failing(pronunciations.EngineFailed("No."))
    with pytest.raises(SpeechFailed):
        pronunciations.preview("SQL", "sequel", voices.DEFAULT)
    with pytest.raises(Refused):
        pronunciations.preview("SQL", "привет", voices.DEFAULT)

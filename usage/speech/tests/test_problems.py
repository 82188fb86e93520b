"""Every error that speaking or setting up a voice can end with has an answer over HTTP."""

from __future__ import annotations

import importlib
import pkgutil
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from billing import ledger
from usage import speech, text
from usage.pages import answers
from usage.speech import copies, drafts, long, parts, problems, sentence, withdrawal

# What these rooms raise and catch again before it gets to a page, each with the reason.
NEVER_LEAVES = {
    ledger.AlreadyResolved,  # speak reserves again and captures at once, set_up raises SpeechFailed
    # The keys of reservations are made from our own rows, whose amount never changes.
    ledger.KeyReused,
    ledger.NotLeft,  # a change of plan shows the new amounts instead
    copies.CopyFailed,  # the match goes on without a copy, or raises Refused or SpeechFailed
    withdrawal._Kept,  # its transaction ends without a change
    drafts.DraftChanged,  # the pages of the draft ask which text to keep
    long.PieceFailed,  # tried again, left out, or the end of the text as SpeechFailed
    sentence.Busy,  # the front page says it
    parts.Lost,  # the worker's own: another one has the text, or it is over
}
EXAMPLES = [
    (problems.Refused({"text": ["Too long."]}), 422, "refused"),
    (problems.KeyReused(), 422, "key_reused"),
    (text.TextRefused("Write something to speak."), 422, "text_refused"),
    (problems.UnknownVoice("nobody"), 422, "unknown_voice"),
    (ledger.InsufficientCredits(needed=600, available=500), 402, "insufficient_credits"),
    (
        ledger.BudgetExceeded(UUID(int=1), ledger.Budget(100, "day", 60, 0, None), 50),
        402,
        "key_budget_exceeded",
    ),
    (ledger.WalletFrozen(), 403, "wallet_frozen"),
    (problems.TooManyStreams(), 429, "too_many_streams"),
    (problems.StillRunning(UUID(int=1)), 409, "still_running"),
    (problems.InProgress(), 409, "voice_in_progress"),
    (problems.MatchInProgress(), 409, "match_in_progress"),
    (problems.TooManyMatches(timedelta(hours=3)), 429, "too_many_matches"),
    (problems.UnknownMatch(), 404, "unknown_match"),
    (problems.UnknownConsent(), 404, "unknown_consent"),
    (problems.TooManyConsents(100), 422, "too_many_consents"),
    (problems.SpeechFailed("The engine is busy."), 503, "speech_failed"),
    (problems.AudioLost(), 410, "audio_lost"),
    (problems.AudioDeleted(datetime(2027, 3, 5, tzinfo=UTC)), 410, "audio_deleted"),
    (problems.TextDeleted(datetime(2027, 3, 5, tzinfo=UTC)), 410, "text_deleted"),
    (problems.CreditedBack(), 409, "credited_back"),
    (problems.VoiceGone("Nora"), 410, "voice_gone"),
    (problems.AgainElsewhere(), 409, "again_elsewhere"),
    (problems.AgainTooOften(20, 61), 429, "again_too_often"),
    (problems.WordsUnknown(), 404, "words_unknown"),
    (problems.AudioUnreachable(), 503, "audio_unreachable"),
]


def raised_in(package) -> set[type[Exception]]:
    """The exceptions that the package and its modules define."""
    found = set()
    names = [package.__name__]
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), f"{package.__name__}."):
        if ".tests" not in module.name:
            names.append(module.name)
    for name in names:
        for value in vars(importlib.import_module(name)).values():
            if (
                isinstance(value, type)
                and issubclass(value, Exception)
                and value.__module__ == name
            ):
                found.add(value)
    return found


def test_every_error_of_speech_text_and_ledger_has_an_entry():
    errors = raised_in(speech) | raised_in(text) | raised_in(ledger)

    assert len(errors) > len(NEVER_LEAVES)
    assert {error for error in errors if error not in problems.TABLE} == NEVER_LEAVES


@pytest.mark.parametrize(
    ("error", "status", "code"), EXAMPLES, ids=lambda value: type(value).__name__
)
def test_an_error_has_a_status_a_code_and_words(error, status, code):
    problem = problems.problem_of(error)

    assert (problem.status, problem.code) == (status, code)
    assert problem.message


def test_every_entry_has_an_example_and_a_code_of_its_own():
    assert {type(error) for error, *_ in EXAMPLES} == set(problems.TABLE)
    codes = [code for _, code, _ in problems.TABLE.values()]
    assert len(set(codes)) == len(codes)


def test_a_subclass_is_answered_like_its_parent():
    class Narrower(problems.SpeechFailed):
        pass

    assert problems.problem_of(Narrower("No.")).code == "speech_failed"


def test_an_error_nobody_foresaw_has_no_answer():
    with pytest.raises(KeyError):
        problems.problem_of(ZeroDivisionError())


@pytest.mark.parametrize(
    ("error", "status", "code"), EXAMPLES, ids=lambda value: type(value).__name__
)
def test_a_form_shows_something_for_each(error, status, code):
    shown = answers.on_form(problems.problem_of(error), {})

    assert any(shown.values())

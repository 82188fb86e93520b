"""Why a text is not spoken or a voice not set up, and how each is answered over HTTP.

One table for the pages and for every dialect of an API: status, a code for programs, words for
people. It knows no framework; `usage.pages.answers` makes responses of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from billing import ledger
from usage.text import TextRefused


class Refused(ValueError):
    """The request cannot be done as it is; `errors` says why, by field. Nothing was charged."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(" ".join(message for messages in errors.values() for message in messages))
        self.errors = errors


class KeyReused(Refused):
    """The key belongs to a request with another body."""

    def __init__(self) -> None:
        super().__init__({"key": ["This key was already used for something else. Use a new one."]})


class StillRunning(Exception):
    """The same request is being worked on right now; ask again."""

    def __init__(self, row_id: UUID, *, retry_after_seconds: int = 2) -> None:
        super().__init__("This is being worked on already. Ask again in a moment.")
        self.row_id, self.retry_after_seconds = row_id, retry_after_seconds


class SpeechFailed(Exception):
    """The engine or the storage failed.

    The credits are back; the same request may be tried again.
    """


class AudioLost(Exception):
    """The text was spoken and charged, and its audio is not there any more.

    `again_id` is the id of the generation, whose audio is made again free; None if what it cost was
    credited back.
    """

    what = "The audio of this text is lost"

    def __init__(self, again_id: UUID | None = None) -> None:
        super().__init__(
            f"{self.what}. It is made again, free, in the studio or on the Usage page. To speak "
            "the text anew for its credits, use a new key."
            if again_id
            else f"{self.what}, and its credits were credited back. Speak the text with a new key; "
            "that takes its credits again."
        )
        self.again_id = again_id


class AudioDeleted(AudioLost):
    """The audio was deleted because its time was over."""

    def __init__(self, deleted_at: datetime, again_id: UUID | None = None) -> None:
        self.what = f"The audio of this text was deleted on {deleted_at.day} {deleted_at:%B %Y}"
        super().__init__(again_id)


class TextDeleted(AudioDeleted):
    """Its customer deleted the text and its audio. Only the receipt stays."""

    def __init__(self, deleted_at: datetime) -> None:
        super().__init__(deleted_at)
        message = f"You deleted this text and its audio on {deleted_at.day} {deleted_at:%B %Y}."
        self.args = (message,)


class CreditedBack(Exception):
    """The audio is not made again: what it cost was credited back."""

    def __init__(self) -> None:
        super().__init__(
            "What this audio cost was credited back, so it is not made again. Speak the text "
            "again; that takes its credits."
        )


class VoiceGone(Exception):
    """The audio cannot be made again: its voice does not exist any more."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The voice {name} does not exist any more, so this audio cannot be made again. "
            "Write to us, and we credit back what it cost."
        )


class AgainElsewhere(Exception):
    """Another audio of this customer is being made again; one at a time."""

    def __init__(self) -> None:
        super().__init__("Another audio is just being made again. Try this one when that is done.")


class AgainTooOften(Exception):
    """So many were made again in the last hour that the next one must wait."""

    def __init__(self, an_hour: int, seconds: float) -> None:
        minutes = max(1, math.ceil(seconds / 60))
        super().__init__(
            f"{an_hour} audios were made again in the last hour, and more are not made free. "
            f"Try again in {minutes} minute{'s' if minutes > 1 else ''}."
        )
        self.retry_after_seconds = max(1, math.ceil(seconds))


class AudioUnreachable(Exception):
    """The audio cannot be read just now."""

    def __init__(self) -> None:
        super().__init__("The audio of this text cannot be read just now. Try again in a moment.")


class WordsUnknown(Exception):
    """The text was spoken before the times of its words were kept."""

    def __init__(self) -> None:
        super().__init__(
            "When the words of this text are heard is not known: it was spoken before that was "
            "kept. Speak the text again to get subtitles; that takes its credits again."
        )


class TooManyStreams(Exception):
    """This process speaks as many texts at once as it may."""

    retry_after_seconds = 1

    def __init__(self) -> None:
        super().__init__("The service is busy just now. Try again in a moment.")


class InProgress(Exception):
    """Another voice of this customer is being set up; one at a time."""


class MatchInProgress(Exception):
    """Another sample of this customer is being compared; one at a time."""


class TooManyMatches(Exception):
    """The customer has had all matches of a day."""

    def __init__(self, wait: timedelta) -> None:
        self.retry_after_seconds = max(1, math.ceil(wait.total_seconds()))
        hours = math.ceil(self.retry_after_seconds / 3600)
        when = f"{hours} hours" if hours > 1 else "an hour"
        super().__init__(f"You have had all the matches of one day. Try again in {when}.")


class UnknownMatch(LookupError):
    """There is no such match, it is over, or it is not this customer's."""

    def __init__(self) -> None:
        super().__init__("This match is over. Send a sample for another one.")


class UnknownConsent(LookupError):
    """There is no such recorded consent, it was withdrawn, or it is not this customer's."""

    def __init__(self) -> None:
        super().__init__("There is no such consent, or it was withdrawn.")


class TooManyConsents(Exception):
    """The customer has as many recorded consents as are kept."""

    def __init__(self, most: int) -> None:
        super().__init__(f"You have {most} consents, as many as are kept. Delete one.")


class UnknownVoice(LookupError):
    """There is no such voice, or it is not this customer's."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The answer to one error."""

    status: int
    code: str  # for programs; never changes
    message: str
    errors: Mapping[str, list[str]] = field(default_factory=dict)  # by field of the request
    details: Mapping[str, int] = field(default_factory=dict)
    retry_after_seconds: int | None = None
    again_id: UUID | None = None  # of the generation whose audio is made again free


FROZEN = "Your credits are on hold. Please write to us before you go on."
STORAGE_RETRY_SECONDS = 30
VOICE_IN_PROGRESS = "One of your voices is already being set up. Try again in a moment."
MATCH_IN_PROGRESS = "Another sample of yours is being compared. Try again in a moment."


def _refused(status: int, code: str, error: Refused) -> Problem:
    return Problem(status, code, str(error), errors=error.errors)


def _field(name: str, message: str = "") -> Callable[[int, str, Any], Problem]:
    def problem(status: int, code: str, error: Exception) -> Problem:
        text = message or str(error)
        return Problem(status, code, text, errors={name: [text]})

    return problem


def _missing(status: int, code: str, error: ledger.InsufficientCredits) -> Problem:
    details = {"missing": error.missing, "needed": error.needed, "available": error.available}
    return Problem(status, code, str(error), details=details)


def _over_budget(status: int, code: str, error: ledger.BudgetExceeded) -> Problem:
    details = {"needed": error.needed, "remaining": error.remaining, "limit": error.limit}
    return Problem(status, code, str(error), details=details)


def _lost(status: int, code: str, error: AudioLost) -> Problem:
    return Problem(status, code, str(error), again_id=error.again_id)


def _running(
    status: int, code: str, error: StillRunning | TooManyMatches | AgainTooOften | TooManyStreams
) -> Problem:
    return Problem(status, code, str(error), retry_after_seconds=error.retry_after_seconds)


def _free(status: int, code: str, error: Exception) -> Problem:
    return Problem(status, code, f"{error} Nothing was charged.")


def _own_words(status: int, code: str, error: Exception) -> Problem:
    return Problem(status, code, str(error))


def _later(status: int, code: str, error: Exception) -> Problem:
    return Problem(status, code, str(error), retry_after_seconds=STORAGE_RETRY_SECONDS)


def _says(message: str) -> Callable[[int, str, Exception], Problem]:
    return lambda status, code, error: Problem(status, code, message)


# By class; a subclass without a row of its own is answered like its parent.
TABLE: dict[type[Exception], tuple[int, str, Callable[[int, str, Any], Problem]]] = {
    Refused: (HTTPStatus.UNPROCESSABLE_ENTITY, "refused", _refused),
    KeyReused: (HTTPStatus.UNPROCESSABLE_ENTITY, "key_reused", _refused),
    TextRefused: (HTTPStatus.UNPROCESSABLE_ENTITY, "text_refused", _field("text")),
    UnknownVoice: (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "unknown_voice",
        _field("voice", "Choose one of the voices."),
    ),
    ledger.InsufficientCredits: (HTTPStatus.PAYMENT_REQUIRED, "insufficient_credits", _missing),
    ledger.BudgetExceeded: (HTTPStatus.PAYMENT_REQUIRED, "key_budget_exceeded", _over_budget),
    ledger.WalletFrozen: (HTTPStatus.FORBIDDEN, "wallet_frozen", _says(FROZEN)),
    StillRunning: (HTTPStatus.CONFLICT, "still_running", _running),
    InProgress: (HTTPStatus.CONFLICT, "voice_in_progress", _says(VOICE_IN_PROGRESS)),
    MatchInProgress: (HTTPStatus.CONFLICT, "match_in_progress", _says(MATCH_IN_PROGRESS)),
    TooManyMatches: (HTTPStatus.TOO_MANY_REQUESTS, "too_many_matches", _running),
    UnknownMatch: (HTTPStatus.NOT_FOUND, "unknown_match", _own_words),
    UnknownConsent: (HTTPStatus.NOT_FOUND, "unknown_consent", _own_words),
    TooManyConsents: (HTTPStatus.UNPROCESSABLE_ENTITY, "too_many_consents", _own_words),
    TooManyStreams: (HTTPStatus.TOO_MANY_REQUESTS, "too_many_streams", _running),
    SpeechFailed: (HTTPStatus.SERVICE_UNAVAILABLE, "speech_failed", _free),
    AudioLost: (HTTPStatus.GONE, "audio_lost", _lost),
    AudioDeleted: (HTTPStatus.GONE, "audio_deleted", _lost),
    TextDeleted: (HTTPStatus.GONE, "text_deleted", _lost),
    CreditedBack: (HTTPStatus.CONFLICT, "credited_back", _own_words),
    VoiceGone: (HTTPStatus.GONE, "voice_gone", _own_words),
    AgainElsewhere: (HTTPStatus.CONFLICT, "again_elsewhere", _own_words),
    AgainTooOften: (HTTPStatus.TOO_MANY_REQUESTS, "again_too_often", _running),
    WordsUnknown: (HTTPStatus.NOT_FOUND, "words_unknown", _own_words),
    AudioUnreachable: (HTTPStatus.SERVICE_UNAVAILABLE, "audio_unreachable", _later),
}
EXPECTED = tuple(TABLE)  # for `except`


def problem_of(error: Exception) -> Problem:
    """How to answer that error. Raises KeyError for one that the table does not know."""
    for kind in type(error).__mro__:
        if kind in TABLE:
            status, code, make = TABLE[kind]
            return make(status, code, error)
    raise KeyError(type(error).__name__)

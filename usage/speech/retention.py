"""Audio after its time: it is deleted, and made again, free, when its customer wants it.

Text, word times and receipt stay. So what was paid for once can be made again at any time: when its
time was over, and when its file was lost or damaged before. Nothing is reserved, captured or
reported for it; the customer's next one waits until this one is done, and there are AGAIN_PER_HOUR
of them. A text that takes long is left to a worker (`long`).

`again_at` says which attempt owns the row, as `taken_at` does while it is spoken for credits, and
names the file that a request stores: so what a killed process has stored is found and deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When

from jobs.clock import ticking
from usage.models import Generation
from usage.text import MAX_CHARACTERS

from . import audio, encoded, long, outcome, speak, turns, voices
from . import manner as manners
from .problems import (
    AgainElsewhere,
    AgainTooOften,
    CreditedBack,
    SpeechFailed,
    StillRunning,
    TextDeleted,
    UnknownVoice,
    VoiceGone,
)

AGAIN_PER_HOUR = 20
HOUR = timedelta(hours=1)


def make_again(*, generation: Generation, now: datetime) -> Generation:
    """Make the audio of a finished generation again, free, from its own text and voice.

    Returns the row with its new audio, kept from now on as long as the plan says; or as it is if
    its audio is there, whole: so twice is once. Where a worker makes it, as it takes long, the row
    is returned `is_with_worker`.

    Raises TextDeleted, CreditedBack, VoiceGone, StillRunning if another request is making it again
    already, AgainElsewhere if another one is being made again, AgainTooOften, Refused,
    SpeechFailed, and AudioUnreachable if it cannot be told whether the audio is there.
    """
    if generation.text_deleted_at:
        raise TextDeleted(generation.text_deleted_at)
    if generation.is_with_worker or audio.is_whole(generation):
        return generation
    if generation.credit_back_id:
        raise CreditedBack
    speaker = _speaker(generation)
    clock = ticking(now)
    _claim(generation, speaker, now)
    if not generation.is_queued:
        _make(generation, speaker, clock)
    return generation


def delete_asked(generation: Generation, now: datetime) -> None:
    """Delete the audio of a finished generation because its customer wants it. The receipt stays.

    The file goes first: without its name in the row it could not be found any more. Twice is as
    once. Raises OSError, and StillRunning while it is being made again.
    """
    if generation.is_making_again:
        raise StillRunning(generation.id)
    encoded.delete(generation.audio)
    unchanged = Generation.objects.filter(
        id=generation.id, audio=generation.audio, is_making_again=False, audio_deleted_at=None
    )
    unchanged.update(audio="", audio_deleted_at=now)


def delete_all(generation: Generation, now: datetime) -> None:
    """Delete text, audio and all else that tells what was said, because its customer wants it.

    The receipt stays: numbers, dates, who paid. The same key cannot be used again. Twice is as
    once. Raises OSError, and StillRunning while it is being made.
    """
    if generation.is_being_made:
        raise StillRunning(generation.id)
    encoded.delete(generation.audio)
    unchanged = Generation.objects.filter(
        id=generation.id, audio=generation.audio, state=generation.state, is_making_again=False
    )
    had_audio = Q(state=Generation.State.DONE, audio_deleted_at=None)
    is_deleted = unchanged.update(
        text="",
        text_deleted_at=now,
        title="",
        folder=None,
        manner={},
        words=None,
        body_hash="",
        failure="",
        audio="",
        audio_deleted_at=Case(When(had_audio, then=Value(now)), default=F("audio_deleted_at")),
    )
    if not is_deleted:
        raise StillRunning(generation.id)


def abandoned(now: datetime) -> QuerySet[Generation]:
    """Generations whose audio a request was making again whose process is gone."""
    return Generation.objects.filter(
        is_making_again=True,
        is_queued=False,  # `renewal` sees to those
        again_at__lt=now - timedelta(seconds=speak.taken_seconds(MAX_CHARACTERS, manners.SLOWEST)),
    )


def give_up(generation: Generation, now: datetime) -> None:
    """End an attempt to make audio again. What it has stored goes, unless it is the audio after
    all: a commit may succeed with its answer lost."""
    if generation.is_queued:
        long.fail(generation, long.TOO_LONG, now)
        return
    assert generation.again_at
    name = audio.name_for(generation, began_at=generation.again_at)
    if not Generation.objects.filter(id=generation.id, audio=name).exists():
        audio.delete(name)
    outcome.mine(generation).update(is_making_again=False)
    generation.is_making_again = False


def _taken_seconds(generation: Generation) -> int:
    if generation.is_queued:
        return turns.total_seconds(generation)
    return speak.taken_seconds(generation.characters, manners.speed_of(generation))


def _speaker(generation: Generation) -> voices.Speaker:
    try:
        return voices.resolve(generation.customer, generation.voice)
    except UnknownVoice as error:
        if generation.voice in voices.HOUSE:
            raise SpeechFailed("This voice cannot speak just now. Try again later.") from error
        raise VoiceGone(generation.voice_name) from error


def _claim(generation: Generation, speaker: voices.Speaker, now: datetime) -> None:
    """One at a time: the constraint on the rows decides between two in the same instant."""
    rows = Generation.objects.filter(customer=generation.customer_id)
    for other in rows.filter(is_making_again=True).defer("text", "words"):
        assert other.again_at
        if other.again_at > now - timedelta(seconds=_taken_seconds(other)):
            raise StillRunning(other.id) if other.id == generation.id else AgainElsewhere
        give_up(other, now)
    latest = rows.filter(again_at__gt=now - HOUR).order_by("-again_at")
    if oldest := latest.values_list("again_at", flat=True)[AGAIN_PER_HOUR - 1 : AGAIN_PER_HOUR]:
        assert oldest[0]
        raise AgainTooOften(AGAIN_PER_HOUR, (oldest[0] + HOUR - now).total_seconds())
    try:
        with transaction.atomic():
            _begin(generation, now, is_queued=speak.takes_long(generation, speaker))
    except IntegrityError as error:
        raise AgainElsewhere from error


def _begin(generation: Generation, now: datetime, *, is_queued: bool) -> None:
    unchanged = Generation.objects.filter(
        id=generation.id,
        again_at=generation.again_at,
        is_making_again=False,
        body_hash=generation.body_hash,  # else its text was deleted, with its customer
    )
    if not unchanged.update(again_at=now, is_making_again=True, is_queued=is_queued):
        raise StillRunning(generation.id)
    generation.again_at, generation.is_making_again = now, True
    generation.is_queued, generation.content_type = is_queued, audio.FLAC
    if is_queued:
        long.enqueue(generation, now)


def _make(generation: Generation, speaker: voices.Speaker, clock: Callable[[], datetime]) -> None:
    is_done = False
    try:
        speech = speak.synthesise(generation, speaker)
        stored = audio.store(generation, speech, began_at=generation.again_at)
        outcome.delete_former(generation, stored)
        is_done = outcome.finish_again(generation, speech, stored, clock())
    finally:
        if not is_done:
            give_up(generation, clock())
    if not is_done:  # so slow that it was taken for gone
        raise StillRunning(generation.id)

"""Audio after its time: it is deleted, and made again, free, when its customer wants it.

Text, word times and receipt stay. So what was paid for once can be made again at any time: when its
time was over, and when its file was lost or damaged before. Nothing is reserved, captured or
reported for it; the customer's next request waits until this one is done, and there are
AGAIN_PER_HOUR of them.

`again_at` says which attempt owns the row, as `taken_at` does while it is spoken for credits, and
names the file of the attempt: so what a killed process has stored is found and deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from jobs.clock import ticking
from usage.engines import EngineFailed, NothingToSpeak, engine
from usage.engines.whole import Speech
from usage.models import Generation
from usage.text import MAX_CHARACTERS

from . import audio, encoded, promise, speak, takes, voices, words
from . import manner as manners
from .problems import (
    AgainElsewhere,
    AgainTooOften,
    CreditedBack,
    Refused,
    SpeechFailed,
    StillRunning,
    UnknownVoice,
    VoiceGone,
)

logger = logging.getLogger(__name__)

AGAIN_PER_HOUR = 20
HOUR = timedelta(hours=1)


def make_again(*, generation: Generation, now: datetime) -> Generation:
    """Make the audio of a finished generation again, free, from its own text and voice.

    Returns the row with its new audio, kept from now on as long as the plan says; or as it is if
    its audio is there, whole: so twice is once.

    Raises CreditedBack, VoiceGone, StillRunning if it is being made again already, AgainElsewhere
    if another one is, AgainTooOften, Refused, SpeechFailed, and AudioUnreachable if it cannot be
    told whether the audio is there.
    """
    if audio.is_whole(generation):
        return generation
    if generation.credit_back_id:
        raise CreditedBack
    speaker = _speaker(generation)
    clock = ticking(now)
    former = generation.audio
    _claim(generation, now)
    is_done = False
    try:
        speech = _spoken(generation, speaker)
        stored = audio.store(generation, speech, began_at=now)
        if former != stored:
            _delete_former(former)
        is_done = _finish(generation, speech, stored, clock)
    finally:
        if not is_done:
            give_up(generation)
    if not is_done:  # so slow that it was taken for gone
        raise StillRunning(generation.id)
    return generation


def delete(stored: str) -> None:
    """Delete a stored file and what is encoded of it on this machine. Raises OSError."""
    if stored:
        audio.remove(stored)
        encoded.forget(stored)


def abandoned(now: datetime) -> QuerySet[Generation]:
    """Generations whose audio a process was making again that is gone."""
    return Generation.objects.filter(
        is_making_again=True,
        again_at__lt=now - timedelta(seconds=speak.taken_seconds(MAX_CHARACTERS, manners.SLOWEST)),
    )


def give_up(generation: Generation) -> None:
    """End an attempt to make audio again. What it has stored goes, unless it is the audio after
    all: a commit may succeed with its answer lost."""
    assert generation.again_at
    name = audio.name_for(generation, began_at=generation.again_at)
    if not Generation.objects.filter(id=generation.id, audio=name).exists():
        audio.delete(name)
    _mine(generation).update(is_making_again=False)
    generation.is_making_again = False


def _taken_seconds(generation: Generation) -> int:
    return speak.taken_seconds(generation.characters, manners.speed_of(generation))


def _speaker(generation: Generation) -> voices.Speaker:
    try:
        return voices.resolve(generation.customer, generation.voice)
    except UnknownVoice as error:
        if generation.voice in voices.HOUSE:
            raise SpeechFailed("This voice cannot speak just now. Try again later.") from error
        raise VoiceGone(generation.voice_name) from error


def _claim(generation: Generation, now: datetime) -> None:
    """One at a time: the constraint on the rows decides between two in the same instant."""
    rows = Generation.objects.filter(customer=generation.customer_id)
    for other in rows.filter(is_making_again=True).defer("text", "words"):
        assert other.again_at
        if other.again_at > now - timedelta(seconds=_taken_seconds(other)):
            raise StillRunning(other.id) if other.id == generation.id else AgainElsewhere
        give_up(other)
    latest = rows.filter(again_at__gt=now - HOUR).order_by("-again_at")
    if oldest := latest.values_list("again_at", flat=True)[AGAIN_PER_HOUR - 1 : AGAIN_PER_HOUR]:
        assert oldest[0]
        raise AgainTooOften(AGAIN_PER_HOUR, (oldest[0] + HOUR - now).total_seconds())
    try:
        with transaction.atomic():
            changed = rows.filter(
                id=generation.id, again_at=generation.again_at, is_making_again=False
            ).update(again_at=now, is_making_again=True)
    except IntegrityError as error:
        raise AgainElsewhere from error
    if not changed:
        raise StillRunning(generation.id)
    generation.again_at, generation.is_making_again = now, True
    generation.content_type = audio.FLAC


def _spoken(generation: Generation, speaker: voices.Speaker) -> Speech:
    """What the row's text sounds like in its voice. Raises Refused and SpeechFailed."""
    try:
        chosen = engine(speaker.engine)
        with takes.making(generation.customer_id, generation.key, chosen.sample_rate) as take:
            return manners.spoken(
                chosen,
                generation,
                speaker,
                deadline_seconds=speak.patience_seconds(
                    generation.characters, manners.speed_of(generation)
                ),
                heard=take.add,
            )
    except NothingToSpeak as error:
        raise Refused({"text": [str(error)]}) from error
    except EngineFailed as error:
        logger.warning("generation %s, again: %s", generation.id, error)
        if error.permanent:
            raise Refused({"text": [str(error)]}) from error
        raise SpeechFailed(str(error)) from error


def _delete_former(stored: str) -> None:
    """What is left of the damaged file, before the row names another."""
    try:
        delete(stored)
    except OSError:
        logger.exception("the damaged audio %s could not be deleted", stored)


def _finish(
    generation: Generation, speech: Speech, stored: str, clock: Callable[[], datetime]
) -> bool:
    """Write the outcome. Returns whether the row is still this attempt's."""
    now = clock()
    outcome: dict[str, Any] = {
        "audio": stored,
        "content_type": generation.content_type,
        "duration_seconds": speech.duration_seconds,
        "words": words.packed(words.timed(speech.words, speech.duration_seconds)),
        "audio_until_at": promise.later(
            generation.audio_until_at, promise.until(generation.customer, now)
        ),
        "audio_deleted_at": None,
        "is_making_again": False,
        "finished_at": now,
    }
    changed = _mine(generation).update(**outcome)
    if changed:
        for name, value in outcome.items():
            setattr(generation, name, value)
    return bool(changed)


def _mine(generation: Generation) -> QuerySet[Generation]:
    """The row, as long as the attempt with this `again_at` owns it."""
    return Generation.objects.filter(
        id=generation.id, is_making_again=True, again_at=generation.again_at
    )

"""Jobs that delete audio after its time, and keep it longer when a plan begins that says so.

They are on the queue of speech: a storage that answers slowly delays no job of money.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from jobs.worker import BatchJob, pause_job
from usage.models import Generation

from . import audio, encoded, promise, retention
from .problems import AudioLost, AudioUnreachable

logger = logging.getLogger(__name__)

QUEUE = "speech"
BATCH = 20
PAUSE_SECONDS = 300  # after a file could not be deleted


def expired(now: datetime) -> QuerySet[Generation]:
    """Generations whose audio is kept no longer."""
    return Generation.objects.filter(audio_until_at__lte=now, audio_deleted_at=None)


def expire(now: datetime) -> int:
    """Delete the audio of some of them, or keep it longer where the plan of today says so.

    The file goes first: without its name in the row it could not be found any more. Returns how
    many are settled; pauses the job if a file could not be deleted.
    """
    rows = expired(now).select_related("customer").defer("text", "words")
    settled, failures = 0, []
    for generation in rows.order_by("audio_until_at")[:BATCH]:
        try:
            settle(generation, now)
            settled += 1
        except (OSError, AudioUnreachable) as error:
            failures.append(f"{generation.audio}: {error}")
    if failures:
        reason = f"{len(failures)} audio files could not be deleted, {failures[0]}"
        pause_job(EXPIRE.name, seconds=PAUSE_SECONDS, reason=reason, now=now)
    return settled


def settle(generation: Generation, now: datetime) -> bool:
    """Delete the audio of one whose time is over. Returns False if it is kept longer after all,
    since a plan has begun and the file is still there: a worker that was killed may have deleted it
    before that. Raises OSError, or AudioUnreachable if nobody can tell whether it is there."""
    unchanged = Generation.objects.filter(
        id=generation.id, audio=generation.audio, audio_until_at=generation.audio_until_at
    )
    until = promise.until(generation.customer, generation.finished_at or generation.created_at)
    if (until is None or until > now) and is_there(generation):
        unchanged.update(audio_until_at=until)
        return False
    encoded.delete(generation.audio)
    # A plan that has begun in this moment has kept a file that is gone.
    gone = Generation.objects.filter(id=generation.id, audio=generation.audio)
    gone.update(audio="", audio_deleted_at=now)
    return True


def is_there(generation: Generation) -> bool:
    """Whether it has its file. Raises AudioUnreachable."""
    try:
        audio.check(generation)
    except AudioLost:
        return False
    return True


def lengthen(now: datetime) -> int:
    subscriptions = list(promise.unlengthened()[:BATCH])
    for subscription in subscriptions:
        promise.lengthen(subscription, now)
    return len(subscriptions)


def give_up_audio(now: datetime) -> int:
    generations = list(retention.abandoned(now).defer("text", "words")[:BATCH])
    for generation in generations:
        retention.give_up(generation, now)
    return len(generations)


@dataclass(frozen=True)
class Expire(BatchJob):
    """Beside its rows it sees to the cache of encodings, which is pruned otherwise only when
    something is encoded."""

    def prepare(self, now: datetime) -> None:
        try:
            encoded.prune()
        except OSError:
            logger.exception("the cache of encodings could not be pruned")


EXPIRE = Expire("audio.expire", expired, expire, queue=QUEUE)
LENGTHEN = BatchJob("audio.lengthen", lambda now: promise.unlengthened(), lengthen, queue=QUEUE)
GIVE_UP_AUDIO = BatchJob("audio.give_up", retention.abandoned, give_up_audio, queue=QUEUE)

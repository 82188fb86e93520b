"""Texts that take longer than a request should wait for: spoken on a queue of their own.

    enqueue → speak piece by piece, some stored as a part (`parts`) → join → capture and report

The generation stays pending meanwhile, and its credits stay reserved. A reservation lasts ten
minutes and must not last longer, so it is renewed (`renewal`, on the queue of money) until the text
is spoken or its time is over (`turns`); then everything is given back. A piece that cannot be
spoken is tried again, then left out of a very long text and given back with its credits, or else it
fails the text. Whatever ends the generation first
wins: each way begins with a conditional UPDATE of its row. Afterwards the job deletes the parts.

The audio of such a text is made again (`retention`) in the same way, but nothing is reserved,
captured, reported or given back: in the end the row has its audio, or is as it was before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from billing import ledger
from billing.live.wake import wake
from jobs import stopping
from jobs.clock import ticking
from jobs.errors import Snooze, Unavailable
from jobs.inline import do_now
from jobs.models import due
from jobs.worker import RowJob
from usage.engines import Engine, EngineClosed, EngineFailed, NothingToSpeak, Spoken, engine
from usage.models import Generation, LongSpeech
from usage.text import MAX_CHARACTERS
from usage.text.pieces import Piece

from . import audio, encoded, outcome, parts, turns, voices
from . import manner as manners
from .parts import Joined, Lost
from .problems import FROZEN, CreditedBack, SpeechFailed, UnknownVoice

logger = logging.getLogger(__name__)

QUEUE = "speech"
LONG_SECONDS = 30  # what an engine speaks in that time, a request waits for
RENEW_SECONDS = ledger.RESERVATION_SECONDS // 2
# How long a worker speaks one text before it gives the row back: so it is seen to live.
SLICE_SECONDS = 10
# What is spoken in that time is one part, or so much audio. The first piece is a part of its own,
# so that it is heard early.
PART_SECONDS, PART_AUDIO_SECONDS = 3, 60
TRIES = 3  # of a piece, each of which the engine tries twice;
# of a piece of a very long text more, in some minutes: there is more to lose
LONG_TRIES = 10
POLL_SECONDS = 0.25

STOPPED = "Stopped before anything was spoken."
TOO_LONG = "Speaking this text took too long."
STOPPED_AGAIN = "You stopped it. It can be made again at any time."
NO_VOICE = "The voice of this text is not there any more."
NO_CREDITS = "The credits for this text ended before it was spoken."
CANCELLED = "This text was cancelled."


class PieceFailed(EngineFailed):
    """The engine could not speak the next piece, which ends at `end`."""

    def __init__(self, message: str, end: int, *, permanent: bool) -> None:
        super().__init__(message, permanent=permanent)
        self.end = end


def takes_long(chosen: Engine, characters: int, speed: float = 1.0) -> bool:
    """Whether a text of so many characters, at that speed, is one for the queue."""
    pace = chosen.characters_a_second
    if characters > MAX_CHARACTERS or pace is None:
        return characters > MAX_CHARACTERS
    return characters > pace * manners.pace(speed) * LONG_SECONDS


def enqueue(generation: Generation, now: datetime) -> None:
    """Have a worker make it, in the transaction that reserves its credits or begins it again.

    What an attempt that failed has left is gone on with.
    """
    renew_at = now + timedelta(
        seconds=turns.total_seconds(generation) if generation.is_making_again else RENEW_SECONDS
    )
    rows: Any = LongSpeech.objects.filter(pk=generation.pk)
    if not rows.run_now(now, renew_at=renew_at, stop_asked_at=None, again_failure=""):
        LongSpeech.objects.create(generation=generation, renew_at=renew_at, **due(now))


def wait(generation: Generation, *, seconds: float) -> None:
    """Wait until it is no longer being made, for so long, in no transaction. Refreshes it."""
    until = time.monotonic() + seconds
    rows = Generation.objects.filter(pk=generation.pk, is_making_again=False)
    over = rows.exclude(state=Generation.State.PENDING)
    while not (is_over := over.exists()) and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    if is_over:
        generation.refresh_from_db()


# --- The job --------------------------------------------------------------------------------------


def speak(row: LongSpeech, now: datetime) -> datetime | None:
    """Speak some of the text, and finish it if that was the rest; else it waits for its turn."""
    clock = ticking(now)
    generation = Generation.objects.select_related("customer").get(pk=row.pk)
    try:
        if generation.is_with_worker and not _advance(row, generation, clock):
            return turns.turn(row, generation, clock())
    except Lost:
        generation.refresh_from_db(fields=["state", "is_making_again", "is_queued"])
        if generation.is_with_worker:
            raise Snooze("another worker has it") from None
    with suppress(Lost):
        parts.forget(row)
    return None


def _advance(row: LongSpeech, generation: Generation, clock: Callable[[], datetime]) -> bool:
    """Whether the generation is over now. Raises Lost, Unavailable and Snooze."""
    try:
        if generation.is_making_again and generation.credit_back_id:
            raise CreditedBack
        return _speak(row, generation, clock)
    except EngineClosed as error:
        raise Snooze(str(error), seconds=0) from error
    except UnknownVoice:
        failure = NO_VOICE
    except (NothingToSpeak, CreditedBack) as error:
        failure = str(error)
    except (EngineFailed, SpeechFailed) as error:
        failure = str(error)
        logger.warning("generation %s: %s", generation.id, error)
        is_permanent = isinstance(error, EngineFailed) and error.permanent
        tries = TRIES if generation.characters <= MAX_CHARACTERS else LONG_TRIES
        if not is_permanent and row.attempts + 1 < tries:
            raise Unavailable(failure) from error
        if isinstance(error, PieceFailed) and parts.leave_out(row, generation, end=error.end):
            return False
    fail(generation, failure, clock())
    return True


def _speak(row: LongSpeech, generation: Generation, clock: Callable[[], datetime]) -> bool:
    speaker = voices.resolve(generation.customer, generation.voice)
    chosen = engine(speaker.engine)
    todo = manners.pieces(chosen, generation, speaker)
    parts.discard(row)
    characters = generation.characters_reached  # of a text that was stopped, not all of it
    if row.characters_spoken != parts.spoken_until(todo, characters, row.pieces_spoken):
        parts.forget(row)  # the text is cut in another way than by the program that began it
    if row.pieces != len(todo):
        parts.write(row, pieces=len(todo))
    until = clock() + timedelta(seconds=SLICE_SECONDS)
    while row.pieces_spoken < len(todo) and not _is_stopped(row, generation):
        _speak_part(row, generation, chosen, speaker, todo, clock)
        # After a failure its tries are counted anew.
        is_enough = clock() > until or stopping.is_asked() or row.attempts
        if row.pieces_spoken < len(todo) and is_enough:
            return False
    if row.parts:
        _finish(row, generation, clock)
    else:
        fail(generation, STOPPED, clock())
    return True


def _speak_part(
    row: LongSpeech,
    generation: Generation,
    chosen: Engine,
    speaker: voices.Speaker,
    todo: list[Piece],
    clock: Callable[[], datetime],
) -> None:
    """Speak the next pieces. What was spoken before one that fails is kept. Raises PieceFailed."""
    first, rate, samples = row.pieces_spoken, chosen.sample_rate, 0
    until = clock() + timedelta(seconds=PART_SECONDS)
    speed, characters = manners.speed_of(generation), generation.characters_reached
    spoken: list[Spoken] = []
    for piece in todo[first:]:
        try:
            spoken += chosen.speak([piece], settings=speaker.settings, speed=speed)
        except EngineFailed as error:
            if spoken:
                break
            if isinstance(error, EngineClosed):
                raise
            end = parts.spoken_until(todo, characters, first + 1)
            raise PieceFailed(str(error), end, permanent=error.permanent) from error
        samples += len(spoken[-1].samples) // 2
        is_enough = clock() >= until or samples >= PART_AUDIO_SECONDS * rate
        if not first or is_enough or stopping.is_asked():
            break
    end = parts.spoken_until(todo, characters, first + len(spoken))
    parts.add(row, generation, spoken, rate=rate, end=end, now=clock())


def _is_stopped(row: LongSpeech, generation: Generation) -> bool:
    """Whether its customer has asked for what is spoken. Raises Lost."""
    rows = LongSpeech.objects.filter(
        pk=row.pk, lease=row.lease, generation__in=outcome.mine(generation)
    )
    found = rows.values_list("stop_asked_at").first()
    if found is None:
        raise Lost
    return found[0] is not None


def _finish(row: LongSpeech, generation: Generation, clock: Callable[[], datetime]) -> None:
    """Join the parts, and deliver and charge them. Raises Lost, Snooze and SpeechFailed."""
    speech = parts.join(row, generation, audio.name_in(generation, row.lease or ""), clock)
    if generation.characters > MAX_CHARACTERS:
        encoded.prepare(speech.name)
    end = _deliver_again if generation.is_making_again else _charge
    try:
        end(row, generation, speech, clock)
    except Lost:
        encoded.delete(speech.name)
        raise


def _deliver_again(
    row: LongSpeech, generation: Generation, speech: Joined, clock: Callable[[], datetime]
) -> None:
    """Raises Lost."""
    outcome.delete_former(generation, speech.name)
    with transaction.atomic():
        if not outcome.finish_again(generation, speech, speech.name, clock()):
            raise Lost
        parts.write(row, storing="", renew_at=None)


def _charge(
    row: LongSpeech, generation: Generation, speech: Joined, clock: Callable[[], datetime]
) -> None:
    """Raises Lost and Snooze."""
    wallet_id = ledger.wallet_of(generation.customer_id).id
    try:
        # By itself: a capture locks the day's row and the wallet's grants before the wallet, and
        # two captures would wait for each other if one of them had the wallet already.
        with transaction.atomic():
            lock(generation)
            reservation = outcome.reserve_again(generation, wallet_id, clock())
        with transaction.atomic():
            lock(generation)
            parts.write(row, storing="", renew_at=None)
            outcome.finish(
                generation,
                speech,
                speech.name,
                reservation,
                clock(),
                characters=row.characters_spoken,
                left_out=row.left_out,
            )
    except ledger.AlreadyResolved as error:  # it has expired in this moment
        raise Snooze("the reservation has expired", seconds=0) from error
    except (ledger.InsufficientCredits, ledger.WalletFrozen) as error:
        # It had expired, and its credits are spent or on hold. Nobody has heard the audio yet.
        fail(generation, refusal(error), clock())
    wake(wallet_id)


def refusal(error: Exception) -> str:
    return FROZEN if isinstance(error, ledger.WalletFrozen) else NO_CREDITS


def lock(generation: Generation) -> None:
    """Lock the row for the transaction, and read what a renewal has changed. Raises Lost."""
    rows = outcome.mine(generation).select_for_update()
    if (tries := rows.values_list("tries", flat=True).first()) is None:
        raise Lost
    generation.tries = tries


SPEAK = RowJob(
    "generations.speak", LongSpeech, speak, lease_seconds=parts.LEASE_SECONDS, queue=QUEUE
)


# --- Ending it otherwise --------------------------------------------------------------------------


def fail(generation: Generation, failure: str, now: datetime) -> bool:
    """Mark it failed and give its credits back; the job then deletes its parts. What was made
    again is as it was before.

    Returns False if it was over before, or another attempt owns it.
    """
    rows: Any = LongSpeech.objects.filter(pk=generation.pk)
    with transaction.atomic():
        try:
            lock(generation)
        except Lost:
            return False
        if generation.is_making_again:
            outcome.mine(generation).update(is_making_again=False)
            rows.run_now(now, renew_at=None, again_failure=failure)
            return True
        outcome.mark_failed(generation, failure, now)
        rows.run_now(now, renew_at=None)
        if reservation := outcome.open_reservation(generation):
            with suppress(ledger.AlreadyResolved):  # expired: then it is back already
                ledger.release(reservation_id=reservation.pk, now=now)
    wake(ledger.wallet_of(generation.customer_id).id)
    return True


def stop(generation: Generation, now: datetime) -> None:
    """Have its customer get and pay for what is spoken of it, and no more. Of what is made again,
    free, nothing is kept.

    Done here if no worker has it in hand; else the worker ends after the piece that it speaks.
    Asked for again, or too late, it changes nothing.
    """
    if generation.is_making_again:
        fail(generation, STOPPED_AGAIN, now)
        generation.refresh_from_db()
        return
    rows: Any = LongSpeech.objects.filter(
        pk=generation.pk, generation__state=Generation.State.PENDING
    )
    rows.filter(stop_asked_at=None).update(stop_asked_at=now)
    with suppress(Snooze, Unavailable):
        do_now(SPEAK, rows, now=now)
    generation.refresh_from_db()


def delete_parts(generation: Generation, now: datetime) -> bool:
    """Delete what is stored of a generation that is over. False while a worker has it in hand."""
    rows: Any = LongSpeech.objects.filter(pk=generation.pk)
    if not rows.exclude(parts=[], storing="", due_at=None).exists():
        return True
    try:
        do_now(SPEAK, rows, now=now)
    except (Snooze, Unavailable):
        return False
    return True

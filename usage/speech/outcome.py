"""How the speaking of a text ends: captured and reported, or failed with its credits given back;
and how its audio made again does, at no cost.

Whoever speaks it, a request (`speak`, `retention`) or a worker (`long`), ends it here. `taken_at`,
and `again_at` where it is made again, says which attempt owns the generation: no other may end it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from django.db import transaction
from django.db.models import F, QuerySet

from billing import ledger
from billing.models import Reservation, Wallet
from notifications import emit
from usage import rollup
from usage.engines.whole import SpokenWord
from usage.models import Generation

from . import audio, capture, encoded, promise, words
from .problems import StillRunning

logger = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on our side."


class Sound(Protocol):
    """What was spoken, wherever its samples are."""

    @property
    def duration_seconds(self) -> float: ...
    @property
    def words(self) -> tuple[SpokenWord, ...]: ...


def mine(generation: Generation) -> QuerySet[Generation]:
    """The row, as long as the attempt with this `taken_at` or `again_at` owns it."""
    rows = Generation.objects.filter(id=generation.id)
    if generation.is_making_again:
        return rows.filter(is_making_again=True, again_at=generation.again_at)
    return rows.filter(state=Generation.State.PENDING, taken_at=generation.taken_at)


def reservation_key(generation: Generation) -> str:
    return f"gen-{generation.id}-{generation.tries}"


def reserve(generation: Generation, wallet_id: int, now: datetime) -> ledger.Reserved:
    return ledger.reserve(
        wallet_id=wallet_id,
        key=reservation_key(generation),
        amount=generation.credits,
        now=now,
        api_key_id=generation.api_key_id,
    )


def reserve_again(generation: Generation, wallet_id: int, now: datetime) -> ledger.Reserved:
    """The generation's open reservation.

    It is a new one, under the next key, if the last was released or has expired.
    """
    reservation = reserve(generation, wallet_id, now)
    if reservation.state == Reservation.State.OPEN:
        return reservation
    generation.tries += 1
    if not mine(generation).update(tries=generation.tries):
        raise StillRunning(generation.id)
    return reserve(generation, wallet_id, now)


def open_reservation(generation: Generation) -> Reservation | None:
    key = reservation_key(generation)
    wallet = {"wallet__customer_id": generation.customer_id}
    return Reservation.objects.open().filter(key=key, **wallet).first()


def finish(
    generation: Generation,
    speech: Sound,
    stored: str,
    reservation: ledger.Reserved,
    now: datetime,
    *,
    characters: int | None = None,
    left_out: Sequence[Sequence[int]] = (),
) -> None:
    """Mark it done and charge it, in one transaction.

    `characters`: how many of the text's first ones were spoken, if not all, and of these all but
    those in the ranges `left_out`. Only what was spoken is charged.
    Raises StillRunning if another attempt owns it, ledger.AlreadyResolved if the credits are gone.
    """
    if characters is None:
        characters = generation.characters
    characters -= sum(end - start for start, end in left_out)
    # By the price that was shown: it is a whole number of credits a character.
    credits = generation.credits // generation.characters * characters
    with transaction.atomic():
        # What is captured was reserved, so only the rest of it becomes available.
        available = Wallet.objects.values_list(F("balance") - F("reserved"), flat=True)
        outcome = {
            "state": Generation.State.DONE,
            "audio": stored,
            "audio_until_at": promise.until(generation.customer, now),
            "duration_seconds": speech.duration_seconds,
            "words": words.packed(words.timed(speech.words, speech.duration_seconds)),
            "reservation_id": reservation.id,
            "available_after": available.get(customer=generation.customer_id)
            + generation.credits
            - credits,
            "finished_at": now,
        }
        if characters < generation.characters:
            outcome |= {
                "characters_spoken": characters,
                "credits": credits,
                "left_out": list(left_out),
            }
        if not mine(generation).update(**outcome):
            raise StillRunning(generation.id)  # another attempt has taken it over
        told = {
            "characters": characters,
            "credits": credits,
            "duration_seconds": round(speech.duration_seconds, 3),
        }
        emit_ended(generation, Generation.State.DONE, told, now)
        _capture(generation, reservation, characters, credits, speech.duration_seconds, now)
    for name, value in outcome.items():
        setattr(generation, name, value)


def _capture(
    generation: Generation,
    reservation: ledger.Reserved,
    characters: int,
    credits: int,
    duration_seconds: float,
    now: datetime,
) -> None:
    capture.capture_and_report(
        customer_id=generation.customer_id,
        reservation=reservation,
        transaction_id=f"vocalis-gen-{generation.id}",
        event_type="voice_generation",
        properties={"voice_type": generation.voice_type, "text_length": str(characters)},
        now=now,
        credits=credits,
        used=rollup.With(
            voice=generation.voice,
            voice_name=generation.voice_name,
            api_key_id=generation.api_key_id,
            duration_seconds=duration_seconds,
        ),
    )


def finish_again(generation: Generation, speech: Sound, stored: str, now: datetime) -> bool:
    """Give it the audio that was made again. Returns False if another attempt owns it."""
    promised = promise.until(generation.customer, now)
    outcome = {
        "audio": stored,
        "content_type": audio.FLAC,
        "duration_seconds": speech.duration_seconds,
        "words": words.packed(words.timed(speech.words, speech.duration_seconds)),
        "audio_until_at": promise.later(generation.audio_until_at, promised),
        "audio_deleted_at": None,
        "is_making_again": False,
        "finished_at": now,
    }
    with transaction.atomic():
        if not mine(generation).update(**outcome):
            return False
        rollup.lengthen(generation, speech.duration_seconds)
    for name, value in outcome.items():
        setattr(generation, name, value)
    return True


def delete_former(generation: Generation, stored: str) -> None:
    """Delete what is left of its damaged file, before its row names the one stored now."""
    try:
        if generation.audio != stored:
            encoded.delete(generation.audio)
    except OSError:
        logger.exception("the damaged audio %s could not be deleted", generation.audio)


def give_back(
    generation: Generation, reservation_id: int | None, failure: str, now: datetime
) -> None:
    """Mark it failed, release its credits and delete what this attempt has stored."""
    with transaction.atomic():
        if mark_failed(generation, failure, now) and reservation_id:
            with suppress(ledger.AlreadyResolved):  # expired: then it is back already
                ledger.release(reservation_id=reservation_id, now=now)
    delete_orphan(generation)


def mark_failed(generation: Generation, failure: str, now: datetime) -> bool:
    """Mark it failed, in the caller's transaction, and tell the customer's endpoints.

    Returns False if it was over, or another attempt owns it.
    """
    failed = {"state": Generation.State.FAILED, "failure": failure, "finished_at": now}
    if not mine(generation).update(**failed):
        return False
    told = {"characters": generation.characters, "credits": 0}  # the failure may quote the text
    emit_ended(generation, Generation.State.FAILED, told, now)
    return True


def emit_ended(generation: Generation, state: str, told: dict[str, Any], now: datetime) -> None:
    """Tell the customer's endpoints how this attempt ended: never what the text says."""
    data = {
        "generation": str(generation.id),
        "state": state,
        "voice": generation.voice,
        "voice_type": generation.voice_type,
        **told,
    }
    kind = "generation.completed" if state == Generation.State.DONE else "generation.failed"
    # Failed, it may be tried again under the same id.
    key = f"{generation.id}-{generation.taken_at:%Y%m%d%H%M%S%f}"
    emit(generation.customer_id, kind, key, data, now)


def delete_orphan(generation: Generation) -> None:
    """Delete what this attempt stored, unless it is the audio after all.

    A commit may succeed with its answer lost.
    """
    done = Generation.objects.filter(
        id=generation.id, state=Generation.State.DONE, taken_at=generation.taken_at
    )
    if not done.exists():
        audio.delete(audio.name_for(generation))

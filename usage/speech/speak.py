"""Speak a text for credits, exactly once per key.

    reserve → synthesise → store → capture and report

The first and the last step are one transaction each; nothing between them is in one. So a process
may die at any instruction: the row stays pending and its credits stay reserved. The same request
again takes the generation over with the same reservation. If none comes, the reservation expires
and a worker marks the row failed (`abandoned`). `taken_at` says which attempt owns the row: only
the attempt that wrote it may finish or fail the generation.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts.models import Customer
from billing import events, ledger
from billing.live.wake import wake
from billing.models import Reservation
from jobs.clock import ticking
from usage import text as texts
from usage.engines import EngineFailed, NothingToSpeak, engine
from usage.engines.whole import Speech
from usage.models import Generation

from . import audio, long, pricing, pronunciations, takes, voices
from . import manner as manners
from .asked import ON_THE_SITE, Asked, Begun
from .outcome import (
    UNEXPECTED,
    delete_orphan,
    finish,
    give_back,
    mark_failed,
    reservation_key,
    reserve,
    reserve_again,
)
from .problems import KeyReused, Refused, SpeechFailed, StillRunning, UnknownVoice

logger = logging.getLogger(__name__)

# How long a request waits for the engine: premium voices speak 30 characters a second on a core,
# and half as many from half the usual speed on.
PATIENCE_SECONDS, PATIENT_CHARACTERS_A_SECOND = 60, 20
STORE_SECONDS = 30  # how long it takes at most to store the audio
# By then the reservation has expired, and nobody came back.
ABANDONED_SECONDS = ledger.RESERVATION_SECONDS + 30
KEY = re.compile(r"[!-~]{1,128}")
WRONG_KEY = "A key is 1 to 128 ASCII characters without spaces."


def patience_seconds(characters: int, speed: float = 1.0) -> int:
    """The longest a request waits for the engine to speak so many characters."""
    return PATIENCE_SECONDS + int(characters / PATIENT_CHARACTERS_A_SECOND / manners.pace(speed))


def taken_seconds(characters: int, speed: float = 1.0) -> int:
    """After which nobody can still be at it, storing the audio included."""
    return patience_seconds(characters, speed) + STORE_SECONDS


def speak(
    *,
    customer: Customer,
    text: str,
    voice_id: str,
    key: str,
    now: datetime,
    manner: Mapping[str, object] | None = None,
) -> Generation:
    """Speak `text` for its credits, in the usual manner or another one (see `manner.checked`).

    The same key and body again give the first answer, `replayed`, at no cost. A text that takes
    long (`long.takes_long`) is returned pending: a worker speaks it.

    Raises Refused (KeyReused among it), StillRunning, SpeechFailed, and the ledger's
    InsufficientCredits and WalletFrozen. After any of them nothing is charged and nothing stays
    reserved, and the same key may be used again. Raises AudioLost if the first answer's audio is
    gone (AudioDeleted if its time was over): nothing is spoken and charged again until a new key
    asks for it; AudioUnreachable if it cannot be read just now.
    """
    clock = ticking(now)
    begun = begin(customer=customer, text=text, voice_id=voice_id, key=key, now=now, manner=manner)
    generation = begun.generation
    if generation.state == Generation.State.PENDING and not generation.is_queued:
        _make(begun, clock)
    return generation


def begin(
    *,
    customer: Customer,
    text: str,
    voice_id: str,
    key: str,
    now: datetime,
    manner: Mapping[str, object] | None = None,
    asked: Asked = ON_THE_SITE,
) -> Begun:
    """Reserve the credits of a text, or find what the key was used for before.

    A pending one that is not queued is the caller's to make. Raises what `speak` raises before it
    speaks, and the ledger's BudgetExceeded.
    """
    longest = texts.MAX_CHARACTERS if asked.is_streamed else texts.LONG_MAX_CHARACTERS
    text, speaker, kept = check(customer, text, voice_id, key, manner, characters_max=longest)
    key = asked.keys + key
    wallet_id = ledger.wallet_of(customer.id).id
    generation = _new(
        text, speaker, kept, asked, customer=customer, key=key, created_at=now, taken_at=now
    )
    same_key = Generation.objects.filter(customer=customer, key=key)
    first = same_key.first()
    if first is None:
        if said := pronunciations.of(customer, text, speaker):
            generation.manner["pronunciations"] = said
        try:
            reservation = _begin(generation, wallet_id, now)
        except IntegrityError:  # the same key in the same instant; the other one was first
            first = same_key.get()
    if first is not None:
        if first.body_hash != generation.body_hash:
            raise KeyReused
        if first.state == Generation.State.DONE:
            audio.check(first)
            first.replayed = True
            return Begun(first, speaker, wallet_id)
        if first.is_queued and first.state == Generation.State.PENDING:
            return Begun(first, speaker, wallet_id)
        generation = first
        reservation = _take_over(generation, wallet_id, now)
    if generation.is_queued:
        wake(wallet_id)
    return Begun(generation, speaker, wallet_id, reservation)


def takes_long(generation: Generation, speaker: voices.Speaker) -> bool:
    """Whether a worker is to make it (`long`), and not the request that asks for it."""
    speed = manners.speed_of(generation)
    is_short = not generation.left_out and not long.takes_long(
        engine(speaker.engine), generation.characters_charged, speed
    )
    return not is_short


def abandoned(now: datetime) -> QuerySet[Generation]:
    """Generations that were begun, and whose reservation expired with nobody coming back."""
    return Generation.objects.filter(
        state=Generation.State.PENDING,
        is_queued=False,  # `renewal` sees to those
        taken_at__lt=now - timedelta(seconds=ABANDONED_SECONDS),
    )


def give_up(generation: Generation, now: datetime) -> None:
    """Mark an abandoned generation failed.

    Its credits are back, or come back when its reservation expires.
    """
    with transaction.atomic():
        mark_failed(generation, UNEXPECTED, now)
    delete_orphan(generation)


def check(
    customer: Customer,
    text: str,
    voice_id: str,
    key: str,
    manner: Mapping[str, object] | None,
    *,
    characters_max: int = texts.MAX_CHARACTERS,
) -> tuple[str, voices.Speaker, dict[str, Any]]:
    """The text as it is counted and spoken, its voice, and the manner. Raises Refused."""
    errors: dict[str, list[str]] = {}
    if not KEY.fullmatch(key):
        errors["key"] = [WRONG_KEY]
    try:
        text = texts.check(text, characters_max=characters_max)
    except texts.TextRefused as error:
        errors["text"] = [str(error)]
    try:
        kept = manners.checked(manner)
    except Refused as error:
        errors |= error.errors
    try:
        speaker = voices.resolve(customer, voice_id)
    except UnknownVoice:
        errors["voice"] = ["Choose one of the voices."]
    else:
        if not errors and (refusal := speaker.refusal(text)):
            errors["text"] = [refusal]
    if errors:
        raise Refused(errors)
    return text, speaker, kept


def _new(
    text: str, speaker: voices.Speaker, kept: dict[str, Any], asked: Asked, **fields: Any
) -> Generation:
    """A generation of a checked text, not saved yet. `kept` is the manner."""
    body = f"{manners.hashed(kept)}{speaker.id}\n{text}"
    body_hash = hashlib.sha256(body.encode()).hexdigest()
    if asked.answer:
        body_hash = hashlib.sha256(f"{asked.answer}\n{body_hash}".encode()).hexdigest()
    generation = Generation(
        api_key_id=asked.api_key_id,
        body_hash=body_hash,
        text=text,
        manner=kept,
        voice=speaker.id,
        voice_name=speaker.name,
        voice_type=speaker.type,
        characters=len(text),
        credits=pricing.credits(len(text), speaker.type),
        content_type=audio.FLAC,
        **fields,
    )
    generation.is_queued = not asked.is_streamed and takes_long(generation, speaker)
    return generation


def _begin(generation: Generation, wallet_id: int, now: datetime) -> ledger.Reserved:
    with events.refusals_told(generation.customer_id, now), transaction.atomic():
        generation.save(force_insert=True)
        if generation.is_queued:
            long.enqueue(generation, now)
        return reserve(generation, wallet_id, now)


def _take_over(generation: Generation, wallet_id: int, now: datetime) -> ledger.Reserved:
    """Begin another attempt at a failed or abandoned generation.

    Of two that try, one gets StillRunning.
    """
    pending = generation.state == Generation.State.PENDING
    if pending and generation.taken_at > now - timedelta(
        seconds=taken_seconds(generation.characters, manners.speed_of(generation))
    ):
        raise StillRunning(generation.id)
    former_audio = audio.name_for(generation)
    unchanged = Generation.objects.filter(
        id=generation.id, state=generation.state, taken_at=generation.taken_at
    )
    # Never that of the attempt before, which it tells from this one, down to the name of the file.
    taken_at = max(now, generation.taken_at + timedelta(milliseconds=1))
    generation.state, generation.taken_at = Generation.State.PENDING, taken_at
    with events.refusals_told(generation.customer_id, now), transaction.atomic():
        if not unchanged.update(
            state=generation.state, taken_at=taken_at, failure="", finished_at=None
        ):
            raise StillRunning(generation.id)
        if generation.is_queued:
            long.enqueue(generation, now)
        reservation = reserve_again(generation, wallet_id, now)
    if former_audio != audio.name_for(generation):
        audio.delete(former_audio)
    return reservation


def _make(begun: Begun, clock: Callable[[], datetime]) -> None:
    failure = UNEXPECTED
    try:
        deliver(begun, synthesise(begun.generation, begun.speaker), clock)
        failure = ""
    except (Refused, SpeechFailed, ledger.InsufficientCredits) as error:
        failure = str(error)
        raise
    finally:
        if failure:
            end(begun, failure, clock())
        wake(begun.wallet_id)


def deliver(
    begun: Begun, speech: Speech, clock: Callable[[], datetime], *, characters: int | None = None
) -> None:
    """Store what was spoken, and charge it: the first `characters` of the text, if not all.

    Raises SpeechFailed, StillRunning, and the ledger's InsufficientCredits, BudgetExceeded and
    WalletFrozen; then the caller ends it (`end`).
    """
    generation, reservation = begun.generation, begun.reservation
    assert reservation
    stored = audio.store(generation, speech)
    try:
        finish(generation, speech, stored, reservation, clock(), characters=characters)
    except ledger.AlreadyResolved:
        # We were so slow that the reservation expired, and its credits may be spent. Reserve them
        # again or give up: there is no overdraft, and nothing is kept for nothing.
        with transaction.atomic():
            reservation = reserve_again(generation, begun.wallet_id, clock())
        finish(generation, speech, stored, reservation, clock(), characters=characters)


def end(begun: Begun, failure: str, now: datetime) -> None:
    """Mark it failed, with its credits back. Who has taken it over meanwhile keeps it."""
    generation = begun.generation
    rows = Reservation.objects.open().filter(wallet=begun.wallet_id)
    # Not the one it began with, which may have expired and been replaced.
    key = reservation_key(generation)
    give_back(generation, rows.filter(key=key).values_list("pk", flat=True).first(), failure, now)


def synthesise(generation: Generation, speaker: voices.Speaker) -> Speech:
    """What the text of the row sounds like in that voice, made in this process, and heard by who
    listens meanwhile (`takes`). Raises Refused and SpeechFailed."""
    began = time.perf_counter()
    try:
        chosen = engine(speaker.engine)
        with takes.making(generation.customer_id, generation.key, chosen.sample_rate) as take:
            speech = manners.spoken(
                chosen,
                generation,
                speaker,
                deadline_seconds=patience_seconds(
                    generation.characters, manners.speed_of(generation)
                ),
                heard=take.add,
            )
    except NothingToSpeak as error:
        raise Refused({"text": [str(error)]}) from error
    except EngineFailed as error:
        logger.warning("generation %s: %s", generation.id, error)
        if error.permanent:
            raise Refused({"text": [str(error)]}) from error
        raise SpeechFailed(str(error)) from error
    generation.synthesis_seconds = time.perf_counter() - began
    return speech

"""Set up a personal voice for a one-time price: a candidate of a match (`match`), or one tuned by
ear. It then speaks at the standard rate.

As `usage.speech.speak` does: reserve the credits, do the work outside of any transaction (here:
have the engine speak with the voice once), then capture and report in the transaction that makes it
ready.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts import typed
from accounts.models import Customer
from billing import events, ledger, plans
from billing.live.wake import wake
from billing.models import Reservation
from jobs.clock import ticking
from notifications import emit
from usage import rollup
from usage.engines import (
    EngineFailed,
    NothingToSpeak,
    Setting,
    Settings,
    engine,
    tuning,
    tuning_errors,
)
from usage.engines.whole import Speech, speak_whole
from usage.models import Voice, VoiceMatch
from usage.voiceprint import STYLES_SPOKEN_BY

from . import capture, copies
from .outcome import UNEXPECTED
from .problems import InProgress, KeyReused, Refused, SpeechFailed, StillRunning, UnknownVoice
from .speak import KEY, WRONG_KEY

logger = logging.getLogger(__name__)

ENGINE = "hibari"  # what a new voice that was tuned speaks with
GAIN = 1.35  # as loud as the house voices of that engine
SAMPLE = "Hello! This is how your own voice sounds. Tune it until you like it; listening is free."
SAMPLE_SECONDS = 20  # the longest a request waits for the sample
MATCHED_SAMPLE_SECONDS = 60  # of the slower engine that speaks with matched voices
ABANDONED_SECONDS = MATCHED_SAMPLE_SECONDS + 30  # after which nobody can still be at it
GREETING = "Hello! This is your voice."  # what a matched voice says before it is charged
NAME_CHARACTERS_MAX = 60


def tunable() -> tuple[Setting, ...]:
    """What may be tuned about a new voice."""
    return tuning(ENGINE)


def preview(settings: Settings) -> Speech:
    """The sample sentence in that voice. Costs nothing. Raises Refused or SpeechFailed."""
    if errors := tuning_errors(ENGINE, settings):
        raise Refused(errors)
    return _spoken(ENGINE, SAMPLE, {**settings, "gain": GAIN}, SAMPLE_SECONDS)


def preview_matched(settings: Settings, text: str = SAMPLE) -> Speech:
    """The sample sentence in the voice of a candidate. Costs nothing. Raises SpeechFailed."""
    return _spoken(_engine_of(settings), text, settings, MATCHED_SAMPLE_SECONDS)


def _engine_of(settings: Settings) -> str:
    """What a candidate speaks with: a copy at its server, one of ours with Kokoro."""
    return copies.ENGINE if "copy" in settings else STYLES_SPOKEN_BY


def _spoken(name: str, text: str, settings: Settings, seconds: float) -> Speech:
    try:
        return speak_whole(engine(name), text, settings=settings, deadline_seconds=seconds)
    except (EngineFailed, NothingToSpeak) as error:
        raise SpeechFailed(str(error)) from error


def set_up(
    *,
    customer: Customer,
    name: str,
    settings: Settings,
    key: str,
    now: datetime,
    match: VoiceMatch | None = None,
    api_key_id: UUID | None = None,
) -> Voice:
    """Make the voice for its credits. The same key again gives the same voice at no cost.

    With a match the settings are those of a candidate. Of one match one voice is made, and none if
    its consent is withdrawn meanwhile. With an API key its budget is charged, too.

    Raises Refused (KeyReused among it), StillRunning, InProgress, SpeechFailed, and the ledger's
    InsufficientCredits, BudgetExceeded and WalletFrozen; after any of them nothing is charged.
    """
    name = _check(name, key, {} if match else tuning_errors(ENGINE, settings))
    clock = ticking(now)
    voice = Voice(
        customer=customer,
        key=key,
        name=name,
        engine=_engine_of(settings) if match else ENGINE,
        settings=dict(settings) if match else {**settings, "gain": GAIN},
        match=match,
        credits=plans.OWN_VOICE_CREDITS,
        created_at=now,
    )
    # Rather than wait for the worker to do it.
    for left in abandoned(now).filter(customer=customer):
        give_up(left, now)
    wallet_id = ledger.wallet_of(customer.id).id
    first = Voice.objects.filter(customer=customer, key=key).first()
    if first is None:
        try:
            reservation = _begin(voice, wallet_id, api_key_id)
        except IntegrityError:  # the same key in the same instant, or another voice in progress
            first = Voice.objects.filter(customer=customer, key=key).first()
            if first is None:
                raise InProgress from None
    if first is not None:
        return _again(first, voice)
    failure = UNEXPECTED
    try:
        _listen(settings, match)
        _finish(voice, reservation, clock(), api_key_id)
        failure = ""
    except (Refused, SpeechFailed) as error:
        failure = str(error)
        raise
    finally:
        if failure:
            _fail(voice, failure, clock())
        wake(wallet_id)
    return voice


def rename(*, customer: Customer, voice_id: str, name: str) -> None:
    """Give a voice another name. Raises Refused and UnknownVoice."""
    name = checked_name(name)
    if not _ready(customer, voice_id).update(name=name):
        raise UnknownVoice(voice_id)


def check_credits(customer: Customer, api_key_id: UUID | None, now: datetime) -> None:
    """Refuse a voice whose credits are not there now, before anybody's recording is looked at. What
    is there then, the reservation decides.

    Raises the ledger's InsufficientCredits, BudgetExceeded and WalletFrozen.
    """
    needed = plans.OWN_VOICE_CREDITS
    found = ledger.spendable(customer_id=customer.id, now=now)
    if found.is_frozen:
        raise ledger.WalletFrozen
    with events.refusals_told(customer.id, now):
        if api_key_id:
            budget = ledger.budgets.budget(api_key_id, now)
            if budget.remaining is not None and budget.remaining < needed:
                raise ledger.BudgetExceeded(api_key_id, budget, needed)
        if found.available < needed:
            raise ledger.InsufficientCredits(needed=needed, available=found.available)


def checked_name(name: str, of: str = "voice") -> str:
    """The name in its one form. Raises Refused."""
    try:
        return _name(name, of)
    except ValueError as error:
        raise Refused({"name": [str(error)]}) from error


def delete_tuned(*, customer: Customer, voice_id: str) -> None:
    """Delete a voice that was tuned by ear: it speaks no more, and its receipt stays.

    What was spoken with it stays, too. Raises UnknownVoice.
    """
    if not _ready(customer, voice_id).filter(match=None).update(state=Voice.State.REVOKED):
        raise UnknownVoice(voice_id)


def _ready(customer: Customer, voice_id: str) -> QuerySet[Voice]:
    return Voice.objects.filter(id=voice_id, customer=customer, state=Voice.State.READY)


def _listen(settings: Settings, match: VoiceMatch | None) -> None:
    """Have the voice speak. Raises Refused or SpeechFailed."""
    if match:
        preview_matched(settings, GREETING)
    else:
        preview(settings)


def forget_copies(voices: QuerySet[Voice]) -> None:
    """Forget where the copies among these voices are: nobody is to speak with them any more."""
    voices.filter(engine=copies.ENGINE).update(settings={})


def abandoned(now: datetime) -> QuerySet[Voice]:
    """Voices whose set-up was begun by a process that is gone."""
    return Voice.objects.filter(
        state=Voice.State.PENDING, created_at__lt=now - timedelta(seconds=ABANDONED_SECONDS)
    )


def give_up(voice: Voice, now: datetime) -> None:
    """Mark an abandoned set-up failed and give its credits back."""
    _fail(voice, UNEXPECTED, now)
    wake(ledger.wallet_of(voice.customer_id).id)


def _check(name: str, key: str, errors: dict[str, list[str]]) -> str:
    """The name in its one form. Raises Refused with the errors given, and those of name and key."""
    try:
        name = _name(name)
    except ValueError as error:
        errors["name"] = [str(error)]
    if not KEY.fullmatch(key):
        errors["key"] = [WRONG_KEY]
    if errors:
        raise Refused(errors)
    return name


def _name(name: str, of: str = "voice") -> str:
    """The name in its one form. Raises ValueError, in words for the customer."""
    wrong = f"Give the {of} a name of 1 to {NAME_CHARACTERS_MAX} characters."
    try:
        name = typed.normalise(name.strip(), characters_max=NAME_CHARACTERS_MAX)
    except typed.TooLong as error:
        raise ValueError(wrong) from error
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise ValueError(wrong)
    return name


def _begin(voice: Voice, wallet_id: int, api_key_id: UUID | None) -> ledger.Reserved:
    """The row and its reservation, in one transaction."""
    now = voice.created_at
    with events.refusals_told(voice.customer_id, now), transaction.atomic():
        voice.save(force_insert=True)
        return ledger.reserve(
            wallet_id=wallet_id,
            key=f"voice-{voice.id}",
            amount=voice.credits,
            now=now,
            api_key_id=api_key_id,
        )


def _again(first: Voice, wanted: Voice) -> Voice:
    """The answer to a key that was used before."""
    if any(
        getattr(first, field) != getattr(wanted, field) for field in ("name", "engine", "settings")
    ):
        raise KeyReused
    if first.state == Voice.State.PENDING:
        raise StillRunning(first.id)
    if first.state == Voice.State.FAILED:
        raise SpeechFailed(first.failure)
    return first


def _finish(
    voice: Voice, reservation: ledger.Reserved, now: datetime, api_key_id: UUID | None
) -> None:
    pending = Voice.objects.filter(id=voice.id, state=Voice.State.PENDING)
    try:
        with transaction.atomic():
            if not pending.update(state=Voice.State.READY, reservation_id=reservation.id):
                raise SpeechFailed("This took too long. Try again.")
            if voice.match_id and not _take(voice.match_id):
                raise SpeechFailed("This match is over: a voice of it was kept, or withdrawn.")
            if voice.match_id and voice.engine != copies.ENGINE:
                copies.let_go(voice.match_id, now)  # another candidate was kept
            data = {"voice": str(voice.id), "credits": voice.credits}
            emit(voice.customer_id, "voice.ready", str(voice.id), data, now)
            capture.capture_and_report(
                customer_id=voice.customer_id,
                reservation=reservation,
                transaction_id=f"vocalis-voice-{voice.id}",
                event_type="voice_cloning",
                properties={"voice_id": str(voice.id)},
                now=now,
                used=rollup.With(str(voice.id), voice.name, api_key_id),
            )
    except ledger.AlreadyResolved as error:
        raise SpeechFailed("This took too long. Try again.") from error
    voice.state, voice.reservation_id = Voice.State.READY, reservation.id


def _take(match_id: UUID) -> bool:
    """Whether the match is this voice's from now on. Of two voices one gets it; none if the consent
    was withdrawn.
    """
    ready = VoiceMatch.objects.filter(id=match_id, state=VoiceMatch.State.READY)
    return bool(ready.update(state=VoiceMatch.State.KEPT))


def _fail(voice: Voice, failure: str, now: datetime) -> None:
    with transaction.atomic():
        pending = Voice.objects.filter(id=voice.id, state=Voice.State.PENDING)
        if not pending.update(state=Voice.State.FAILED, failure=failure, match=None):
            return
        rows = Reservation.objects.open().filter(
            wallet__customer=voice.customer_id, key=f"voice-{voice.id}"
        )
        for reservation_id in rows.values_list("id", flat=True):
            with suppress(ledger.AlreadyResolved):
                ledger.release(reservation_id=reservation_id, now=now)

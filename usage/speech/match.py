"""Voice match: a sample of somebody's voice, and the nearest of our voices to choose from.

What is found here is not a copy of a person: a voice of the same kind, of those that Kokoro speaks
with. Where a speech server makes copies (`copies`), one is the first candidate. Nothing is charged
until a candidate is kept (`own_voice`).

A sample is compared in the request that brings it, in a helper process, and only in memory. It is
stored only where the customer wants it kept. What is left of a match that nobody keeps goes after
some hours; what a consent was given for goes when that is withdrawn (`withdrawal`).
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts.models import Customer
from jobs.clock import ticking
from usage import voiceprint
from usage.engines import missing
from usage.models import Voice, VoiceConsent, VoiceCopy, VoiceMatch
from usage.voiceprint import DescribeFailed, SampleRefused

from . import audio, candidates, consent, copies, own_voice
from .outcome import UNEXPECTED
from .problems import (
    KeyReused,
    MatchInProgress,
    Refused,
    SpeechFailed,
    StillRunning,
    TooManyMatches,
    UnknownMatch,
)
from .speak import KEY, WRONG_KEY

logger = logging.getLogger(__name__)

MATCHES_A_DAY = 10
CONSENT_BYTES_MAX = 1_500_000  # of its recording, if that is one of its own
# Nobody can still be at it: the helper has ended, the sample is stored, and the copy is made.
ABANDONED_SECONDS = voiceprint.ANSWER_SECONDS + 45 + copies.SECONDS_MAX
NOT_HERE = "Voice match does not work just now. Try again later."


def begin(
    *,
    customer: Customer,
    sample: bytes,
    consent_sha256: str,
    keeps_sample: bool,
    address: str,
    key: str,
    now: datetime,
    consent_recording: bytes = b"",
    recorded: VoiceConsent | None = None,
    only_copy: bool = False,
) -> VoiceMatch:
    """Compare the sample with our voices. The same key and sample again give the same match.

    `consent_sha256` is of the sentence that was shown, and "" if nobody agreed to it.
    `consent_recording` is of the phrase that some servers want alone (`consent.phrase`), or that of
    `recorded`, a consent that was given before. `only_copy`: where a server makes copies, our own
    voices will not do in its place. Costs nothing. Raises Refused (KeyReused among it),
    StillRunning, MatchInProgress, TooManyMatches and SpeechFailed; after any of them nothing is
    left of the sample.
    """
    sentence, server = consent.sentence(), copies.maker()
    _check(sample, consent_recording, consent_sha256, key, is_recorded=recorded is not None)
    clock = ticking(now)
    for left in abandoned(now).filter(customer=customer):
        give_up(left, now)
    body_hash = hashlib.sha256(sample + consent_recording).hexdigest()
    if first := VoiceMatch.objects.filter(customer=customer, key=key).first():
        return _again(first, body_hash)
    match = VoiceMatch(
        customer=customer, key=key, body_hash=body_hash, candidates=[], created_at=now
    )
    if keeps_sample:
        # Known before it is stored: what a killed process stored is found and deleted.
        match.sample = f"{customer.id}/sample-{match.id}.{voiceprint.kind(sample)}"
    try:
        with transaction.atomic():
            _refuse_too_many(customer, now)
            match.consent = _taken(recorded, now) or VoiceConsent.objects.create(
                customer=customer,
                sentence=sentence,
                sentence_sha256=consent_sha256,
                address=address,
                given_at=now,
            )
            match.save(force_insert=True)
            copy = copies.prepare(match, server, now) if server else None
    except IntegrityError:  # the same key in the same instant, or another match in progress
        if first := VoiceMatch.objects.filter(customer=customer, key=key).first():
            return _again(first, body_hash)
        raise MatchInProgress from None
    try:
        _make(match, copy, sample, consent_recording, only_copy)
    finally:
        if copy and (copy.failure or match.state != VoiceMatch.State.READY):
            copies.let_go_of(copy, clock())
    logger.info("voice match %s took %.1f seconds", match.id, (clock() - now).total_seconds())
    return match


def is_offered() -> bool:
    """Whether samples can be compared here and what is found can speak, or copies are made."""
    return finds_here() or copies.maker() is not None


def finds_here() -> bool:
    """Whether samples can be compared here, and what is found can speak."""
    return not (voiceprint.missing() or missing(voiceprint.STYLES_SPOKEN_BY))


def of(customer: Customer, match_id: UUID) -> VoiceMatch:
    """The customer's match of that id whose candidates can be heard. Raises UnknownMatch."""
    match = VoiceMatch.objects.filter(
        id=match_id, customer=customer, state__in=(VoiceMatch.State.READY, VoiceMatch.State.KEPT)
    ).first()
    if match is None:
        raise UnknownMatch
    return match


def newest(customer: Customer) -> VoiceMatch | None:
    """The customer's newest match, if its candidates still wait to be kept."""
    match = VoiceMatch.objects.filter(customer=customer).order_by("-created_at", "-id").first()
    return match if match and match.state == VoiceMatch.State.READY else None


def held(customer: Customer) -> QuerySet[VoiceMatch]:
    """Matches of which something is kept, newest first: what the customer may withdraw."""
    return (
        VoiceMatch.objects.filter(customer=customer)
        .filter(state__in=(VoiceMatch.State.READY, VoiceMatch.State.KEPT))
        .select_related("consent", "copy")
        .order_by("-created_at", "-id")
    )


def keep(
    *,
    customer: Customer,
    match_id: UUID,
    number: int,
    name: str,
    key: str,
    now: datetime,
    api_key_id: UUID | None = None,
) -> Voice:
    """Make a candidate the customer's own voice, for its credits.

    Raises UnknownMatch, and what `own_voice.set_up` raises.
    """
    match = of(customer, match_id)
    settings = candidates.settings_of(match, number)
    if match.state == VoiceMatch.State.KEPT and not match.voices.filter(key=key).exists():
        raise Refused({"candidate": ["You have kept a voice of this match. Make another match."]})
    return own_voice.set_up(
        customer=customer,
        name=name,
        settings=settings,
        key=key,
        now=now,
        match=match,
        api_key_id=api_key_id,
    )


def forget_sample(match: VoiceMatch) -> None:
    """Delete the sample alone. Raises OSError if the storage cannot."""
    if match.sample:
        audio.delete_sample(match.sample)
        # Only now: without its name the file could not be found any more.
        VoiceMatch.objects.filter(id=match.id).update(sample="")
        match.sample = ""


def abandoned(now: datetime) -> QuerySet[VoiceMatch]:
    """Matches whose process is gone."""
    return VoiceMatch.objects.filter(
        state=VoiceMatch.State.PENDING, created_at__lt=now - timedelta(seconds=ABANDONED_SECONDS)
    )


def give_up(match: VoiceMatch, now: datetime) -> None:
    """Mark an abandoned match failed, and delete what it stored."""
    _fail(match, UNEXPECTED)
    copies.let_go(match.id, now)


def _check(
    sample: bytes, consent_recording: bytes, consent_sha256: str, key: str, *, is_recorded: bool
) -> None:
    errors: dict[str, list[str]] = {}
    if not KEY.fullmatch(key):
        errors["key"] = [WRONG_KEY]
    if not consent_sha256:
        errors["consent"] = ["Read the sentence aloud in the sample, and tick that you agree."]
    elif consent_sha256 != consent.sha256(consent.sentence()):
        errors["consent"] = [consent.CHANGED_SINCE if is_recorded else consent.CHANGED]
    if not sample:
        errors["sample"] = [voiceprint.WORDS["empty"]]
    if consent.phrase() and not consent_recording:
        errors["consent_recording"] = [voiceprint.WORDS["empty"]]
    elif len(consent_recording) > CONSENT_BYTES_MAX and not is_recorded:
        errors["consent_recording"] = ["It has more than 1.5 MB. Send a shorter one, or an mp3."]
    if errors:
        raise Refused(errors)


def _taken(recorded: VoiceConsent | None, now: datetime) -> VoiceConsent | None:
    """The consent for one more sample. Raises Refused if it was withdrawn meanwhile."""
    if recorded:
        given = VoiceConsent.objects.filter(id=recorded.id, revoked_at=None)
        if not given.update(used_at=now):  # and it is not withdrawn until the match is there
            raise Refused({"consent": [consent.UNKNOWN]})
    return recorded


def _refuse_too_many(customer: Customer, now: datetime) -> None:
    of_today = VoiceMatch.objects.filter(customer=customer, created_at__gt=now - timedelta(days=1))
    times = list(of_today.order_by("-created_at").values_list("created_at", flat=True))
    if len(times) >= MATCHES_A_DAY:
        raise TooManyMatches(times[MATCHES_A_DAY - 1] + timedelta(days=1) - now)


def _again(first: VoiceMatch, body_hash: str) -> VoiceMatch:
    """The answer to a key that was used before."""
    if first.body_hash != body_hash:
        raise KeyReused
    if first.state == VoiceMatch.State.PENDING:
        raise StillRunning(first.id)
    if first.state == VoiceMatch.State.FAILED:
        raise SpeechFailed(first.failure)
    return first


def _make(
    match: VoiceMatch,
    copy: VoiceCopy | None,
    sample: bytes,
    consent_recording: bytes,
    only_copy: bool,
) -> None:
    failure = UNEXPECTED
    try:
        seconds = _compare(match, sample)
        if match.sample:
            audio.store_sample(match.sample, sample)
        if copy:
            try:
                consented = consent_recording or sample
                copies.make(copy, sample, consented=consented, seconds=seconds)
                match.candidates = [{"copy": copy.label}, *match.candidates]
            except copies.CopyFailed as error:
                logger.info("voice match %s is without a copy", match.id)
                if only_copy:
                    raise _of_copy(error) from error
        if not match.candidates:
            raise SpeechFailed((copy and copy.failure) or NOT_HERE)
        ready = {"candidates": match.candidates, "embedding": match.embedding}
        if not _pending(match).update(state=VoiceMatch.State.READY, **ready):
            raise SpeechFailed("The consent was withdrawn, or this took too long. Try again.")
        match.state = VoiceMatch.State.READY
        failure = ""
    except SampleRefused as error:
        failure = str(error)
        raise Refused({"sample": [failure]}) from error
    except DescribeFailed as error:
        logger.warning("voice match %s: %s", match.id, error)
        failure = "The sample could not be compared just now. Try again in a moment."
        raise SpeechFailed(failure) from error
    except (Refused, SpeechFailed) as error:
        failure = str(error)
        raise
    finally:
        if failure:
            _fail(match, failure)


def _of_copy(error: copies.CopyFailed) -> Refused | SpeechFailed:
    """Another recording is wanted, or another moment."""
    words = str(error)
    return Refused({"sample": [words]}) if error.is_of_recording else SpeechFailed(words)


def _compare(match: VoiceMatch, sample: bytes) -> float:
    """With our voices, where they can speak. Returns the length of the sample in seconds, 0 if it
    was not compared. Raises SampleRefused and DescribeFailed.
    """
    if not finds_here():
        voiceprint.check_size(sample)
        return 0
    described = voiceprint.describe(sample)
    match.candidates, match.embedding = candidates.nearest(described), described.embedding
    return described.seconds


def _fail(match: VoiceMatch, failure: str) -> None:
    _pending(match).update(state=VoiceMatch.State.FAILED, failure=failure)
    if match.sample:
        try:
            forget_sample(match)
        except OSError:  # it is tried again when the match is forgotten
            logger.exception("the sample of voice match %s could not be deleted", match.id)


def _pending(match: VoiceMatch) -> QuerySet[VoiceMatch]:
    return VoiceMatch.objects.filter(id=match.id, state=VoiceMatch.State.PENDING)

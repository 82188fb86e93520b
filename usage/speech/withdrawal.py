"""What was made of somebody's voice goes again: with the consent, with the voice, unkept after a
day, or with the customer.

What is at a speech server a worker deletes there (`copies`). Files of ours go first, because they
are found by their rows; whoever meets an OSError tries again.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q, QuerySet

from accounts.models import Customer
from usage.models import Voice, VoiceConsent, VoiceMatch

from . import audio, copies, own_voice
from .match import abandoned, forget_sample, give_up
from .problems import MatchInProgress, UnknownMatch

logger = logging.getLogger(__name__)

UNKEPT_HOURS = 24


class _Kept(Exception):
    """A voice is being made of the match."""


def revoke(*, customer: Customer, match_id: UUID, now: datetime) -> None:
    """Withdraw the consent of a match. Twice is as once.

    Raises UnknownMatch, and as `revoke_consent`.
    """
    match = VoiceMatch.objects.filter(id=match_id, customer=customer).first()
    if match is None:
        raise UnknownMatch
    revoke_consent(match.consent, now)


def revoke_consent(consent: VoiceConsent, now: datetime) -> None:
    """Withdraw a consent: its recording, samples and embeddings go, voices made of them speak no
    more, and a worker deletes the copies at their server.

    Raises OSError if a file cannot be deleted: then everything else is gone, and the same again
    tries that file.
    """
    with transaction.atomic():
        # Who begins a match under it does so before this update, or not at all.
        VoiceConsent.objects.filter(id=consent.id, revoked_at=None).update(revoked_at=now)
        matches = list(VoiceMatch.objects.filter(consent=consent))
        for match in matches:
            _end(match, now)
    for match in matches:
        forget_sample(match)
    _forget_recording(consent)
    _delete_unused(consent.id)


def delete_voice(*, customer: Customer, voice_id: str, now: datetime) -> None:
    """Delete an own voice with all that was computed for it. A consent that came with its sample is
    withdrawn; a recorded one is there until it is withdrawn itself.

    Raises UnknownVoice, and as `revoke_consent`.
    """
    ready = Voice.objects.filter(id=voice_id, customer=customer, state=Voice.State.READY)
    match_id = ready.values_list("match_id", flat=True).first()
    if match_id is None:
        return own_voice.delete_tuned(customer=customer, voice_id=voice_id)
    match = VoiceMatch.objects.select_related("consent").get(id=match_id)
    if not match.consent.recording:
        return revoke_consent(match.consent, now)
    with transaction.atomic():
        _end(match, now)
    forget_sample(match)


def _end(match: VoiceMatch, now: datetime) -> None:
    VoiceMatch.objects.filter(id=match.id).update(
        state=VoiceMatch.State.REVOKED, candidates=[], embedding=None, body_hash=""
    )
    own_voice.forget_copies(Voice.objects.filter(match=match))
    Voice.objects.filter(match=match, state=Voice.State.READY).update(state=Voice.State.REVOKED)
    copies.forget(match.id, now)


def forgettable(now: datetime) -> QuerySet[VoiceMatch]:
    """Matches of which no voice was made within UNKEPT_HOURS."""
    return VoiceMatch.objects.filter(
        ~Q(state=VoiceMatch.State.KEPT),
        created_at__lt=now - timedelta(hours=UNKEPT_HOURS),
        voices=None,
    ).exclude(state=VoiceMatch.State.PENDING)


def forget(match: VoiceMatch, now: datetime) -> None:
    """Delete the match, and its consent unless that is a recorded one or has other matches. Nothing
    if somebody keeps the match in this moment.

    Raises OSError if the sample cannot be deleted.
    """
    forget_sample(match)
    try:
        with transaction.atomic():
            copies.forget(match.id, now)
            if not VoiceMatch.objects.filter(id=match.id, voices=None).delete()[0]:
                raise _Kept
            _delete_unused(match.consent_id)
    except (IntegrityError, ProtectedError, _Kept):
        logger.info("voice match %s is being kept", match.id)


def forget_all(customer: Customer, now: datetime) -> None:
    """Delete all of a customer's matches and consents, for one who wants to be forgotten.

    Raises MatchInProgress, and OSError if a file cannot be deleted.
    """
    for left in abandoned(now).filter(customer=customer):
        give_up(left, now)
    if VoiceMatch.objects.filter(customer=customer, state=VoiceMatch.State.PENDING).exists():
        raise MatchInProgress
    own_voice.forget_copies(Voice.objects.filter(customer=customer))
    Voice.objects.filter(customer=customer).update(match=None)
    for consent in VoiceConsent.objects.filter(customer=customer):
        _forget_recording(consent)
    for match in VoiceMatch.objects.filter(customer=customer):
        forget(match, now)
    VoiceConsent.objects.filter(customer=customer, matches=None).delete()


def _forget_recording(consent: VoiceConsent) -> None:
    if consent.recording:
        audio.delete_sample(consent.recording)
        # Only now: without its name the file could not be found any more.
        VoiceConsent.objects.filter(id=consent.id).update(recording="", body_hash="")
        consent.recording = ""


def _delete_unused(consent_id: UUID) -> None:
    """A row says for what somebody agreed, as long as there is something of it."""
    VoiceConsent.objects.filter(id=consent_id, recording="", matches=None).delete()

"""Consents that a program records: somebody reads the sentence aloud, alone in a recording, and any
number of samples of that voice may then be sent under it (`clone`).

What is recorded is checked as sound with speech in it; nobody listens to what is said. It is kept,
with the sentence as it had to be read, until the customer withdraws it (`withdrawal`).
"""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts.models import Customer
from usage import voiceprint
from usage.engines.remote.clones import media_type
from usage.models import VoiceConsent
from usage.voiceprint import DescribeFailed, SampleRefused

from . import audio, consent, copies, own_voice
from .problems import (
    AudioUnreachable,
    KeyReused,
    Refused,
    SpeechFailed,
    TooManyConsents,
    UnknownConsent,
)
from .speak import KEY, WRONG_KEY

logger = logging.getLogger(__name__)

CONSENTS_MAX = 100  # of a customer
LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{1,8})*", re.IGNORECASE)
LANGUAGE_CHARACTERS_MAX = 35
NOT_THERE = "The recording of this consent is not there. Record it anew."


def to_read() -> str:
    """What has to be read aloud in a recording that is given now."""
    return consent.phrase() or consent.sentence()


def give(
    *,
    customer: Customer,
    name: str,
    language: str,
    recording: bytes,
    address: str,
    key: str,
    now: datetime,
) -> VoiceConsent:
    """Keep the recording of a consent. The same key and request again give the same consent.

    Costs nothing. Raises Refused (KeyReused among it), TooManyConsents, SpeechFailed, and
    UnknownConsent if it is withdrawn meanwhile; after any of them nothing is kept.
    """
    name = _check(name, language, recording, key)
    body_hash = hashlib.sha256("\n".join((name, language, "")).encode() + recording).hexdigest()
    of_key = VoiceConsent.objects.filter(customer=customer, key=key)
    if first := of_key.first():
        return _again(first, body_hash, recording)
    _listen(recording)
    consent_id = uuid.uuid4()
    sentence = consent.sentence()
    given = VoiceConsent(
        id=consent_id,
        customer=customer,
        sentence=sentence,
        sentence_sha256=consent.sha256(sentence),
        address=address,
        name=name,
        language=language,
        # Known before it is stored: what a killed process stored is found and deleted.
        recording=f"{customer.id}/consent-{consent_id}.{voiceprint.kind(recording)}",
        key=key,
        body_hash=body_hash,
        given_at=now,
    )
    try:
        with transaction.atomic():
            if kept(customer).count() >= CONSENTS_MAX:
                raise TooManyConsents(CONSENTS_MAX)
            given.save(force_insert=True)
    except IntegrityError:  # the same key in the same instant
        return _again(of_key.get(), body_hash, recording)
    try:
        audio.store_sample(given.recording, recording)
    except SpeechFailed:
        given.delete()
        raise
    if not kept(customer).filter(id=given.id).exists():  # withdrawn while it was stored
        audio.delete(given.recording)
        raise UnknownConsent
    return given


def kept(customer: Customer) -> QuerySet[VoiceConsent]:
    """The recorded consents that are not withdrawn, newest first."""
    rows = VoiceConsent.objects.filter(customer=customer, revoked_at=None).exclude(recording="")
    return rows.order_by("-given_at", "-id")


def of(customer: Customer, consent_id: str) -> VoiceConsent:
    """The recorded consent of that id. Raises UnknownConsent."""
    try:
        return kept(customer).get(id=UUID(consent_id))
    except (ValueError, VoiceConsent.DoesNotExist):
        raise UnknownConsent from None


def rename(given: VoiceConsent, name: str) -> None:
    """Give a recorded consent another name. Raises Refused."""
    given.name = own_voice.checked_name(name, "consent")
    kept(given.customer).filter(id=given.id).update(name=given.name)


def recording_of(given: VoiceConsent) -> bytes:
    """Raises Refused if it is lost."""
    try:
        with audio.open_sample(given.recording) as file:
            data: bytes = file.read()
    except AudioUnreachable as error:
        raise Refused({"consent": [NOT_THERE]}) from error
    return data


def _again(first: VoiceConsent, body_hash: str, recording: bytes) -> VoiceConsent:
    """The answer to a key that was used before."""
    if first.body_hash != body_hash or first.revoked_at:
        raise KeyReused
    if not audio.has_sample(first.recording):  # who was at it was killed
        audio.store_sample(first.recording, recording)
    return first


def _check(name: str, language: str, recording: bytes, key: str) -> str:
    """The name in its one form. Raises Refused."""
    errors: dict[str, list[str]] = {}
    try:
        name = own_voice.checked_name(name, "consent")
    except Refused as error:
        errors.update(error.errors)
    if not LANGUAGE.fullmatch(language) or len(language) > LANGUAGE_CHARACTERS_MAX:
        errors["language"] = ["Send the language of the recording as a BCP 47 tag, like en-US."]
    elif language.lower().partition("-")[0] != copies.LANGUAGE:
        errors["language"] = ["The sentence is in English. Have it read in English: en, or en-US."]
    if not recording:
        errors["recording"] = [f"Send a recording of this sentence, read aloud: “{to_read()}”"]
    if not KEY.fullmatch(key):
        errors["key"] = [WRONG_KEY]
    if errors:
        raise Refused(errors)
    return name


def _listen(recording: bytes) -> None:
    """Whether somebody speaks in it. Raises Refused and SpeechFailed."""
    try:
        if voiceprint.missing():
            voiceprint.check_size(recording, voiceprint.SENTENCE)
            if not media_type(recording):
                raise SampleRefused("unknown", voiceprint.SENTENCE)
        else:
            voiceprint.describe(recording, voiceprint.SENTENCE)
    except SampleRefused as error:
        raise Refused({"recording": [str(error)]}) from error
    except DescribeFailed as error:
        logger.warning("the recording of a consent: %s", error)
        words = "The recording could not be read just now. Try again in a moment."
        raise SpeechFailed(words) from error

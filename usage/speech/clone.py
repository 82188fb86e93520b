"""A voice of a recording in one step, for programs: they cannot hear candidates and choose.

It is a match (`match`) of which the first candidate is kept (`own_voice`): the copy of a server
that makes copies, or the nearest of our voices where there is no such server. If the copy cannot be
made there is no voice and nothing is charged: nobody who asked for a copy gets another voice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Customer
from jobs.clock import ticking
from usage.models import Voice, VoiceConsent, VoiceMatch

from . import consent, consents, copies, match, own_voice
from .asked import Asked
from .problems import Refused, UnknownConsent

COPY, NEAREST = "copy", "nearest"


@dataclass(frozen=True, slots=True)
class Made:
    """A voice that is ready. `is_new`: this request made it, and paid for it."""

    voice: Voice
    is_new: bool


def kind() -> str:
    """What a voice that is made now will be: COPY or NEAREST."""
    return COPY if copies.maker() else NEAREST


def make(
    *,
    customer: Customer,
    name: str,
    sample: bytes,
    agreed: str,
    address: str,
    key: str,
    now: datetime,
    asked: Asked,
) -> Made:
    """Make the voice for its credits. The same key and request again give the same voice, free; a
    request that failed may be tried again with its key.

    `agreed` is the sentence that the speaker agrees to (`consent.sentence`), its SHA-256, or the id
    of a recorded consent. Raises what `match.begin` and `own_voice.set_up` raise; after any of it
    nothing is charged.
    """
    clock = ticking(now)
    name = own_voice.checked_name(name)
    recorded = _recorded(customer, agreed)
    key = asked.keys + key
    if not _is_made(customer, key):
        own_voice.check_credits(customer, asked.api_key_id, now)
    _set_aside(customer, key)
    begun = match.begin(
        customer=customer,
        sample=sample,
        consent_sha256=recorded.sentence_sha256 if recorded else _sha256(agreed),
        keeps_sample=False,
        address=address,
        key=key,
        now=now,
        consent_recording=consents.recording_of(recorded) if recorded else b"",
        recorded=recorded,
        only_copy=True,
    )
    is_new = not _is_made(customer, key)
    voice = match.keep(
        customer=customer,
        match_id=begun.id,
        number=0,
        name=name,
        key=key,
        now=clock(),  # a copy takes longer than a voice may be in the making
        api_key_id=asked.api_key_id,
    )
    return Made(voice, is_new)


def _recorded(customer: Customer, agreed: str) -> VoiceConsent | None:
    """The recorded consent that is meant, if one is. Raises Refused."""
    sentence, phrase, maker = consent.sentence(), consent.phrase(), copies.maker()
    if agreed in (sentence, consent.sha256(sentence)) and not phrase:
        return None
    try:
        return consents.of(customer, agreed)
    except UnknownConsent:
        pass
    if phrase and maker:
        words = f"{maker.label} wants the consent in a recording of its own: “{phrase}” Record it "
        raise Refused({"consent": [f"{words}as a voice consent, and send its id."]})
    words = f"Send the sentence that the speaker agrees to: “{sentence}” Or send the id of a "
    raise Refused({"consent": [f"{words}recorded consent."]})


def _sha256(agreed: str) -> str:
    return consent.sha256(agreed) if agreed == consent.sentence() else agreed


def _is_made(customer: Customer, key: str) -> bool:
    return Voice.objects.filter(customer=customer, key=key, state=Voice.State.READY).exists()


def _set_aside(customer: Customer, key: str) -> None:
    """What failed gives its key back."""
    for row in VoiceMatch.objects.filter(
        customer=customer, key=key, state=VoiceMatch.State.FAILED
    ).only("id"):
        VoiceMatch.objects.filter(id=row.id).update(key=f"failed-{row.id}")
    for voice in Voice.objects.filter(customer=customer, key=key, state=Voice.State.FAILED).only(
        "id"
    ):
        Voice.objects.filter(id=voice.id).update(key=f"failed-{voice.id}")

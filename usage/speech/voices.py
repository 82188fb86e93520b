"""The voices one can speak with: those of the house, and a customer's own."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from accounts.models import Customer
from usage.engines import Settings
from usage.models import Voice, VoiceType

from . import pricing
from .problems import UnknownVoice


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice ready to speak, whoever made it."""

    id: str
    name: str
    type: VoiceType
    engine: str
    settings: Settings
    description: str = ""

    @property
    def credits_per_character(self) -> int:
        return pricing.CREDITS_PER_CHARACTER[self.type]


HOUSE: dict[str, Speaker] = {
    speaker.id: speaker
    for speaker in (
        Speaker(
            "standard-ava",
            "Ava",
            VoiceType.STANDARD,
            "espeak",
            {"variant": "en-us+f4"},
            "American, calm",
        ),
        Speaker(
            "standard-oliver",
            "Oliver",
            VoiceType.STANDARD,
            "espeak",
            {"variant": "en-gb-x-rp"},
            "British, plain",
        ),
        Speaker(
            "premium-nora",
            "Nora",
            VoiceType.PREMIUM,
            "espeak",
            {"variant": "en-us+Annie", "pitch": 45, "range": 60, "pace": 160},
            "American, clear and lively",
        ),
        Speaker(
            "premium-theo",
            "Theo",
            VoiceType.PREMIUM,
            "espeak",
            {"variant": "en-us+Michael", "pitch": 42, "range": 58, "pace": 155},
            "American, full and unhurried",
        ),
    )
}


def resolve(customer: Customer, voice_id: str) -> Speaker:
    """The voice of that id; "standard" and "premium" mean the first house voice of the tier.

    Raises UnknownVoice.
    """
    for speaker in HOUSE.values():
        if voice_id in (speaker.id, speaker.type):
            return speaker
    try:
        own = Voice.objects.get(id=uuid.UUID(voice_id), customer=customer, state=Voice.State.READY)
    except (ValueError, Voice.DoesNotExist) as error:
        raise UnknownVoice(voice_id) from error
    return own_speaker(own)


def of(customer: Customer) -> list[Speaker]:
    """The customer's own voices, oldest first."""
    return [
        own_speaker(voice)
        for voice in customer.voices.filter(state=Voice.State.READY).order_by("created_at", "id")
    ]


def own_speaker(voice: Voice) -> Speaker:
    return Speaker(
        str(voice.id), voice.name, VoiceType.STANDARD, voice.engine, voice.settings, "Your own"
    )

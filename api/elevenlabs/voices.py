"""Voices in ElevenLabs' shape: of the house, of a customer's own, and by an id of theirs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.templatetags.static import static

from accounts.models import Customer
from api.failures import Failure
from usage.models import Voice
from usage.speech import voices
from usage.speech.problems import UnknownVoice
from usage.speech.voices import Speaker

from . import aliases

# What their clients may ask for and we have no use for, with what they expect to read.
SETTINGS: dict[str, Any] = {
    "stability": 0.5,
    "similarity_boost": 0.75,
    "style": 0.0,
    "use_speaker_boost": True,
    "speed": 1.0,
}
PREMADE, CLONED, GENERATED = "premade", "cloned", "generated"
GENDERS = {"woman": "female", "man": "male"}


def find(customer: Customer, voice_id: str, model_id: str | None = None) -> Speaker:
    """The voice of that id: one of ours, one of the customer's own, or one that an id of theirs
    means with this model.

    Raises Failure if there is none.
    """
    try:
        return voices.resolve(customer, voice_id)
    except UnknownVoice:
        if alias := aliases.find(voice_id):
            return aliases.speaker(alias, model_id)
    raise Failure(
        404,
        "unknown_voice",
        f"There is no voice {voice_id[:60]!r}. GET /v1/voices lists those there are.",
        details={"param": "voice_id"},
    )


def own(customer: Customer, voice_id: str) -> Speaker:
    """A voice of the customer's own, which may be changed. Raises Failure."""
    speaker = find(customer, voice_id)
    if is_own(speaker):
        return speaker
    raise Failure(403, "voice_not_owned", "Only voices of your own can be changed or deleted.")


def is_own(speaker: Speaker) -> bool:
    return speaker.id not in voices.HOUSE and not speaker.id.startswith(voices.REMOTE)


def listed(customer: Customer) -> list[tuple[Speaker, Voice | None]]:
    """All that a customer can speak with: the house's, then their own with their rows."""
    rows = customer.voices.filter(state=Voice.State.READY).order_by("created_at", "id")
    house: list[tuple[Speaker, Voice | None]] = [(speaker, None) for speaker in voices.house()]
    return house + [(voices.own_speaker(row), row) for row in rows]


def row_of(customer: Customer, speaker: Speaker) -> Voice | None:
    """The row of a voice, if it is the customer's own."""
    return customer.voices.filter(id=speaker.id).first() if is_own(speaker) else None


def category(row: Voice | None) -> str:
    """Where a voice comes from; None is the house's."""
    if row is None:
        return PREMADE
    return CLONED if row.match_id else GENERATED


def shown(speaker: Speaker, row: Voice | None, voice_id: str = "") -> dict[str, Any]:
    """A voice as the lists have it. `voice_id`: as it was asked for, if by an alias."""
    sample = speaker.sample
    return {
        "voice_id": voice_id or speaker.id,
        "name": speaker.name,
        "samples": None,
        "category": category(row),
        "labels": _labels(speaker),
        "description": speaker.description,
        "preview_url": f"{settings.SITE_URL}{static(sample)}" if sample else None,
        "available_for_tiers": [],
        "settings": SETTINGS,
        "sharing": None,
        "high_quality_base_model_ids": [],
        "is_owner": row is not None,
        "is_legacy": False,
        "is_mixed": False,
        "created_at_unix": int(row.created_at.timestamp()) if row else None,
        "credits_per_character": speaker.credits_per_character,
    }


def _labels(speaker: Speaker) -> dict[str, str]:
    """What the description says, under the names that their clients filter by."""
    labels = {"language": speaker.language, "tier": str(speaker.type), "use_case": "narration"}
    character = []
    for number, part in enumerate(speaker.description.split(", ")):
        if part in GENDERS:
            labels["gender"] = GENDERS[part]
        elif number == 0 and "own" not in part:
            labels["accent"] = part.lower()
        elif part:
            character.append(part)
    if character:
        labels["description"] = ", ".join(character)
    return labels

"""`/v1/models` in ElevenLabs' shape: the names that programs choose from.

All of them are taken. A model only chooses the tier of a voice that is named as ElevenLabs names it
(`aliases`): by its own id a voice of ours sounds and costs the same with each.
"""

from __future__ import annotations

from typing import Any

from usage.models import VoiceType
from usage.speech import voices
from usage.text import MAX_CHARACTERS

from . import aliases

MODELS = {
    "eleven_multilingual_v2": "Eleven Multilingual v2",
    "eleven_flash_v2_5": "Eleven Flash v2.5",
    "eleven_turbo_v2_5": "Eleven Turbo v2.5",
    "eleven_v3": "Eleven v3",
    "eleven_flash_v2": "Eleven Flash v2",
    "eleven_turbo_v2": "Eleven Turbo v2",
    "eleven_multilingual_v1": "Eleven Multilingual v1",
    "eleven_monolingual_v1": "Eleven English v1",
}
DEFAULT = next(iter(MODELS))
DESCRIPTIONS = {
    VoiceType.STANDARD: "Speaks with standard voices where a voice is named as ElevenLabs does. A "
    "voice by its own id keeps its sound and price.",
    VoiceType.PREMIUM: "Speaks with premium voices where a voice is named as ElevenLabs does. A "
    "voice by its own id keeps its sound and price.",
}


def listed() -> list[dict[str, Any]]:
    """All models, as a bare list has them."""
    languages = _languages()
    return [_shown(model_id, name, languages) for model_id, name in MODELS.items()]


def _shown(model_id: str, name: str, languages: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "name": name,
        "description": DESCRIPTIONS[aliases.tier(model_id)],
        "can_be_finetuned": False,
        "can_do_text_to_speech": True,
        "can_do_voice_conversion": False,
        "can_use_style": False,
        "can_use_speaker_boost": False,
        "serves_pro_voices": False,
        "token_cost_factor": 1.0,
        "requires_alpha_access": False,
        "max_characters_request_free_user": MAX_CHARACTERS,
        "max_characters_request_subscribed_user": MAX_CHARACTERS,
        "maximum_text_length_per_request": MAX_CHARACTERS,
        "languages": languages,
        "model_rates": {"character_cost_multiplier": 1.0},
        "concurrency_group": "standard",
    }


def _languages() -> list[dict[str, str]]:
    """The languages of the voices that can speak here, English first; never none."""
    spoken = {voices.DEFAULT.language: voices.DEFAULT.language_name}
    spoken |= {voice.language: voice.language_name for voice in voices.house()}
    return [{"language_id": code, "name": name} for code, name in spoken.items()]

"""What speech costs. The page and its script, the form without script, and the API all ask here."""

from __future__ import annotations

from billing import plans
from usage.models import VoiceType

CREDITS_PER_CHARACTER: dict[str, int] = {
    VoiceType.STANDARD: plans.STANDARD_CREDITS,
    VoiceType.PREMIUM: plans.PREMIUM_CREDITS,
}


def credits(characters: int, voice_type: str) -> int:
    """Credits for so many characters of the normalised text, as `usage.text.count` counts them."""
    return characters * CREDITS_PER_CHARACTER[voice_type]

"""The model names that OpenAI's clients send. A name only chooses the tier of a voice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from usage.models import VoiceType

# Every name that their service has had for speech. They are taken, whichever is sent.
MODELS = {
    "tts-1": VoiceType.STANDARD,
    "tts-1-1106": VoiceType.STANDARD,
    "tts-1-hd": VoiceType.PREMIUM,
    "tts-1-hd-1106": VoiceType.PREMIUM,
    "gpt-4o-mini-tts": VoiceType.STANDARD,
    "gpt-4o-mini-tts-2025-03-20": VoiceType.STANDARD,
    "gpt-4o-mini-tts-2025-12-15": VoiceType.STANDARD,
}
# Since when they are taken here: clients demand a time.
CREATED = int(datetime(2026, 11, 28, tzinfo=UTC).timestamp())


def listed(model: str) -> dict[str, Any]:
    """A model as their clients read it."""
    return {"id": model, "object": "model", "created": CREATED, "owned_by": "vocalis"}

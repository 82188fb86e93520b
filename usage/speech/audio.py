"""The audio files of generations, in the default file storage."""

from __future__ import annotations

from usage.engines import WAV
from usage.models import Generation

EXTENSIONS = {WAV: "wav"}  # by content type


def name_for(generation: Generation) -> str:
    """The name its audio is stored under. Each attempt has its own, known before it begins: so what a killed process
    stored can be found and deleted."""
    attempt = int(generation.taken_at.timestamp() * 1_000)
    return f"{generation.customer_id}/{generation.id}-{attempt:x}.{EXTENSIONS[generation.content_type]}"


def download_name(generation: Generation) -> str:
    return f"vocalis-{generation.id}.{EXTENSIONS[generation.content_type]}"

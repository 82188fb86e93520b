"""How long a text will sound, about: by how many characters of it each voice says in a second.

Those of the house voices are measured on their samples by `render_voice_samples` and kept in
paces.json. A voice without a sample is taken for the middle one of its price class.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from statistics import median

from . import pricing
from .voices import HOUSE, Speaker

FILE = Path(__file__).with_name("paces.json")


def _of_house() -> dict[str, float]:
    found: dict[str, float] = json.loads(FILE.read_text())
    return found


MEASURED = _of_house()


def of(speaker: Speaker) -> float:
    """Characters a second at the usual speed, spaces and marks included."""
    return MEASURED.get(speaker.id) or of_type(speaker.type)


@cache
def of_type(voice_type: str) -> float:
    """The middle one of the voices of this price class."""
    return median(pace for id_, pace in MEASURED.items() if HOUSE[id_].type == voice_type)


def seconds(characters: int, speaker: Speaker, speed: float) -> float:
    """How long so many characters sound, about."""
    return characters / (of(speaker) * speed)


def seconds_of_credits(credits: int, voice_type: str) -> float:
    """How long the speech is that so many credits buy at this price class, about."""
    return credits / pricing.CREDITS_PER_CHARACTER[voice_type] / of_type(voice_type)


def characters_in(seconds: float, voice_type: str) -> int:
    """How many characters a voice of this price class says in that time, about."""
    return round(seconds * of_type(voice_type))

"""Jobs that fail what a killed process left pending and no request has taken over.

Without them it would stay pending for ever.
"""

from __future__ import annotations

from datetime import datetime

from jobs.worker import BatchJob

from . import own_voice, speak

BATCH = 20


def give_up_generations(now: datetime) -> int:
    generations = list(speak.abandoned(now)[:BATCH])
    for generation in generations:
        speak.give_up(generation, now)
    return len(generations)


def give_up_voices(now: datetime) -> int:
    voices = list(own_voice.abandoned(now)[:BATCH])
    for voice in voices:
        own_voice.give_up(voice, now)
    return len(voices)


GIVE_UP_GENERATIONS = BatchJob("generations.give_up", speak.abandoned, give_up_generations)
GIVE_UP_VOICES = BatchJob("voices.give_up", own_voice.abandoned, give_up_voices)

"""Jobs that fail what a killed process left pending and no request has taken over.

Without them it would stay pending for ever.
"""

from __future__ import annotations

from datetime import datetime

from jobs.worker import BatchJob

from . import match, own_voice, speak, withdrawal

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


def give_up_matches(now: datetime) -> int:
    matches = list(match.abandoned(now)[:BATCH])
    for each in matches:
        match.give_up(each, now)
    return len(matches)


def forget_matches(now: datetime) -> int:
    """Delete what is left of matches that nobody kept. A sample that cannot be deleted fails the
    job, which is tried again.
    """
    matches = list(withdrawal.forgettable(now)[:BATCH])
    for each in matches:
        withdrawal.forget(each, now)
    return len(matches)


GIVE_UP_GENERATIONS = BatchJob("generations.give_up", speak.abandoned, give_up_generations)
GIVE_UP_VOICES = BatchJob("voices.give_up", own_voice.abandoned, give_up_voices)
GIVE_UP_MATCHES = BatchJob("matches.give_up", match.abandoned, give_up_matches)
FORGET_MATCHES = BatchJob("matches.forget", withdrawal.forgettable, forget_matches)

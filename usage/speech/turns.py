"""How long a worker may take for a text, and which of several texts it speaks next."""

from __future__ import annotations

from datetime import datetime, timedelta

from usage.models import Generation, LongSpeech
from usage.text import MAX_CHARACTERS

from . import manner as manners

TOTAL_SECONDS = 3_600  # from being asked for, for a text of MAX_CHARACTERS; then it has failed
# A third of what the slowest voices speak on a free core: a text may have to share it.
LEAST_CHARACTERS_A_SECOND = 10
# What they speak in a second. A faster one only gives its row back as if it had taken so long.
USUAL_CHARACTERS_A_SECOND = 30


def total_seconds(generation: Generation) -> int:
    """How long it may take from being asked for, the wait for other texts included."""
    more = max(0, generation.characters - MAX_CHARACTERS)
    pace = manners.pace(manners.speed_of(generation))
    return TOTAL_SECONDS + int(more / LEAST_CHARACTERS_A_SECOND / pace)


def turn(row: LongSpeech, generation: Generation, now: datetime) -> datetime:
    """When a text that is given back is due again: never later than now.

    The first MAX_CHARACTERS of each text are spoken in the order in which the texts were asked for.
    With what it has beyond that, a text waits as if it had been asked for later, by the time it has
    taken: so a book lets a page pass, and two books share the worker.
    """
    asked_at = (generation.is_making_again and generation.again_at) or generation.taken_at
    beyond = max(0, row.characters_spoken - MAX_CHARACTERS)
    return min(now, asked_at + timedelta(seconds=beyond / USUAL_CHARACTERS_A_SECOND))

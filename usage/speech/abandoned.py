"""Steps that end what a killed process began and nobody came back for, so that nothing hangs for ever."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from . import own_voice, speak

BATCH = 20


@dataclass(frozen=True)
class Abandoned:
    name: str
    due: Callable[[datetime], QuerySet[Any]]
    give_up: Callable[[Any, datetime], None]

    def run(self, now: datetime) -> int:
        rows = list(self.due(now)[:BATCH])
        for row in rows:
            self.give_up(row, now)
        return len(rows)


GENERATIONS = Abandoned("abandoned-generations", speak.abandoned, speak.give_up)
VOICES = Abandoned("abandoned-voices", own_voice.abandoned, own_voice.give_up)

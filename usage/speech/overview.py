"""How the speech engines are, for operators: what this machine lacks, which voices that hides, and
how the helpers of this process do. Starts no engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from usage.engines import Status, missing, statuses
from usage.models import Voice, VoiceType

from . import own_voice
from .voices import DEFAULT, HOUSE

REMOTE = "remote"  # its voices are those of the servers that are set
RESTING = "can speak; the next text starts it"
UNUSED = Status(alive=0, waiting=0, restarts=0, real_time_factor=None)

Level = Literal["ok", "warn", "error"]


@dataclass(frozen=True, slots=True)
class EngineReport:
    """`level` is "error" if the default voice, or one that is offered, cannot speak."""

    name: str
    level: Level
    state: str  # in words
    status: Status | None  # of this process; None: the engine cannot speak on this machine

    @property
    def speed(self) -> str:
        """Seconds of work for a second of audio, "0.54 × real time"; "" if nothing was spoken."""
        if self.status is None or self.status.real_time_factor is None:
            return ""
        return f"{self.status.real_time_factor:.2f} × real time"

    @property
    def detail(self) -> str:
        """State and figures in a line."""
        if self.status is None:
            return self.state
        figures = [
            f"alive: {self.status.alive}",
            f"waiting: {self.status.waiting}",
            *([self.speed] if self.speed else []),
            f"restarts: {self.status.restarts}",
        ]
        return f"{self.state}; {', '.join(figures)} (in the web process that answers)"


def engines() -> list[EngineReport]:
    """A report of each engine that speaks for a voice of the house or of a customer, and of the
    speech servers if there are any; the default voice's is the first.
    """
    house = [speaker.engine for speaker in HOUSE.values()]
    ready = Voice.objects.filter(state=Voice.State.READY)
    own = set(ready.values_list("engine", flat=True).distinct())
    servers = [] if missing(REMOTE) else [REMOTE]
    known = statuses()
    return [
        _report(name, known.get(name), own=name in own, is_used=name in own or name in house)
        for name in dict.fromkeys([*house, *sorted(own), *servers])
    ]


def shortfall(name: str) -> str:
    """Why the engine cannot speak on this machine, and which house voices are hidden for it, in
    words; "" if it can.
    """
    if not (lacks := missing(name)):
        return ""
    hidden = [_hidden(name, tier) for tier in VoiceType]
    if name == own_voice.ENGINE:
        hidden.append("Customers cannot tune voices of their own.")
    return " ".join([lacks, *filter(None, hidden)])


def shortfalls() -> dict[str, str]:
    """The shortfalls of the engines of house voices, by engine."""
    names = dict.fromkeys(name for speaker in HOUSE.values() for name in speaker.engines)
    return {name: words for name in names if (words := shortfall(name))}


def _report(name: str, status: Status | None, *, own: bool, is_used: bool) -> EngineReport:
    if lacks := shortfall(name):
        silent = " The voices that customers made with it cannot speak." if own else ""
        level: Level = "error" if name == DEFAULT.engine else "warn"
        return EngineReport(name, level, lacks + silent, None)
    if status is None:
        return EngineReport(name, "ok", RESTING, UNUSED)
    if status.problem:
        level = "error" if is_used and not status.alive else "warn"
        return EngineReport(name, level, status.problem, status)
    resting = "its servers are busy" if name == REMOTE else RESTING
    return EngineReport(name, "ok", "runs" if status.alive else resting, status)


def _hidden(name: str, tier: VoiceType) -> str:
    names = [each.name for each in HOUSE.values() if name in each.engines and each.type == tier]
    return f"{tier.label} voices are hidden: {', '.join(names)}." if names else ""

"""Speech engines, which speak a text piece by piece. Plain Python without Django.

`engine()` returns the engine of a name, one per process. An engine is a class that takes `helpers`
and implements `Engine`; to add one, make a folder beside `espeak/` and add it to `FACTORIES`. A
voice is the name of its engine and `Settings`, a JSON object that only this engine understands.

Speech itself is made in helper processes (pool.py, helper.py). This process imports neither numpy
nor onnxruntime.
"""

import atexit
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

from usage.text.pieces import Piece

# Imported on first use, so that an unused engine need not be installed.
FACTORIES = {
    "hibari": "usage.engines.hibari:Hibari",
    "kokoro": "usage.engines.kokoro:Kokoro",
    "espeak": "usage.engines.espeak:Espeak",
    "remote": "usage.engines.remote:Remote",
}
PIECE_SECONDS = 60  # for one helper to speak one piece; letter by letter takes 30 on an idle core
SPEEDS = (0.25, 4.0)  # slowest and fastest
WAV = "audio/wav"

Settings = Mapping[str, Any]


class EngineFailed(Exception):
    """The engine produced no audio. `permanent`: the same request would fail again."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class EngineClosed(EngineFailed):
    """The engine was closed: the process is about to end."""

    def __init__(self) -> None:
        super().__init__("The speech engine is closed.")


class NothingToSpeak(ValueError):
    """Nothing in the text is audible."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a voice that customers can change in a form.

    Its value is a key of `choices`, a number within `decimals`, or else one of `numbers`.
    """

    name: str
    label: str
    default: str | int | float
    choices: Mapping[str, str] = field(default_factory=dict)  # value → label
    numbers: range = range(0)
    decimals: tuple[float, float] | None = None  # least and greatest
    step: float = 1  # of the form's control; the numbers in between are allowed, too
    help: str = ""
    refusal: str = "Choose one of the values."

    @property
    def is_number(self) -> bool:
        return not self.choices

    @property
    def least(self) -> float:
        return self.decimals[0] if self.decimals else self.numbers[0]

    @property
    def greatest(self) -> float:
        return self.decimals[1] if self.decimals else self.numbers[-1]

    def allows(self, value: object) -> bool:
        if self.choices:
            return isinstance(value, str) and value in self.choices
        if self.decimals:
            least, greatest = self.decimals
            return type(value) in (int, float) and least <= value <= greatest  # type: ignore[operator]
        return type(value) is int and value in self.numbers


@dataclass(frozen=True, slots=True)
class Spoken:
    """One piece, spoken."""

    piece: Piece
    samples: bytes  # signed 16 bit, little-endian, mono; the pause after the piece included
    # Begin and end in seconds from the piece's begin, one pair a word of the piece, monotone.
    times: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Status:
    """How an engine is, for operators."""

    alive: int  # helper processes
    waiting: int  # pieces in the queue
    restarts: int  # helpers replaced since the process began
    real_time_factor: float | None  # seconds of work for a second of audio; None: nothing spoken
    problem: str = ""  # why it cannot speak


class Engine(Protocol):
    sample_rate: int
    languages: frozenset[str]  # "en-us", "en-gb", "es", ...
    scripts: frozenset[str] | None  # of Unicode, that it can speak: "LATIN", ...; None: all
    characters_max: int  # of a piece, for `usage.text.pieces`
    first_characters_max: int  # of the first one, so that its sound comes early
    tuning: tuple[Setting, ...]  # the settings of an own voice
    # Its measured pace on one core; None: no text takes longer than a request can wait.
    characters_a_second: int | None

    def speak(
        self,
        pieces: Sequence[Piece],
        *,
        settings: Settings,
        speed: float = 1.0,
        piece_seconds: float = PIECE_SECONDS,
    ) -> Iterator[Spoken]:
        """Speak the pieces, each when it is asked for. The same arguments give the same bytes on
        one machine. Thread-safe.

        Between two pieces no helper is held: closing the iterator ends the request. A piece waits
        for a helper and is tried twice, each for at most `piece_seconds`, together with the start
        of helpers for three times as long. Raises EngineFailed, at
        once and permanent for settings that are wrong (for example of an older version of the
        engine) and for a speed outside `SPEEDS`.
        """

    def warm(self) -> None:
        """Start the helpers now, not with the first piece. Raises EngineFailed."""

    def status(self) -> Status: ...

    def close(self) -> None:
        """End the engine's processes. Requests in progress fail."""


_lock = threading.Lock()
_engines: dict[str, Engine] = {}
_helpers = 2


def configure(*, helpers: int) -> None:
    """Set how many helper processes each engine may run. Engines created before keep theirs."""
    global _helpers
    _helpers = helpers


def engine(name: str = "espeak") -> Engine:
    """The engine of that name, created on first use. Raises a permanent EngineFailed if unknown."""
    with _lock:
        if name not in _engines:
            make: Callable[..., Engine] = getattr(_module(name), FACTORIES[name].partition(":")[2])
            _engines[name] = make(helpers=_helpers)
        return _engines[name]


def statuses() -> dict[str, Status]:
    """How the engines are that this process has created, by name. Creates none."""
    with _lock:
        created = dict(_engines)
    return {name: each.status() for name, each in created.items()}


def _module(name: str) -> ModuleType:
    if name not in FACTORIES:
        raise EngineFailed(f"There is no speech engine called {name!r}.", permanent=True)
    return import_module(FACTORIES[name].partition(":")[0])


@cache
def missing(name: str) -> str:
    """Why the engine of that name cannot speak on this machine, in words for operators; "" if it
    can. Imports no speech library.

    Packages are looked for once: those installed later count after a restart.
    """
    if name not in FACTORIES:
        return f"There is no speech engine called {name!r}."
    lacks: Callable[[], str] = _module(name).missing
    return lacks()


def tuning(name: str) -> tuple[Setting, ...]:
    """The settings of an own voice of that engine."""
    return engine(name).tuning


def tuning_errors(name: str, settings: Settings) -> dict[str, list[str]]:
    """Errors in the settings of an own voice, by setting. Missing settings have their defaults."""
    wanted = {setting.name: setting for setting in tuning(name)}
    errors = {
        setting.name: [setting.refusal]
        for setting in wanted.values()
        if not setting.allows(settings.get(setting.name, setting.default))
    }
    return errors | {
        unknown: ["There is no such setting."] for unknown in settings.keys() - wanted.keys()
    }


def close() -> None:
    """End the helpers of all engines. The next `engine()` creates a new one."""
    with _lock:
        engines = list(_engines.values())
        _engines.clear()
    for each in engines:
        each.close()


def _forget() -> None:
    """Drop the engines in a forked child, which must not use the sockets of its parent."""
    global _lock
    _lock = threading.Lock()
    _engines.clear()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)

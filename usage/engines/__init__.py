"""Speech engines: text in, a WAV file out. Plain Python, used by Django code but not made of it.

`engine()` gives the process's one engine of a name. An engine is a class that takes `helpers` and
has what `Engine` says; a further one is a module beside `espeak.py` and a line in `FACTORIES`. A
voice is the name of its engine and `Settings`: a JSON object that only this engine understands.
"""

import atexit
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

# Imported when first asked for, so that an engine nobody uses need not be installed.
FACTORIES = {"espeak": "usage.engines.espeak:Espeak"}

WAV = "audio/wav"  # 16 bit, mono: what every engine makes

Settings = Mapping[str, Any]


class EngineFailed(Exception):
    """The engine could not speak and nothing was produced.

    `permanent`: the same request will fail again.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class NothingToSpeak(ValueError):
    """The text has nothing an engine can say."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing a customer may tune about a voice, as a form shows it: one of `choices`, or else
    one of `numbers`.
    """

    name: str
    label: str
    default: str | int
    choices: Mapping[str, str] = field(default_factory=dict)  # value → label
    numbers: range = range(0)
    step: int = 1  # of the form's control; every number in between is allowed too
    help: str = ""
    refusal: str = "Choose one of the values."

    @property
    def is_number(self) -> bool:
        return not self.choices

    def allows(self, value: object) -> bool:
        if self.choices:
            return isinstance(value, str) and value in self.choices
        return type(value) is int and value in self.numbers


@dataclass(frozen=True, slots=True)
class Speech:
    audio: bytes  # a complete file of `content_type`
    duration_seconds: float
    content_type: str = WAV


class Engine(Protocol):
    tuning: tuple[Setting, ...]  # what a personal voice of this engine may set

    def speak(self, *, text: str, settings: Settings, deadline_seconds: float = 60) -> Speech:
        """Same arguments, same bytes. Thread-safe. Raises EngineFailed or NothingToSpeak.

        Settings it does not understand are a permanent EngineFailed: they may be older than the
        engine.
        """

    def close(self) -> None:
        """End what the engine runs. Speech under way fails."""


_lock = threading.Lock()
_engines: dict[str, Engine] = {}
_helpers = 2


def configure(*, helpers: int) -> None:
    """Set how many helper processes an engine of this process may run.

    For startup: engines already made keep theirs.
    """
    global _helpers
    _helpers = helpers


def engine(name: str = "espeak") -> Engine:
    """The engine of that name, made on first use, one per process."""
    with _lock:
        if name not in _engines:
            if name not in FACTORIES:
                raise EngineFailed(f"There is no speech engine called {name!r}.", permanent=True)
            module, _, factory = FACTORIES[name].partition(":")
            make: Callable[..., Engine] = getattr(import_module(module), factory)
            _engines[name] = make(helpers=_helpers)
        return _engines[name]


def tuning(name: str) -> tuple[Setting, ...]:
    """What customers may tune about a voice of that engine."""
    return engine(name).tuning


def tuning_errors(name: str, settings: Settings) -> dict[str, list[str]]:
    """What is wrong with the settings of a personal voice, by setting.

    One that is left out has its default.
    """
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
    """End the helpers of all engines. The next `engine()` starts afresh."""
    with _lock:
        engines = list(_engines.values())
        _engines.clear()
    for each in engines:
        each.close()


def _forget() -> None:
    """A forked copy of this process must not talk on its parent's sockets: it makes its own
    helpers.
    """
    global _lock
    _lock = threading.Lock()
    _engines.clear()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)

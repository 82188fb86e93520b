"""Speech engines, which turn text into a WAV file. Plain Python without Django.

`engine()` returns the engine of a name, one per process. An engine is a class that takes `helpers`
and implements `Engine`; to add one, write a module beside `espeak.py` and add it to `FACTORIES`. A
voice is the name of its engine and `Settings`, a JSON object that only this engine understands.
"""

import atexit
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

# Imported on first use, so that an unused engine need not be installed.
FACTORIES = {"espeak": "usage.engines.espeak:Espeak"}

WAV = "audio/wav"  # the format of every engine: 16 bit, mono

Settings = Mapping[str, Any]


class EngineFailed(Exception):
    """The engine produced no audio. `permanent`: the same request would fail again."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class NothingToSpeak(ValueError):
    """Nothing in the text is audible."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a voice that customers can change in a form.

    Its value is a key of `choices`, or one of `numbers` if there are no choices.
    """

    name: str
    label: str
    default: str | int
    choices: Mapping[str, str] = field(default_factory=dict)  # value → label
    numbers: range = range(0)
    step: int = 1  # of the form's control; the numbers in between are allowed, too
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
    tuning: tuple[Setting, ...]  # the settings of an own voice

    def speak(self, *, text: str, settings: Settings, deadline_seconds: float = 60) -> Speech:
        """Speak the text. The same arguments give the same bytes. Thread-safe.

        Raises NothingToSpeak, or EngineFailed. Unknown settings, for example of an older version of
        the engine, are a permanent EngineFailed.
        """

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
            if name not in FACTORIES:
                raise EngineFailed(f"There is no speech engine called {name!r}.", permanent=True)
            module, _, factory = FACTORIES[name].partition(":")
            make: Callable[..., Engine] = getattr(import_module(module), factory)
            _engines[name] = make(helpers=_helpers)
        return _engines[name]


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

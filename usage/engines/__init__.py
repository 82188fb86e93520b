"""Speech engines: text in, a WAV file out. Plain Python, used by Django code but not made of it.

`engine()` gives the process's one engine of a name. An engine is a class that takes `helpers` and has `speak` and
`close`; a further one is a module beside `espeak.py` and a line in `FACTORIES`.
"""

import atexit
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

# Imported when first asked for, so that an engine nobody uses need not be installed.
FACTORIES = {"espeak": "usage.engines.espeak:Espeak"}


class EngineFailed(Exception):
    """The engine could not speak and nothing was produced. `permanent`: the same request will fail again."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class NothingToSpeak(ValueError):
    """The text has nothing an engine can say."""


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """How a voice sounds. `variant` is the engine's own name for it; the numbers are refused by `speak`, not here."""

    variant: str
    pitch: int = 50  # 0 to 99
    pitch_range: int = 50  # 0 (monotone) to 99
    pace_words_per_minute: int = 175  # 80 to 400


@dataclass(frozen=True, slots=True)
class Speech:
    audio: bytes  # a complete WAV file, 22,050 Hz, 16 bit, mono
    duration_seconds: float
    content_type: str = "audio/wav"


class Engine(Protocol):
    def speak(self, *, text: str, voice: VoiceSettings, deadline_seconds: float = 60) -> Speech:
        """Same arguments, same bytes. Thread-safe. Raises EngineFailed or NothingToSpeak."""

    def close(self) -> None:
        """End what the engine runs. Speech under way fails."""


_lock = threading.Lock()
_engines: dict[str, Engine] = {}
_helpers = 2


def configure(*, helpers: int) -> None:
    """Set how many helper processes an engine of this process may run. For startup: engines already made keep theirs."""
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


def close() -> None:
    """End the helpers of all engines. The next `engine()` starts afresh."""
    with _lock:
        engines = list(_engines.values())
        _engines.clear()
    for each in engines:
        each.close()


def _forget() -> None:
    """A forked copy of this process must not talk on its parent's sockets: it makes its own helpers."""
    global _lock
    _lock = threading.Lock()
    _engines.clear()


atexit.register(close)
os.register_at_fork(after_in_child=_forget)

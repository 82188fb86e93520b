"""Metronome's API, emulated:
stateful, exact, with a clock that can be moved and failures on demand."""

from typing import TYPE_CHECKING, Any

from metronome_sandbox.records import DEFAULT_CREDIT_TYPE_ID, USD_ID
from metronome_sandbox.version import VERSION

if TYPE_CHECKING:
    from metronome_sandbox.app import Sandbox

__version__ = VERSION

__all__ = ["DEFAULT_CREDIT_TYPE_ID", "USD_ID", "Sandbox", "__version__"]


def __getattr__(name: str) -> Any:
    """Who needs the kit alone, or only has the plugin for pytest, does not load the emulation."""
    if name != "Sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from metronome_sandbox.app import Sandbox

    return Sandbox

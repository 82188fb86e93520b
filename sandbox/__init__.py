"""Metronome's API, emulated:
stateful, exact, with a clock that can be moved and failures on demand."""

from sandbox.app import Sandbox
from sandbox.records import DEFAULT_CREDIT_TYPE_ID, USD_ID

__all__ = ["DEFAULT_CREDIT_TYPE_ID", "USD_ID", "Sandbox"]

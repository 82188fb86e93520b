"""The fixture `metronome_sandbox`. pytest finds it where the package is installed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from metronome_sandbox.app import Sandbox


@pytest.fixture
def metronome_sandbox_options() -> dict[str, Any]:
    """Override it to give the sandbox of the fixture other arguments than its own."""
    return {}


@pytest.fixture
def metronome_sandbox(metronome_sandbox_options: dict[str, Any]) -> "Iterator[Sandbox]":
    """A fresh sandbox in this process. Its clock stands at the real time until it is moved.

    Thresholds are evaluated at once; nothing is sent, but listed in `.deliveries`, until there is
    a destination."""
    from metronome_sandbox.app import Sandbox  # not of every run of pytest

    now = datetime.now(UTC).replace(microsecond=0)
    sandbox = Sandbox(**{"now": now, "evaluate_every_seconds": 0, **metronome_sandbox_options})
    yield sandbox
    sandbox.close()

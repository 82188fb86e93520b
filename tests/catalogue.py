"""A Metronome that `bootstrap_metronome` has set up, made once and then copied by many tests."""

from __future__ import annotations

import atexit
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from unittest.mock import patch

import httpx
import time_machine
from django.conf import settings
from django.core.management import call_command
from metronome import Metronome

from billing import metronome, plans
from metronome_sandbox import Sandbox

SET_UP_AT = datetime(2025, 1, 2, tzinfo=UTC)  # where nothing asks for another moment


def sdk(transport: httpx.BaseTransport) -> Metronome:
    """The real SDK in front of a sandbox of this process, strictly and without a second try."""
    return Metronome(
        bearer_token="sandbox",
        base_url="http://sandbox",
        max_retries=0,
        http_client=httpx.Client(transport=transport),
        _strict_response_validation=True,
    )


@cache
def state_path(at: datetime, seed: int | None = None) -> Path:
    """The `state_path` for sandboxes that were set up at this moment, once a process.

    The file is for reading: close the store of a sandbox that has read it, and everything from then
    on is in memory. With a seed the ids are the same in every process.
    """
    path = Path(mkdtemp(prefix="vocalis-catalogue-")) / "metronome.sqlite3"
    atexit.register(rmtree, path.parent)
    sandbox = Sandbox(
        credit_type_id=settings.VOCALIS_CREDIT_TYPE_ID,
        unit=plans.PRICING_UNIT_NAME,
        now=at,
        seed=seed,
        state_path=path,
    )
    client = sdk(sandbox.transport())
    with (
        patch.object(metronome.client, "client", lambda: client),
        time_machine.travel(at, tick=False),
    ):
        call_command("bootstrap_metronome", verbosity=0)
    sandbox.close()
    return path

"""The calls under `/_sandbox/` that every sandbox has, as far as they know no API.

Each raises ValueError with a sentence for the caller."""

import math
from datetime import UTC, datetime
from typing import Any

from sandbox_kit.clock import Clock
from sandbox_kit.faults import Faults


def show_clock(clock: Clock) -> dict[str, Any]:
    return {
        "now": clock.now(),
        "virtual": clock.virtual,
        "offset_seconds": clock.offset.total_seconds(),
    }


def move_clock(clock: Clock, body: dict[str, Any]) -> None:
    """{"advance_seconds": n} or {"now": moment}."""
    try:
        if "now" in body:
            moment = datetime.fromisoformat(body["now"])
            clock.move_to(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        else:
            seconds = float(body["advance_seconds"])
            if not math.isfinite(seconds):
                raise ValueError("advance_seconds must be finite")
            clock.advance(seconds=seconds)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"Give advance_seconds or now: {error}") from None


def add_faults(faults: Faults, body: dict[str, Any]) -> list[dict[str, Any]]:
    """One rule, or {"data": [rules]}."""
    try:
        return [vars(faults.add(**rule)) for rule in body.get("data", [body])]
    except TypeError as error:
        raise ValueError(str(error)) from None

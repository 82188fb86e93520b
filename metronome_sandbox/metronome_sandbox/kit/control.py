"""The calls under `/_sandbox/` that every sandbox has, as far as they know no API.

Each raises ValueError with a sentence for the caller."""

import math
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from metronome_sandbox.kit.clock import Clock
from metronome_sandbox.kit.faults import Faults


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
            clock.move_to(_moment(body["now"]))
        else:
            seconds = float(body["advance_seconds"])
            if not math.isfinite(seconds):
                raise ValueError("advance_seconds must be finite")
            clock.advance(seconds=seconds)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"Give advance_seconds or now: {error}") from None


def first_moment(body: dict[str, Any]) -> datetime | None:
    """Where a reset clock begins, by {"now": moment}."""
    try:
        return _moment(body["now"]) if "now" in body else None
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"now must be an RFC 3339 timestamp: {error}") from None


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def add_destination(webhooks: list[tuple[str, str]], body: dict[str, Any]) -> None:
    """{"url", "secret"}: the secret of an address that is there already is replaced."""
    url, secret = body.get("url"), body.get("secret", "")
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url must be an address that begins with http:// or https://")
    if not isinstance(secret, str):
        raise ValueError("secret must be a string")
    webhooks[:] = [one for one in webhooks if one[0] != url] + [(str(url), secret)]


def add_faults(faults: Faults, body: dict[str, Any]) -> list[dict[str, Any]]:
    """One rule, or {"data": [rules]}."""
    try:
        return [vars(faults.add(**rule)) for rule in body.get("data", [body])]
    except TypeError as error:
        raise ValueError(str(error)) from None

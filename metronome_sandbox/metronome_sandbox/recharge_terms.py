"""What holds for every prepaid balance threshold: when one may be set, and how long the commits
last that it buys."""

from datetime import datetime
from typing import Any

from metronome_sandbox import periods
from metronome_sandbox.pricing import billing_period
from metronome_sandbox.records import Contract
from metronome_sandbox.wire import invalid


def refuse_early(contract: Contract, now: datetime) -> None:
    """Raises ApiError 400."""
    if contract.starting_at > now:
        raise invalid(
            "Threshold billing cannot be configured on a contract that has not started yet"
        )


def check_commit(commit: dict[str, Any], contract: Contract) -> None:
    fraction, duration = commit.get("rollover_fraction"), commit.get("duration")
    if fraction is not None and not 0 <= fraction <= 1:
        raise invalid("commit.rollover_fraction must be between 0 and 1")
    if duration and int(duration["value"]) < 1:
        raise invalid("commit.duration.value must be at least 1")
    try:
        access_end(contract, duration, contract.starting_at)
    except (ValueError, OverflowError):
        raise invalid("commit.duration is too long") from None


def access_end(contract: Contract, duration: dict[str, Any] | None, at: datetime) -> datetime:
    """A duration, or a year, from the end of the billing period."""
    length = duration or {"unit": "YEARS", "value": 1}
    end = billing_period(contract, at)[1]
    return periods.add_duration(end, length["unit"].upper(), int(length["value"]))


def show(config: dict[str, Any] | None) -> dict[str, Any] | None:
    """As it is read back: the length of a commit as text."""
    duration = (config.get("commit") or {}).get("duration") if config else None
    if not config or not duration:
        return config
    commit = {**config["commit"], "duration": {**duration, "value": str(duration["value"])}}
    return {**config, "commit": commit}

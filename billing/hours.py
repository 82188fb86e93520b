"""Rounding to full hours (UTC), by which Metronome rates usage and starts and ends credits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def floor_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ceil_hour(moment: datetime) -> datetime:
    floor = floor_hour(moment)
    return floor if floor == moment else floor + timedelta(hours=1)

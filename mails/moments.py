"""Moments in words, in the time zone that is current: a mail's is that of its reader."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.utils import timezone


def zone(name: str) -> ZoneInfo:
    """The zone of this name in the IANA database. UTC for "" and for a name that is in it no more.

    Such names have been chosen from a list of an older database.
    """
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def read(iso: str) -> datetime:
    """A moment in ISO form, which is of UTC if it does not say so, in the current zone."""
    at = datetime.fromisoformat(iso)
    return timezone.localtime(at if at.tzinfo else at.replace(tzinfo=UTC))


def day(at: datetime) -> str:
    """3 December 2026"""
    return f"{at.day} {at:%B %Y}"


def moment(at: datetime) -> str:
    """3 December 2026, 14:05 UTC"""
    return f"{day(at)}, {at:%H:%M} {zone_name(at)}"


def zone_name(at: datetime) -> str:
    """CET, or UTC+5:30 where a zone has no letters of its own."""
    name = at.tzname() or "UTC"
    if name.isalpha():
        return name
    minutes = int((at.utcoffset() or at - at).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")

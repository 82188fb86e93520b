"""Time zones of people: their names, and days in them."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from mails import moments

from .models import User

# Folders of the IANA database that hold only other names of its zones.
OTHER_NAMES = ("Etc/", "SystemV/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/", "posix/")


@cache
def names() -> list[str]:
    """The zones to choose from, as the IANA database calls them."""
    return sorted(
        name for name in available_timezones() if "/" in name and not name.startswith(OTHER_NAMES)
    )


def known(name: str) -> str:
    """`name` if there is such a zone, else "": what a browser says is only a hint."""
    return name if name in available_timezones() else ""


def of(user: User) -> ZoneInfo:
    """The zone that the user has chosen, or UTC."""
    return moments.zone(user.time_zone)


def day(user: User, at: datetime) -> str:
    """The day of a moment in the zone of the user: 3 December 2026."""
    return moments.day(at.astimezone(of(user)))

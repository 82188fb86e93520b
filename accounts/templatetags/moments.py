"""Moments on pages, in the time zone of who reads, with UTC on hover.

Without a zone, as for visitors, they are UTC. What is a day by rule, such as the days of usage and
the begin of a month, is written with Django's `date` and says that it is UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mails import moments

register = template.Library()


@register.simple_tag(takes_context=True)
def moment(context: Any, at: datetime | None, zone: bool = False, year: bool = True) -> SafeString:
    """“13 Dec 2026, 15:00”, broken between day and time only; with `zone` “15:00 CET”."""
    if not at:
        return SafeString()
    own = at.astimezone(_zone(context))
    day = f"{own.day} {own:%b %Y}" if year else f"{own.day} {own:%b}"
    return _time(at, format_html("<span>{},</span> <span>{}</span>", day, _clock(own, zone)))


@register.simple_tag(takes_context=True)
def day(context: Any, at: datetime | None, year: bool = True, short: bool = False) -> SafeString:
    """“13 December 2026”, “13 December” or, with `short`, “13 Dec 2026”."""
    if not at:
        return SafeString()
    own = at.astimezone(_zone(context))
    month = f"{own:%b}" if short else f"{own:%B}"
    return _time(at, f"{own.day} {month}" + (f" {own:%Y}" if year else ""))


@register.simple_tag(takes_context=True)
def time_of_day(context: Any, at: datetime | None) -> SafeString:
    """“15:00 CET”"""
    return _time(at, _clock(at.astimezone(_zone(context)), True)) if at else SafeString()


@register.simple_tag(takes_context=True)
def times_are(context: Any) -> str:
    """What stands below a list of moments without their zones."""
    name = _zone(context).key
    return "Times are UTC." if name == "UTC" else f"Times are of {name.replace('_', ' ')}."


@register.simple_tag(takes_context=True)
def reader_zone(context: Any) -> str:
    """The name of the reader's zone, for scripts that write moments."""
    return _zone(context).key


def _zone(context: Any) -> ZoneInfo:
    return moments.zone(getattr(context.get("user"), "time_zone", ""))


def _clock(own: datetime, zone: bool) -> str:
    return f"{own:%H:%M} {moments.zone_name(own)}" if zone else f"{own:%H:%M}"


def _time(at: datetime, words: str) -> SafeString:
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', utc.isoformat(), moments.moment(utc), words
    )

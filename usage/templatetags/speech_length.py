"""How long the speech is that credits buy, as pages say it: from measured paces, never by hand."""

from __future__ import annotations

from django import template

from usage.speech import paces

register = template.Library()


@register.simple_tag
def speech_length(credits: int, voice_type: str) -> str:
    """“4 h 9 min” for so many credits with voices of this price class, rounded down."""
    return in_words(paces.seconds_of_credits(credits, voice_type))


@register.simple_tag(name="length_in_words")
def in_words(seconds: float) -> str:
    """“4 h 9 min”, “51 min”, “under a minute”; rounded down, so that nobody is promised more."""
    hours, minutes = divmod(int(seconds) // 60, 60)
    if hours:
        return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"
    return f"{minutes} min" if minutes else "under a minute"

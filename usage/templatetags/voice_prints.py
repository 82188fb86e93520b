"""How templates show a voice and a length of sound."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from usage.speech import prints

register = template.Library()


@register.simple_tag
def voice_print(voice_id: str, size: str = "") -> SafeString:
    """The print of a voice as an SVG; `size` is "" or "s", for small."""
    levels = prints.of(voice_id)
    return format_html(
        '<svg class="print{} k{}" viewBox="0 0 32 32" aria-hidden="true"><path d="{}"/></svg>',
        f" print--{size}" if size else "",
        prints.kind(levels),
        prints.path(levels),
    )


@register.filter
def clock(seconds: float | str | None) -> str:
    """A length of sound: "4:15", from an hour on "1:04:15"; "" if it is not known."""
    if seconds is None or isinstance(seconds, str):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

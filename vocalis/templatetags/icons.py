from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# Paths of 24 by 24: drawn as lines, except those that are filled.
LINES = {
    "again": "M19 12a7 7 0 11-2-4.9M17.5 3v4.5H13",
    "back": "M12 6V3L7.5 6.5 12 10V7.5A5.5 5.5 0 116.6 14",
    "check": "M5 12.5l4.5 4.5L19 7.5",
    "down": "M7 10l5 5 5-5",
    "download": "M12 4v11m-4.5-4L12 15.5 16.5 11M5 19.5h14",
    "copy": "M9 8.5h10.5v12H9zM5 15.5V3.5h9.5",
    "folder": "M3.5 6h6l2 2.5h9V19h-17z",
    "more": "M5.5 12h.01M12 12h.01M18.5 12h.01",
    "next": "M5 12h14m-5-5l5 5-5 5",
    "repeat": "M17 3l3 3-3 3M20 6H8a4 4 0 00-4 4v1M7 21l-3-3 3-3M4 18h12a4 4 0 004-4v-1",
    "search": "M10.5 17a6.5 6.5 0 100-13 6.5 6.5 0 000 13zM15.5 15.5L20 20",
    "star": "M12 4l2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z",
    "stop": "M8.5 3.5h7l5 5v7l-5 5h-7l-5-5v-7zM12 8v5m0 2.8v.1",
    "warning": "M12 4l9 15.5H3zM12 10v4m0 2.6v.1",
}
FILLED = {
    "pause": "M8 5.5h3v13H8zM13.5 5.5h3v13h-3z",
    "play": "M8 5.5v13l10.5-6.5z",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """A small drawing beside words; it says nothing by itself."""
    classes = f"i i--{name}" + (" i--fill" if name in FILLED else "")
    return format_html(
        '<svg class="{}" viewBox="0 0 24 24" aria-hidden="true"><path d="{}"/></svg>',
        classes,
        FILLED.get(name) or LINES[name],
    )

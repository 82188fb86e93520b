from __future__ import annotations

from email.utils import parseaddr
from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag(takes_context=True)
def nav_link(context: dict[str, Any], name: str, label: str) -> SafeString:
    """A link of the main navigation, marked with aria-current if it leads to the current page."""
    url = reverse(name)
    current = context["request"].path == url
    return format_html(
        '<a href="{}"{}>{}</a>', url, SafeString(' aria-current="page"' if current else ""), label
    )


@register.simple_tag
def mail_us() -> str:
    """The mailto: URL of the address that our e-mails come from."""
    return f"mailto:{parseaddr(settings.DEFAULT_FROM_EMAIL)[1]}"

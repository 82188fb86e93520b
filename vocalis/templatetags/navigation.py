from __future__ import annotations

from email.utils import parseaddr
from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mails import kept

register = template.Library()


@register.simple_tag(takes_context=True)
def nav_link(context: dict[str, Any], name: str, label: str, *within: str) -> SafeString:
    """A link of the main navigation, marked with aria-current.

    That is "page" if it leads to the current page, and "true" on the pages named in `within`.
    """
    url = reverse(name)
    request = context["request"]
    here = request.resolver_match.url_name if request.resolver_match else None
    current = "page" if request.path == url else "true" if here in within else ""
    mark = format_html(' aria-current="{}"', current) if current else ""
    return format_html('<a href="{}"{}>{}</a>', url, mark, label)


@register.simple_tag
def mail_us() -> str:
    """The mailto: URL of the address that our e-mails come from."""
    return f"mailto:{parseaddr(settings.DEFAULT_FROM_EMAIL)[1]}"


@register.simple_tag
def outbox_url() -> str:
    """The page of mails that stay on this machine, "" if there is none."""
    return reverse("outbox") if kept.is_on() else ""

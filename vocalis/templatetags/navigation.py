from __future__ import annotations

from email.utils import parseaddr
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import plans
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


@register.simple_tag(takes_context=True)
def canonical_url(context: dict[str, Any]) -> str:
    """The one address of a page that there is, whatever host and query it was asked for by."""
    request = context.get("request")
    if request is None or request.resolver_match is None:
        return ""
    return settings.SITE_URL.rstrip("/") + str(request.path)


@register.simple_tag
def absolute_static(path: str) -> str:
    """The address of a static file as other sites need it."""
    return urljoin(settings.SITE_URL, static(path))


@register.simple_tag
def mail_us() -> str:
    """The mailto: URL of the address that our e-mails come from."""
    return f"mailto:{parseaddr(settings.DEFAULT_FROM_EMAIL)[1]}"


@register.simple_tag
def outbox_url() -> str:
    """The page of mails that stay on this machine, "" if there is none."""
    return reverse("outbox") if kept.is_on() else ""


@register.simple_tag
def chosen_plan(wanted: str) -> plans.Plan | None:
    """The plan that somebody chose who is on the way to that address."""
    query = parse_qs(urlsplit(wanted).query)
    return plans.PLANS.get(query.get("plan", [""])[0])


@register.simple_tag
def signup_for(plan: str) -> str:
    """Where somebody signs up who has chosen a plan: its page, with the price, comes next.

    The address goes along as `next`, through errors in the form and a change to the login.
    """
    wanted = f"{reverse('plan_preview')}?{urlencode({'plan': plan})}"
    return f"{reverse('signup')}?{urlencode({'next': wanted})}"

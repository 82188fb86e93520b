"""What mails are made of, rendered as text or as HTML, as `form` in the context says.

A mail is written once: paragraphs, rows of facts, buttons. HTML for mail programs has its styles in
each element, because many of them drop style sheets; `templates/emails/layout.html` adds those for
dark screens.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html, strip_tags
from django.utils.safestring import SafeString, mark_safe

from mails import moments

register = template.Library()

TEXT = "color:#0f201a;font-size:16px;line-height:24px"
SMALL = "color:#4d5f57;font-size:14px;line-height:21px"
LABEL = f"{SMALL};padding:8px 16px 8px 0;border-bottom:1px solid #d5dfd9;vertical-align:top"
VALUE = f"{TEXT};padding:8px 0;border-bottom:1px solid #d5dfd9;text-align:right;font-weight:600"
BUTTON = (
    "display:inline-block;padding:12px 20px;border-radius:8px;background:#0b6b55;color:#ffffff;"
    "font-size:16px;line-height:20px;font-weight:600;text-decoration:none"
)


class Part(template.Node):
    """A paragraph (`p`), a small one (`small`), or the frame of rows (`rows`)."""

    def __init__(self, name: str, inside: template.NodeList) -> None:
        self.name, self.inside = name, inside

    def render(self, context: template.Context) -> SafeString:
        content = self.inside.render(context).strip()
        if not content:
            return mark_safe("")
        if context["form"] != "html":
            lines = [line.strip() for line in content.splitlines() if line.strip()]
            words = ("\n" if self.name == "rows" else " ").join(lines)
            return mark_safe(f"{words}\n\n")
        if self.name == "rows":
            return mark_safe(
                '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" '
                f'style="border-collapse:collapse;margin:0 0 20px">{content}</table>'
            )
        style, name = (TEXT, "m-text") if self.name == "p" else (SMALL, "m-soft")
        return mark_safe(f'<p class="{name}" style="margin:0 0 16px;{style}">{content}</p>')


def _part(parser: template.base.Parser, token: template.base.Token) -> Part:
    name = token.contents.split()[0]
    inside = parser.parse((f"end{name}",))
    parser.delete_first_token()
    return Part(name, inside)


for _name in ("p", "small", "rows"):
    register.tag(_name, _part)


class Silent(template.Node):
    """Renders what is inside for its buttons only, and shows nothing of it."""

    def __init__(self, inside: template.NodeList) -> None:
        self.inside = inside

    def render(self, context: template.Context) -> SafeString:
        self.inside.render(context)
        return mark_safe("")


@register.tag
def silent(parser: template.base.Parser, token: template.base.Token) -> Silent:
    inside = parser.parse(("endsilent",))
    parser.delete_first_token()
    return Silent(inside)


@register.simple_tag(takes_context=True)
def row(context: template.Context, label: str, value: Any) -> SafeString:
    """A fact with its name. Nothing if there is no value."""
    if value in (None, ""):
        return mark_safe("")
    if context["form"] != "html":
        return mark_safe(f"{label}: {value}\n")
    return format_html(
        '<tr><td class="m-soft m-line" style="{}">{}</td>'
        '<td class="m-text m-line" style="{}">{}</td></tr>',
        LABEL,
        label,
        VALUE,
        value,
    )


@register.simple_tag(takes_context=True)
def button(context: template.Context, label: str, to: str, *args: Any) -> SafeString:
    """A way out: the name of one of our pages, or a whole address."""
    if context["form"] == "banner":
        context["buttons"].append((label, to if "://" in to else reverse(to, args=args)))
        return mark_safe("")
    url = to if "://" in to else address(to, *args)
    if context["form"] != "html":
        return mark_safe(f"{label}:\n{url}\n\n")
    return format_html(
        '<p style="margin:4px 0 24px"><a class="m-button" href="{}" style="{}">{}</a></p>',
        url,
        BUTTON,
        label,
    )


@register.simple_tag(takes_context=True)
def link(context: template.Context, label: str, to: str, *args: Any) -> SafeString:
    """A link within a sentence. In text the address stands behind its words, in brackets that no
    reader takes for a part of it (RFC 3986, appendix C)."""
    url = to if "://" in to else address(to, *args)
    if context["form"] != "html":
        return mark_safe(f"{label} <{url}>")
    return format_html('<a class="m-link" href="{}" style="color:#0b6b55">{}</a>', url, label)


@register.simple_tag(name="site_address")
def address(name: str, *args: Any) -> str:
    """The whole address of a page of ours."""
    return settings.SITE_URL.rstrip("/") + reverse(name, args=args)


@register.filter
def money(cents: int) -> str:
    """1200 → $12.00; nothing for 0 or what is unknown."""
    return f"${cents // 100:,}.{cents % 100:02}" if isinstance(cents, int) and cents else ""


@register.filter
def credits(amount: int) -> str:
    return f"{amount:,}" if isinstance(amount, int) else ""


@register.filter
def day(iso: str) -> str:
    """The day of a moment in ISO form: 3 December 2026."""
    return moments.day(moments.read(iso)) if iso else ""


@register.filter
def moment(iso: str) -> str:
    """A moment in ISO form, in the reader's zone: 3 December 2026, 14:05 UTC."""
    return moments.moment(moments.read(iso)) if iso else ""


@register.filter
def name_of(key: str) -> str:
    """The name of a plan or a kind of purchase by its key."""
    return key[:1].upper() + key[1:]


@register.filter
def sentence(words: str) -> str:
    """Words as a whole sentence."""
    words = strip_tags(words).strip()
    return words if not words or words[-1] in ".!?" else f"{words}."

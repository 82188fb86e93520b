"""Rendering a mail from its kind and data: subject, text and HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

from . import moments
from .kinds import KINDS
from .models import OutboundMail
from .preferences import unsubscribe_url

# What an app above adds to the context of a kind at the moment of sending: links with secrets,
# which no row should hold.
Add = Callable[[OutboundMail], dict[str, Any]]

_added: dict[str, Add] = {}


@dataclass(frozen=True, slots=True)
class Content:
    """A mail as it goes out."""

    subject: str
    text: str
    html: str
    unsubscribe_url: str = ""


class DataMissing(ValueError):
    """The data lacks what this kind of mail says. It is a bug of whoever wrote the row."""


def add(kind: str, context: Add) -> None:
    """Have `context(row)` add to what mails of this kind are rendered from. At start, once each."""
    if kind not in KINDS:
        raise ValueError(f"{kind} is no kind of mail")
    _added[kind] = context


def render(row: OutboundMail, *, to: str) -> Content:
    """The mail in all its forms. Raises DataMissing."""
    kind = KINDS[row.kind]
    if lacking := [name for name in kind.fields if name not in row.data]:
        raise DataMissing(f"{row.kind} lacks {', '.join(lacking)}")
    context = {
        **_plain(row.data),
        "first_name": _first_name(row),
        "to_address": to,
        "mail_us": parseaddr(settings.DEFAULT_FROM_EMAIL)[1],
        "unsubscribe_url": unsubscribe_url(row.user_id, row.kind) if kind.is_optional else "",
        **(_added[row.kind](row) if row.kind in _added else {}),
    }
    with timezone.override(moments.zone(row.user.time_zone)):
        return content(row.kind, context)


def content(kind: str, context: dict[str, Any]) -> Content:
    """The three forms of one template."""

    def form(layout: str, form: str) -> str:
        more = {"layout": f"emails/{layout}", "form": form}
        return render_to_string(f"emails/kinds/{kind}.html", {**context, **more}).strip()

    subject = " ".join(form("layout.subject.txt", "text").split())
    text = re.sub(r"\n\s*\n\s*", "\n\n", form("layout.txt", "text")) + "\n"
    html = form("layout.html", "html")
    return Content(subject, text, html, context.get("unsubscribe_url", ""))


def headline(kind: str, data: dict[str, Any]) -> tuple[str, str, str]:
    """The subject, and words and path of the first button: for a banner on our own pages."""
    buttons: list[tuple[str, str]] = []
    context = {**_plain(data), "form": "banner", "buttons": buttons}
    context["layout"] = "emails/layout.banner.txt"
    words = render_to_string(f"emails/kinds/{kind}.html", context)
    label, url = buttons[0] if buttons else ("", "")
    return " ".join(words.split()), label, url


def is_over(row: OutboundMail, now: datetime) -> bool:
    """Whether the moment of which it tells has passed."""
    until = row.data.get(KINDS[row.kind].until)
    return bool(until) and datetime.fromisoformat(until) <= now


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    """The data as a template can name it: `from` is no name there."""
    rest = {name: value for name, value in data.items() if name != "from"}
    return rest | {"from_plan": data.get("from")}


def _first_name(row: OutboundMail) -> str:
    """Only for an address that its owner has confirmed: to others goes no word of the sender's."""
    user = row.user
    is_known = user.email_confirmed_at is not None and row.to in ("", user.email)
    return user.first_name if is_known else ""

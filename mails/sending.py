"""The job that sends mails.

    pending → sent               the mail server has taken it
        └→ skipped               the account is closed, its user does not want it, or it is too late

What a server puts off is tried again for days; what it refuses is dead, until an operator retries.
A worker that dies between sending and storing that sends it once more, under the same Message-ID.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import parseaddr
from typing import Any

from django.conf import settings

from jobs.worker import RowJob

from . import preferences, transport
from .models import OutboundMail
from .render import Content, is_over, render

State = OutboundMail.State

CLOSED = "The account is closed."
UNWANTED = "Its user has turned off mails of this kind."
TOO_LATE = "What it tells of is over."


def send(row: OutboundMail, now: datetime) -> None:
    """Send the mail of the row. Raises what `transport.send` and `render` raise."""
    if row.state != State.PENDING:
        return
    if because := _why_not(row, now):
        _store(row, state=State.SKIPPED, skipped_because=because)
        return
    to = row.to or row.user.email
    content = render(row, to=to)
    transport.send(
        to=to,
        subject=content.subject,
        text=content.text,
        html=content.html,
        headers=_headers(row, content),
        user_id=row.user_id,
    )
    _store(row, state=State.SENT, sent_to=to, sent_at=now)


def _why_not(row: OutboundMail, now: datetime) -> str:
    if not row.user.is_active:
        return CLOSED
    if not preferences.is_wanted(row.user_id, row.kind):
        return UNWANTED
    return TOO_LATE if is_over(row, now) else ""


def _headers(row: OutboundMail, content: Content) -> dict[str, str]:
    host = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    headers = {"Message-ID": f"<{row.pk}@{host}>", "Auto-Submitted": "auto-generated"}
    if content.unsubscribe_url:
        headers["List-Unsubscribe"] = f"<{content.unsubscribe_url}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
    return headers


def _store(row: OutboundMail, **outcome: Any) -> None:
    OutboundMail.objects.filter(pk=row.pk, state=State.PENDING).update(**outcome)


SEND = RowJob("mails.send", OutboundMail, send)

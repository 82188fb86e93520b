"""The mail backend of a site under development: mails stay here, as files and in the log.

`EMAIL_URL=outbox://` chooses it. `accounts.outbox_page` shows the files. A file is named by the
moment, the user and a random part, so that they are found without being opened.
"""

from __future__ import annotations

import email
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage as ParsedMessage
from email.policy import default
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

logger = logging.getLogger(__name__)

BACKEND = "mails.kept.Backend"
FILES_MAX = 500  # the newest are kept


class Backend(BaseEmailBackend):
    """Keeps mails as files. The log gets the text, with its links."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            user_id = getattr(message, "user_id", None) or 0
            name = f"{time.time_ns():020}-{user_id}-{uuid.uuid4().hex}"
            begun = folder / f"{name}.part"
            begun.write_bytes(message.message().as_bytes())
            begun.rename(folder / f"{name}.eml")
            logger.info("mail to %s: %s\n%s", message.to, message.subject, message.body)
        for old in sorted(folder.glob("*.eml"))[:-FILES_MAX]:
            old.unlink(missing_ok=True)
        return len(email_messages)


@dataclass(frozen=True, slots=True)
class Kept:
    """A mail as it went out."""

    name: str
    user_id: int
    to: str
    subject: str
    text: str
    html: str
    sent_at: datetime


def is_on() -> bool:
    """Whether mails stay on this machine and may be looked at: under development only."""
    return settings.DEBUG and settings.EMAIL_BACKEND == BACKEND


def mails(*, user_id: int | None, limit: int = 50) -> list[Kept]:
    """The newest mails, of one user, or with None of everybody."""
    named = f"*-{user_id}-*.eml" if user_id is not None else "*.eml"
    return [_read(path) for path in sorted(_folder().glob(named), reverse=True)[:limit]]


def mail(name: str, *, user_id: int | None) -> Kept | None:
    """One of `mails` by its name, None if it is not there or not that user's."""
    found = next((path for path in _folder().glob("*.eml") if path.stem == name), None)
    kept = _read(found) if found else None
    return kept if kept and user_id in (None, kept.user_id) else None


def _read(path: Path) -> Kept:
    message: Any = email.message_from_bytes(path.read_bytes(), policy=default)
    nanoseconds, user_id, _ = path.stem.split("-")
    return Kept(
        name=path.stem,
        user_id=int(user_id),
        to=str(message["To"]),
        subject=str(message["Subject"]),
        text=_part(message, "plain"),
        html=_part(message, "html"),
        sent_at=datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC),
    )


def _part(message: ParsedMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    return str(part.get_content()) if part else ""


def _folder() -> Path:
    return Path(settings.OUTBOX_DIR)

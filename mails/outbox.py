"""Writing mails as rows, and sending one again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from jobs.models import due

from .kinds import KINDS
from .models import MailPreferences, OutboundMail

KEY_CHARACTERS_MAX = 100


def write(
    user_id: int, kind: str, key: str, data: dict[str, Any], now: datetime, *, to: str = ""
) -> None:
    """See `mails.write`."""
    if kind not in KINDS:
        raise ValueError(f"{kind} is no kind of mail")
    if not 0 < len(key) <= KEY_CHARACTERS_MAX:
        raise ValueError(f"the key of a mail is 1 to {KEY_CHARACTERS_MAX} characters")
    row = OutboundMail(
        user_id=user_id, kind=kind, key=key, data=data, to=to, created_at=now, **due(now)
    )
    OutboundMail.objects.bulk_create([row], ignore_conflicts=True)


def send_again(row: OutboundMail, now: datetime) -> None:
    """Have a mail sent once more, rendered anew; also one that was given up or skipped."""
    rows: Any = OutboundMail.objects.filter(pk=row.pk)
    rows.run_now(now, state=OutboundMail.State.PENDING, skipped_because="")


def forget(user_id: int) -> None:
    """Delete a user's mails and choices, because the account is deleted."""
    OutboundMail.objects.filter(user_id=user_id).delete()
    MailPreferences.objects.filter(user_id=user_id).delete()

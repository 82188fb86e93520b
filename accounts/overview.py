"""What the account's page says of the pages below it, each in a line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mails import preferences
from mails.kinds import optional

from . import second_step, sessions
from .access import CustomerRequest


def of(request: CustomerRequest, now: datetime) -> dict[str, Any]:
    """Counts of passkeys, sessions and mails of the user, for the template."""
    user = request.user
    unwanted = set(preferences.of(user.pk).unwanted) & set(optional())
    return {
        "has_app": second_step.has_app(user),
        "passkey_count": user.passkeys.count(),
        "session_count": len(sessions.of(user, here=request.session.session_key, now=now)),
        "mail_kinds": len(optional()),
        "mail_kinds_wanted": len(optional()) - len(unwanted),
    }

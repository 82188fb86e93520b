"""Password reset by e-mail.

The web request only stores a row; the worker writes the mail if the account exists. So response
and response time do not reveal whether there is an account, and a mail is delayed, not lost, while
the mail server is down. The link is made at the moment of sending: no row holds it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

import mails
from jobs.models import due
from jobs.worker import RowJob
from mails.models import OutboundMail

from . import typed
from .models import PasswordReset, User

PAUSE_SECONDS = 60  # between two e-mails to one address, so that nobody can flood a mailbox


def ask(*, email: str, now: datetime) -> None:
    """Request an e-mail with a link to the active user of this address, if there is one."""
    reset, is_new = PasswordReset.objects.get_or_create(
        email=typed.email(email), defaults={"asked_at": now, **due(now)}
    )
    if not is_new:
        paused = PasswordReset.objects.filter(
            pk=reset.pk, asked_at__lte=now - timedelta(seconds=PAUSE_SECONDS)
        )
        paused.run_now(now, asked_at=now)


def write(reset: PasswordReset, now: datetime) -> None:
    """Write the mail if the address has an active user. A request is one mail."""
    user = User.objects.filter(email=reset.email, is_active=True).first()
    if user is not None:
        with transaction.atomic():
            key = reset.asked_at.isoformat()
            mails.write(user.pk, "account.password_reset", key, {}, now, to=reset.email)
            PasswordReset.objects.filter(pk=reset.pk).update(written_at=now)


def context(row: OutboundMail) -> dict[str, Any]:
    """What the mail adds to its template at the moment of sending."""
    uid = urlsafe_base64_encode(force_bytes(row.user_id))
    token = default_token_generator.make_token(row.user)
    path = reverse("password_reset_confirm", kwargs={"uidb64": uid, "token": token})
    return {
        "url": settings.SITE_URL.rstrip("/") + path,
        "days": settings.PASSWORD_RESET_TIMEOUT // 86_400,
    }


WRITE = RowJob("password_reset.write", PasswordReset, write)

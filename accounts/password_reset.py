"""Password reset by e-mail.

The web request only stores a row; the worker sends the e-mail if the account exists. So response
and response time do not reveal whether there is an account, and an e-mail is delayed, not lost,
while the mail server is down.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from jobs.models import due
from jobs.worker import RowJob

from . import mail, typed
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


def send(reset: PasswordReset, now: datetime) -> None:
    """Send the e-mail if the address has an active user. Raises what `mail.send` raises."""
    user = User.objects.filter(email=reset.email, is_active=True).first()
    if user is not None:
        uid, token = (
            urlsafe_base64_encode(force_bytes(user.pk)),
            default_token_generator.make_token(user),
        )
        path = reverse("password_reset_confirm", kwargs={"uidb64": uid, "token": token})
        context = {
            "url": settings.SITE_URL.rstrip("/") + path,
            "days": settings.PASSWORD_RESET_TIMEOUT // 86_400,
        }
        mail.send(
            to=user.email,
            subject="Choose a new password for Vocalis",
            template="password_reset",
            context=context,
        )
        PasswordReset.objects.filter(pk=reset.pk).update(sent_at=now)


SEND = RowJob("password_reset.send", PasswordReset, send)

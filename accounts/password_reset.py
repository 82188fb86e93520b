"""Password reset by mail. The request only notes the wish, the worker sends the mail if there is
such an account.

So the answer takes as long, and says the same, whether there is one or not; and a mail server that
is down delays the mail and loses none.
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

PAUSE_SECONDS = 60  # at most one mail a minute and person, so that the form cannot flood a mailbox


def ask(*, email: str, now: datetime) -> None:
    """Have a mail with a link sent to the active user of this address, if there is one."""
    reset, is_new = PasswordReset.objects.get_or_create(
        email=typed.email(email), defaults={"asked_at": now, **due(now)}
    )
    if not is_new:
        paused = PasswordReset.objects.filter(
            pk=reset.pk, asked_at__lte=now - timedelta(seconds=PAUSE_SECONDS)
        )
        paused.run_now(now, asked_at=now)


def send(reset: PasswordReset, now: datetime) -> None:
    user = User.objects.filter(email=reset.email, is_active=True).first()
    if user is not None:
        uid, token = (
            urlsafe_base64_encode(force_bytes(user.pk)),
            default_token_generator.make_token(user),
        )
        path = reverse("password_reset_confirm", kwargs={"uidb64": uid, "token": token})
        words = {
            "url": settings.SITE_URL.rstrip("/") + path,
            "days": settings.PASSWORD_RESET_TIMEOUT // 86_400,
        }
        mail.send(
            to=user.email,
            subject="Choose a new password for Vocalis",
            template="password_reset",
            context=words,
        )
        PasswordReset.objects.filter(pk=reset.pk).update(sent_at=now)


SEND = RowJob("password_reset.send", PasswordReset, send)

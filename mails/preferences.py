"""Which mails a user wants, and the link in a mail that turns its kind off."""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.core import signing
from django.urls import reverse

from .kinds import optional
from .models import MailPreferences

SALT = "mails.unsubscribe"
LOW_BALANCE_CREDITS_MAX = 10**12


class LinkRefused(Exception):
    """The link is not one of ours."""


def of(user_id: int) -> MailPreferences:
    """The choices of a user; an unsaved row with none if there are none."""
    found = MailPreferences.objects.filter(user_id=user_id).first()
    return found or MailPreferences(user_id=user_id)


def is_wanted(user_id: int, kind: str) -> bool:
    if kind not in optional():
        return True
    return kind not in of(user_id).unwanted


def change(user_id: int, *, wanted: Collection[str], low_balance_credits: int | None) -> None:
    """Store the choices. Kinds that nobody can turn off are not among them."""
    unwanted = [kind for kind in optional() if kind not in wanted]
    MailPreferences.objects.update_or_create(
        user_id=user_id,
        defaults={"unwanted": unwanted, "low_balance_credits": low_balance_credits},
    )


def turn_off(user_id: int, kind: str) -> None:
    """Send no more mails of this kind. Safe to repeat."""
    row, _ = MailPreferences.objects.get_or_create(user_id=user_id)
    if kind not in row.unwanted:
        row.unwanted = [*row.unwanted, kind]
        row.save(update_fields=["unwanted"])


def unsubscribe_url(user_id: int, kind: str) -> str:
    """The address that turns this kind off without a login. It does not end."""
    token = signing.dumps([user_id, kind], salt=SALT)
    return settings.SITE_URL.rstrip("/") + reverse("mails-unsubscribe", args=[token])


def read_token(token: str) -> tuple[int, str]:
    """User and kind of the link. Raises LinkRefused."""
    try:
        user_id, kind = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError) as error:
        raise LinkRefused from error
    if kind not in optional():
        raise LinkRefused
    return user_id, kind

"""The link in every mail about a recharge that switches auto-recharge off without a login.

It is signed and does not expire: it can only switch off, which may be done twice. It is not what
mail programs call "unsubscribe": who wants fewer mails would go without recharges.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.core import signing
from django.urls import reverse

from accounts.models import Customer
from mails.models import OutboundMail

from .settings import switch_off

SALT = "billing.recharge.one_click"


class LinkInvalid(Exception):
    """The link was not made by us, or for another SECRET_KEY."""


def off_url(user_id: int) -> str:
    """The address that switches off this user's auto-recharge: a page with one button."""
    token = signing.dumps(user_id, salt=SALT)
    return settings.SITE_URL.rstrip("/") + reverse("recharge_off", args=[token])


def context_of(row: OutboundMail) -> dict[str, str]:
    """What a mail about a recharge is rendered with."""
    return {"off_url": off_url(row.user_id)}


def customer_of(token: str) -> Customer:
    """Whose link it is. Raises LinkInvalid."""
    try:
        return Customer.objects.get(user=signing.loads(token, salt=SALT))
    except (signing.BadSignature, ValueError, Customer.DoesNotExist) as error:
        raise LinkInvalid from error


def switch_off_by_link(*, token: str, now: datetime) -> None:
    """Switch it off as the customer's own choice. Safe to repeat. Raises LinkInvalid."""
    switch_off(customer_id=customer_of(token).pk, now=now)

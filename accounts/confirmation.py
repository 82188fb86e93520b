"""Confirming that an e-mail address is its user's, by a link that is sent there.

The first mail to any address is this one, and it carries nothing that anybody has typed. A link
names user and address, so it does nothing once another address is asked for. Opening it changes
nothing: programs that look into mails do that too. The button on its page does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.urls import reverse

import mails
from mails.models import OutboundMail

from .aliases import email_alias, raise_if_taken
from .models import Customer, IngestAlias, User

SALT = "accounts.confirm"
DAYS = 7


class LinkRefused(Exception):
    """The link is not ours, too old, or of an address that is not asked for any more."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked to confirm which address."""

    user: User
    address: str

    @property
    def is_change(self) -> bool:
        return self.address == self.user.new_email

    @property
    def is_done(self) -> bool:
        return self.address == self.user.email and self.user.email_confirmed_at is not None


def waiting(user: User) -> str:
    """The address that waits for its owner's confirmation, or ""."""
    if user.new_email:
        return user.new_email
    return "" if user.email_confirmed_at else user.email


def ask(*, user: User, now: datetime) -> None:
    """Send the link to the address that waits, if there is one: once in each minute."""
    if address := waiting(user):
        write(user.pk, address, now)


def write(user_id: int, address: str, now: datetime) -> None:
    """Write the mail with the link, in the caller's transaction."""
    named = hashlib.sha256(address.encode()).hexdigest()[:16]
    key = f"{named}-{now:%Y%m%d%H%M}"
    mails.write(user_id, "account.confirm_address", key, {}, now, to=address)


def context(row: OutboundMail) -> dict[str, Any]:
    """What the mail adds to its template at the moment of sending."""
    token = signing.dumps([row.user_id, row.to], salt=SALT)
    path = reverse("confirm_address", args=[token])
    return {"url": settings.SITE_URL.rstrip("/") + path, "days": DAYS}


def read(token: str) -> Asked:
    """Whom the link asks for what. Raises LinkRefused."""
    try:
        user_id, address = signing.loads(token, salt=SALT, max_age=DAYS * 86_400)
    except (signing.BadSignature, ValueError) as error:
        raise LinkRefused from error
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or address not in (user.email, user.new_email):
        raise LinkRefused
    return Asked(user, address)


def confirm(token: str, now: datetime) -> User:
    """Confirm the address of the link. Safe to repeat.

    A new address becomes the user's, and the former one is told. Raises LinkRefused, or EmailTaken
    if another account has got the address meanwhile.
    """
    asked = read(token)
    try:
        with transaction.atomic():
            user = User.objects.select_for_update().get(pk=asked.user.pk)
            if asked.address == user.email:
                _confirm_current(user, now)
            elif asked.address == user.new_email and user.is_active:
                _move(user, now)
            else:  # another address was asked for in this moment
                raise LinkRefused
    except IntegrityError as error:
        raise_if_taken(asked.address, error)
        raise
    return User.objects.get(pk=asked.user.pk)


def _confirm_current(user: User, now: datetime) -> None:
    mine = User.objects.filter(pk=user.pk, email=user.email, email_confirmed_at=None)
    if mine.update(email_confirmed_at=now):
        mails.write(user.pk, "account.welcome", "welcome", {}, now)


def _move(user: User, now: datetime) -> None:
    former, new = user.email, user.new_email
    User.objects.filter(pk=user.pk).update(email=new, new_email="", email_confirmed_at=now)
    for customer in Customer.objects.filter(user=user).exclude(aliases__name=email_alias(new)):
        _replace_alias(customer, email_alias(new), now)
    mails.write(user.pk, "account.address_changed", f"{now.isoformat()}", {}, now, to=former)


def _replace_alias(customer: Customer, name: str, now: datetime) -> None:
    # A new row, not a new name in the old row: a worker that is pushing the old name at this moment
    # marks the row as pushed, which would be wrong for the new name.
    customer.aliases.filter(kind=IngestAlias.Kind.EMAIL).delete()
    IngestAlias.objects.create(customer=customer, kind=IngestAlias.Kind.EMAIL, name=name)
    rows: Any = Customer.objects.filter(pk=customer.pk)
    rows.run_now(now)

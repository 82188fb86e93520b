"""Changes of name, and asking for another e-mail address."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

import mails

from . import confirmation, typed
from .aliases import EmailTaken, email_alias
from .models import Customer, IngestAlias, User


def change(
    *,
    user: User,
    first_name: str,
    last_name: str,
    email: str,
    now: datetime,
    time_zone: str | None = None,
) -> bool:
    """Store the names, and the time zone if one is given.

    Another e-mail address is asked for, and used once it is confirmed.

    Returns whether an address was asked for. Raises EmailTaken.

    The worker pushes the names to Metronome. A closed account is not changed: a request that began
    before the account was closed must not restore personal data that is being deleted.
    """
    email = typed.email(email)
    names = {"first_name": first_name, "last_name": last_name}
    with transaction.atomic():
        mine = User.objects.filter(pk=user.pk, is_active=True)
        held = mine.select_for_update().first()
        if held is None:
            return False
        is_new = email != held.email
        if is_new:
            _raise_if_of_another(email, held)
            mine.update(new_email=email)
            confirmation.write(user.pk, email, now)
            _tell_of_change(held, now)
        if time_zone is not None:
            mine.update(time_zone=time_zone)
        if mine.exclude(**names).update(**names):
            Customer.objects.filter(user=user).run_now(now)
    return is_new


def keep_address(*, user: User) -> None:
    """Ask for no other address any more."""
    User.objects.filter(pk=user.pk).update(new_email="")


def _tell_of_change(user: User, now: datetime) -> None:
    """The present address hears of it before the new one counts, if its owner has confirmed it."""
    if user.email_confirmed_at is not None:
        key = f"{now:%Y%m%d%H%M}"  # as often as the link
        mails.write(user.pk, "account.address_asked", key, {}, now, to=user.email)


def _raise_if_of_another(email: str, user: User) -> None:
    users = User.objects.filter(email=email).exclude(pk=user.pk)
    aliases = IngestAlias.objects.filter(name=email_alias(email)).exclude(customer__user=user)
    if users.exists() or aliases.exists():
        raise EmailTaken

"""Finds the customer or member of staff that a command's argument names."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from django.db.models import Q

from accounts import typed
from accounts.models import Customer, User
from operations.command import Refused


def customer_named(text: str) -> Customer:
    """The customer with this e-mail address, id, Metronome id or ingest alias. Raises Refused."""
    wanted = (
        Q(user__email=typed.email(text)) | Q(metronome_id=text) | Q(aliases__name=typed.email(text))
    )
    with suppress(ValueError):
        wanted |= Q(pk=UUID(text))
    customer = Customer.objects.select_related("user").filter(wanted).distinct().first()
    if customer is None:
        raise Refused(f"There is no customer {text}.")
    return customer


def staff_named(email: str | None) -> User:
    """The member of staff with this e-mail address, or the only active superuser if it is None.

    Raises Refused.
    """
    staff = User.objects.filter(is_staff=True, is_active=True)
    if email is not None:
        person = staff.filter(email=typed.email(email)).first()
        if person is None:
            raise Refused(f"{email} is not a member of staff.")
        return person
    superusers = staff.filter(is_superuser=True)[:2]
    if len(superusers) != 1:
        raise Refused("Say who decides it: --by STAFF_EMAIL.")
    return superusers[0]

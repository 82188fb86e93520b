"""A new account: the person, the customer that is billed for them,
and the names their usage is reported under."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from jobs.models import due

from . import typed
from .models import Customer, IngestAlias, User

# The e-mail is part of an ingest alias, and Metronome takes those up to 128 characters.
EMAIL_CHARACTERS_MAX = 120


class EmailTaken(Exception):
    """Someone has an account for this e-mail address, or usage is reported under it."""

    def __init__(self) -> None:
        super().__init__("There is already an account for this e-mail address.")


def register(
    *, email: str, password: str, first_name: str, last_name: str, now: datetime
) -> Customer:
    """Make the user, their customer and its aliases at once;
    the worker makes the customer at Metronome. Raises EmailTaken."""
    email = typed.email(email)
    user = User(email=email, first_name=first_name, last_name=last_name)
    user.set_password(password)  # before the transaction: hashing is slow on purpose
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            customer = Customer.objects.create(user=user, created_at=now, **due(now))
            IngestAlias.objects.create(
                customer=customer, kind=IngestAlias.Kind.STABLE, name=customer.stable_alias
            )
            IngestAlias.objects.create(
                customer=customer, kind=IngestAlias.Kind.EMAIL, name=email_alias(email)
            )
    except IntegrityError as error:
        raise_if_taken(email, error)
        raise
    return customer


def email_alias(email: str) -> str:
    return f"vocalis_{email}"


def raise_if_taken(email: str, error: IntegrityError) -> None:
    """Tell the one IntegrityError that is the visitor's business from those that are bugs."""
    users, aliases = (
        User.objects.filter(email=email),
        IngestAlias.objects.filter(name=email_alias(email)),
    )
    if users.exists() or aliases.exists():
        raise EmailTaken from error

"""Creates accounts: a user, the customer that is billed, and its ingest aliases."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from jobs.models import due

from . import confirmation, typed
from .aliases import email_alias, raise_if_taken
from .models import Customer, IngestAlias, User

# The e-mail address is part of an ingest alias, which Metronome limits to 128 characters.
EMAIL_CHARACTERS_MAX = 120


def register(
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    now: datetime,
    time_zone: str = "",
) -> Customer:
    """Create the user, the customer and its aliases in one transaction. Raises EmailTaken.

    The worker creates the customer at Metronome, and sends a link to confirm the address.
    """

    email = typed.email(email)
    user = User(email=email, first_name=first_name, last_name=last_name, time_zone=time_zone)
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
            confirmation.write(user.pk, email, now)
    except IntegrityError as error:
        raise_if_taken(email, error)
        raise
    return customer

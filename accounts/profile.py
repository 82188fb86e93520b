"""Changes of name and e-mail address."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from . import typed
from .models import Customer, IngestAlias, User
from .signup import email_alias, raise_if_taken


def change(*, user: User, first_name: str, last_name: str, email: str, now: datetime) -> None:
    """Store the names and the e-mail address. Raises EmailTaken.

    The worker pushes changes to Metronome: the names, and the address as an ingest alias. A closed
    account is not changed: a request that began before the account was closed must not restore
    personal data that is being deleted.
    """
    email = typed.email(email)
    names = {"first_name": first_name, "last_name": last_name}
    try:
        with transaction.atomic():
            # Before the alias is written: the row lock makes a concurrent request of the same
            # person wait, so there is one alias of each kind.
            mine = User.objects.filter(pk=user.pk, is_active=True)
            if not mine.update(email=email):
                return
            renamed = mine.exclude(**names).update(**names)
            if renamed:
                Customer.objects.filter(user=user).run_now(now)
            for customer in Customer.objects.filter(user=user).exclude(
                aliases__name=email_alias(email)
            ):
                _replace_alias(customer, email_alias(email), now)
    except IntegrityError as error:
        raise_if_taken(email, error)
        raise


def _replace_alias(customer: Customer, name: str, now: datetime) -> None:
    # A new row, not a new name in the old row: a worker that is pushing the old name at this moment
    # marks the row as pushed, which would be wrong for the new name.
    customer.aliases.filter(kind=IngestAlias.Kind.EMAIL).delete()
    IngestAlias.objects.create(customer=customer, kind=IngestAlias.Kind.EMAIL, name=name)
    Customer.objects.filter(pk=customer.pk).run_now(now)

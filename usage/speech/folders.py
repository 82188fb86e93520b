"""Folders of a customer's texts. A text is in one or in none."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.models import Customer
from usage.models import Folder, Generation

from . import shelf
from .problems import Refused

FOLDERS_MAX = 200  # of a customer
NAME_CHARACTERS_MAX = 60


def of(customer: Customer) -> list[Folder]:
    """All of them, by name."""
    return sorted(customer.folders.all(), key=lambda folder: folder.name.casefold())


def create(*, customer: Customer, name: str, now: datetime) -> Folder:
    """A new folder. Raises Refused."""
    name = _checked(name)
    # One at a time, so that no two make the last one.
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        if customer.folders.count() >= FOLDERS_MAX:
            message = f"You have {FOLDERS_MAX} folders, and more are not possible. Delete one."
            raise Refused({"name": [message]})
        folder, is_new = Folder.objects.get_or_create(
            customer=customer, name=name, defaults={"created_at": now}
        )
    if not is_new:
        raise Refused({"name": [_taken(name)]})
    return folder


def rename(folder: Folder, name: str) -> None:
    """Raises Refused."""
    folder.name = _checked(name)
    try:
        with transaction.atomic():
            folder.save(update_fields=["name"])
    except IntegrityError as error:
        raise Refused({"name": [_taken(folder.name)]}) from error


def delete(folder: Folder) -> None:
    """Delete the folder. Its texts stay, in no folder."""
    with transaction.atomic():
        Generation.objects.filter(folder=folder).update(folder=None)
        folder.delete()


def _checked(name: str) -> str:
    name = shelf.checked(name, field="name", characters_max=NAME_CHARACTERS_MAX)
    if not name:
        raise Refused({"name": ["Write a name for the folder."]})
    return name


def _taken(name: str) -> str:
    return f"There is a folder {name} already. Choose another name."

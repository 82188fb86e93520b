"""The ingest alias that is made of an e-mail address, and addresses that are taken."""

from __future__ import annotations

from django.db import IntegrityError

from .models import IngestAlias, User


class EmailTaken(Exception):
    """Another account has this e-mail address, or an ingest alias made from it."""

    def __init__(self) -> None:
        super().__init__("There is already an account for this e-mail address.")


def email_alias(email: str) -> str:
    return f"vocalis_{email}"


def raise_if_taken(email: str, error: IntegrityError) -> None:
    """Raise EmailTaken if a taken address explains the IntegrityError; otherwise it is a bug."""
    users, aliases = (
        User.objects.filter(email=email),
        IngestAlias.objects.filter(name=email_alias(email)),
    )
    if users.exists() or aliases.exists():
        raise EmailTaken from error

"""Customers by what staff knows of them."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from . import typed
from .models import Customer

ALIAS_PREFIX = "vocalis_"


def customers_like(term: str) -> QuerySet[Customer]:
    """By e-mail address or its beginning, customer id, stable alias, or id at Metronome."""
    found = Q(user__email__startswith=typed.email(term)) | Q(metronome_id=term)
    if (identifier := uuid_of(term.removeprefix(ALIAS_PREFIX))) is not None:
        found |= Q(pk=identifier)
    return Customer.objects.filter(found)


def uuid_of(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None

"""The operator's search: what a customer, Stripe or Metronome calls a thing finds its row.

Each kind of word is looked up by an equality or a prefix on an index; nothing scans a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.db.models import Model, Q, QuerySet, UUIDField
from django.urls import reverse

from accounts.api_keys import PREFIX, SHOWN_FIRST
from accounts.lookup import customers_like, uuid_of
from accounts.models import ApiKey, Customer, IngestAlias
from billing.models import (
    Contract,
    CreditGrant,
    Dispute,
    GatewayCustomer,
    Invoice,
    Paper,
    Payment,
    PaymentAlert,
    PaymentAttempt,
    Refund,
)
from billing.papers.content import PREFIXES

CHARACTERS_MAX = 320  # an e-mail address
CHARACTERS_MIN = 3
FOUND_MAX = 20  # of a kind

# What Stripe and Metronome call the things that our rows have. All are indexed.
REMOTE_IDS: tuple[tuple[type[Model], str], ...] = (
    (Payment, "gateway_reference"),
    (PaymentAttempt, "gateway_reference"),
    (Refund, "reference"),
    (Dispute, "reference"),
    (PaymentAlert, "reference"),
    (GatewayCustomer, "reference"),
    (Invoice, "remote_id"),
    (Contract, "metronome_id"),
    (CreditGrant, "segment_id"),
)
NUMBER = re.compile(rf"(?:{'|'.join(PREFIXES.values())})-\d{{4}}((?:-[0-9A-F]{{4}}){{3}})")


@dataclass(frozen=True, slots=True)
class Found:
    """A row, and its page in the admin."""

    kind: str
    name: str
    owner: str
    url: str


class TooShort(ValueError):
    """There is too little to look for. The message says how much it takes."""


def find(term: str, viewer: Any) -> list[Found]:
    """What `term` names, of what the viewer may see; customers first. Raises TooShort.

    An e-mail address or its beginning, the name of an alias, the id of any row, the id of a thing
    at Stripe or Metronome, the number of a paper, or a key as its page shows it.
    """
    term = " ".join(term.split())[:CHARACTERS_MAX]
    if len(term) < CHARACTERS_MIN:
        raise TooShort(f"Type at least {CHARACTERS_MIN} characters.")
    found: dict[str, Found] = {}
    for rows in _lookups(term):
        meta = rows.model._meta
        if viewer.has_perm(f"{meta.app_label}.view_{meta.model_name}"):
            for row in rows[:FOUND_MAX]:
                one = _found(row)
                found.setdefault(one.url, one)
    return list(found.values())


def _lookups(term: str) -> Iterator[QuerySet[Any]]:
    yield _of_customers(term)
    if term.startswith(PREFIX):
        yield _keys(term)
        return
    if (identifier := uuid_of(term)) is not None:
        for model in _with_uuids():
            yield model._default_manager.filter(pk=identifier)
    for model, field in REMOTE_IDS:
        yield model._default_manager.filter(**{field: term})
    if number := NUMBER.fullmatch(term.upper()):
        yield Paper.objects.filter(number=number[0])
        yield _payments_numbered(number[1].replace("-", ""))


def _of_customers(term: str) -> QuerySet[Customer]:
    aliases = IngestAlias.objects.filter(name=term).values_list("customer_id", flat=True)
    ids = [*customers_like(term).values_list("pk", flat=True)[:FOUND_MAX], *aliases]
    return Customer.objects.filter(pk__in=ids).select_related("user").order_by("user__email")


def _keys(term: str) -> QuerySet[ApiKey]:
    """By what its page shows of a key, such as vk_1a2B3 or vk_1a2B3…x9Yz, or by all of it."""
    found = Q(first_characters=term[:SHOWN_FIRST])
    if len(term) > SHOWN_FIRST and (last := term.rpartition("…")[2][-4:]):
        found &= Q(last_characters=last)
    return ApiKey.objects.filter(found).order_by("-created_at")


def _payments_numbered(digits: str) -> QuerySet[Payment]:
    """Payments whose papers have this number, also before one was issued: it is the id's start."""
    least = UUID(digits.ljust(32, "0"))
    most = UUID(digits.ljust(32, "f"))
    return Payment.objects.filter(pk__gte=least, pk__lte=most)


def _with_uuids() -> Iterator[type[Model]]:
    for model in apps.get_models():
        if admin.site.is_registered(model) and model is not Customer:
            key: Any = model._meta.pk
            if isinstance(getattr(key, "target_field", key), UUIDField):
                yield model


def _found(row: Any) -> Found:
    meta = row._meta
    owner = row if isinstance(row, Customer) else _owner(row)
    return Found(
        kind=str(meta.verbose_name),
        name=str(row),
        owner=str(owner or ""),
        url=reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]),
    )


def _owner(row: Any) -> Customer | None:
    for path in (("customer",), ("wallet", "customer"), ("payment", "customer")):
        owner = row
        for name in path:
            owner = getattr(owner, name, None)
        if isinstance(owner, Customer):
            return owner
    return None

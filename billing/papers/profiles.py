"""The billing profile: whom papers are made out to."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from accounts import typed
from accounts.models import Customer
from accounts.names import REFUSED_CATEGORIES
from billing.models import BillingProfile, Paper
from jobs.models import due

from . import tax_ids
from .countries import COUNTRIES

CHARACTERS_MAX = {
    "name": 160,
    "line1": 160,
    "line2": 160,
    "postal_code": 20,
    "city": 100,
    "state": 100,
    "country": 2,
    "tax_id": tax_ids.CHARACTERS_MAX,
}
FIELDS = tuple(CHARACTERS_MAX)
# Where tax depends on it, and a letter does not arrive without.
NEED_STATE = {"US", "CA", "AU", "IN", "BR", "MX"}
NO_POSTAL_CODE = {"AE", "HK", "IE", "PA", "QA"}


class FieldInvalid(Exception):
    """A field is wrong. `field` names it, the message says what would be right."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def of(customer: Customer) -> BillingProfile | None:
    return BillingProfile.objects.filter(customer=customer).first()


def save(*, customer: Customer, fields: dict[str, str], now: datetime) -> bool:
    """Store the profile. Returns whether anything changed.

    `fields` are those of FIELDS. A worker tells the payment gateway. A closed account is not
    changed: what is being forgotten must not come back. Raises FieldInvalid.
    """
    values = _checked({name: fields.get(name, "").strip() for name in FIELDS})
    with transaction.atomic():
        held = Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        if not held.user.is_active:
            return False
        found = BillingProfile.objects.filter(customer=customer).first()
        if found and all(getattr(found, name) == value for name, value in values.items()):
            return False
        if found:
            rows: Any = BillingProfile.objects.filter(pk=found.pk)
            # The tax depends on it; the worker asks anew.
            unknown = {"tax_percent": None, "is_reverse_charged": False, "tax_asked_at": None}
            rows.run_now(now, **values, changed_at=now, **unknown)
        else:
            BillingProfile.objects.create(customer=customer, **values, changed_at=now, **due(now))
    return True


def buyer(customer: Customer) -> dict[str, Any]:
    """Who the customer is, as papers print it. Without a profile, the account's own name.

    Keys: name, address (lines), country (its name), tax_id.
    """
    profile = of(customer)
    if profile is None:
        user = customer.user
        return {"name": user.get_full_name() or user.email, "address": [user.email], "tax_id": ""}
    region = " ".join(filter(None, [profile.state, profile.postal_code]))
    place = f"{profile.postal_code} {profile.city}".strip()
    if profile.country in NEED_STATE:
        place = f"{profile.city}, {region}"
    lines = [profile.line1, profile.line2, place]
    if profile.state and profile.country not in NEED_STATE:
        lines.append(profile.state)
    lines.append(COUNTRIES[profile.country])
    return {
        "name": profile.name,
        "address": [line for line in lines if line],
        "tax_id": profile.tax_id,
    }


def is_reverse_charged(customer: Customer) -> bool:
    """Whether no tax is added because the customer, a business elsewhere, accounts for it."""
    said = BillingProfile.objects.filter(customer=customer, is_reverse_charged=True)
    return settings.STRIPE_TAX and said.exists()


def forget(customer: Customer) -> None:
    """Delete the profile, and take person and card off what was issued. Numbers and amounts stay.

    In the caller's transaction.
    """
    BillingProfile.objects.filter(customer=customer).delete()
    for paper in Paper.objects.filter(customer=customer).select_for_update():
        paper.content = paper.content | {"buyer": {"name": "", "address": [], "tax_id": ""}}
        paper.content["paid_with"] = ""
        paper.save(update_fields=["content"])


def _checked(values: dict[str, str]) -> dict[str, str]:
    """The values in the form they are stored. Raises FieldInvalid."""
    values = dict(values)
    for name, limit in CHARACTERS_MAX.items():
        try:
            value = values[name] = typed.normalise(values[name], characters_max=limit)
        except typed.Unfit as error:
            raise FieldInvalid(name, str(error)) from error
        if len(value) > limit:
            raise FieldInvalid(name, f"Write at most {limit} characters.")
        if any(unicodedata.category(character) in REFUSED_CATEGORIES for character in value):
            raise FieldInvalid(name, "Write it without line breaks and invisible characters.")
    if values["country"] not in COUNTRIES:
        raise FieldInvalid("country", "Choose a country.")
    needed = {"name": "Write a name or company.", "line1": "Write street and number."}
    needed["city"] = "Write the city."
    if values["country"] in NEED_STATE:
        needed["state"] = "Write the state: it belongs to addresses there."
    if values["country"] not in NO_POSTAL_CODE:
        needed["postal_code"] = "Write the postal code."
    for name, words in needed.items():
        if not values[name]:
            raise FieldInvalid(name, words)
    try:
        tax_id = tax_ids.clean(values["country"], values["tax_id"])
    except tax_ids.TaxIdInvalid as error:
        raise FieldInvalid("tax_id", str(error)) from error
    return values | {"tax_id": tax_id}

"""API keys with their budgets, for the page, the API, the admin and the command alike."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from accounts import api_keys
from accounts.api_keys import KeyRefused
from accounts.models import ApiKey, Customer
from billing import ledger
from billing.ledger import Budget
from billing.ledger.budgets import Period, budgets
from billing.models import KeyBudget

LIMIT_MAX = 10**12  # credits


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its budget at one moment."""

    key: ApiKey
    budget: Budget


@sensitive_variables("secret")
def create(
    *,
    customer: Customer,
    name: str,
    scopes: Collection[str] = api_keys.DEFAULT_SCOPES,
    limit: int | None = None,
    period: str = Period.NONE,
    expires_at: datetime | None = None,
    now: datetime,
    request: str = "",
    idempotency_key: str = "",
) -> tuple[ApiKey, str]:
    """Make a key that may spend `limit` credits (None: no limit) in each period.

    Returns it with its secret, which nobody can read again. Raises KeyRefused, AlreadyMade and
    IdempotencyKeyReused: see `api_keys.create`, also for `request` and `idempotency_key`.
    """
    errors = _errors(limit, period)
    try:
        with transaction.atomic():
            key, secret = api_keys.create(
                customer=customer,
                name=name,
                scopes=scopes,
                expires_at=expires_at,
                now=now,
                request=request,
                idempotency_key=idempotency_key,
            )
            if errors:
                raise KeyRefused(errors)
            if not KeyBudget.objects.filter(pk=key.pk).exists():  # else it was made before
                ledger.set_budget(key.pk, limit=limit, period=period, now=now)
    except KeyRefused as error:
        raise KeyRefused(error.errors | errors) from error
    return key, secret


def change(key: ApiKey, *, limit: int | None, period: str, now: datetime) -> None:
    """Give a key another budget. What it has spent in the current period stays counted.

    Raises KeyRefused.
    """
    if errors := _errors(limit, period):
        raise KeyRefused(errors)
    ledger.set_budget(key.pk, limit=limit, period=period, now=now)


def of(customer: Customer, now: datetime) -> list[Key]:
    """All keys of a customer, newest first, also those that cannot be used any more."""
    rows = list(ApiKey.objects.filter(customer=customer).order_by("-created_at", "-pk"))
    found = budgets([row.pk for row in rows], now)
    return [Key(row, found[row.pk]) for row in rows]


def _errors(limit: int | None, period: str) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if limit is not None and not 1 <= limit <= LIMIT_MAX:
        errors["limit"] = [f"A budget is 1 to {LIMIT_MAX:,} credits, or none."]
    if period not in Period.values:
        errors["period"] = [f"Choose one of {', '.join(Period.values)}."]
    elif limit is None and period != Period.NONE:
        errors["limit"] = ["Say how many credits the key may spend in each period."]
    return errors

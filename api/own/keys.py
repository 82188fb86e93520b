"""The key of a request, and the keys of an account."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from ninja import Status

from accounts import api_keys
from accounts.models import ApiKey
from api import limits
from api.failures import Failure
from billing import keys, ledger

from . import idempotency
from .api import Key as Auth
from .api import api
from .schemas import PROBLEMS, BudgetChange, Key, KeyIn, Keys, NewKey, ThisKey

MADE_BEFORE = (
    "This request has made the key {id} before. Its secret is not shown twice, and we keep no copy"
    " of it. If you do not have it, revoke that key, and make another with a new Idempotency-Key."
)


@api.get(
    "/key",
    auth=Auth(""),
    operation_id="getKey",
    summary="The key of this request",
    response={200: ThisKey, **PROBLEMS},
)
def get_key(request: Any) -> dict[str, Any]:
    found = request.api_key
    rate = limits.rate_of(found)
    return as_json(found, ledger.budgets.budget(found.pk, request.now)) | {
        "rate_limit": {
            "requests_a_minute": rate.requests_a_minute,
            "requests_at_once": rate.requests_at_once,
        }
    }


@api.get(
    "/keys",
    auth=Auth("keys"),
    operation_id="listKeys",
    summary="All keys of the account",
    response={200: Keys, **PROBLEMS},
)
def list_keys(request: Any) -> dict[str, Any]:
    found = keys.of(request.customer, request.now)
    return {"data": [as_json(each.key, each.budget) for each in found]}


@api.post(
    "/keys",
    auth=Auth("keys"),
    operation_id="createKey",
    summary="Make a key",
    description="It may have no scopes that the key of this request does not have, and last no "
    "longer. A key with a budget makes none. " + idempotency.DESCRIPTION,
    response={201: NewKey, **PROBLEMS},
)
def create_key(
    request: Any,
    data: KeyIn,
    response: HttpResponse,
    idempotency_key: str | None = idempotency.HEADER,
) -> Status[dict[str, Any]]:
    if beyond := set(data.scopes) & api_keys.SCOPES.keys() - set(request.api_key.scopes):
        raise Failure(
            403,
            "insufficient_scope",
            f"This API key cannot make one with more scopes than it has: {', '.join(beyond)}.",
        )
    _check_free_of_budget(request)
    if request.api_key.expires_at:
        _check_ends_before(request.api_key.expires_at, data.expires_at)
    try:
        key, secret = keys.create(
            customer=request.customer,
            name=data.name,
            scopes=data.scopes,
            limit=data.budget.limit,
            period=data.budget.period,
            expires_at=data.expires_at,
            now=request.now,
            **_sent(request, data, idempotency_key),
        )
    except api_keys.KeyRefused as error:
        raise Failure(422, "invalid_request", str(error), errors=error.errors) from error
    except api_keys.AlreadyMade as error:
        raise idempotency.already_made("key", error.key.pk, MADE_BEFORE) from error
    except api_keys.IdempotencyKeyReused as error:
        raise idempotency.reused("key", error.key.pk) from error
    if key.created_at < request.now:
        response["Idempotent-Replayed"] = "true"
    budget = ledger.budgets.budget(key.pk, request.now)
    return Status(201, as_json(key, budget) | {"secret": secret})


@api.patch(
    "/keys/{key_id}",
    auth=Auth("keys"),
    operation_id="changeKey",
    summary="Give a key another budget",
    description="What is left out stays as it is. A limit of null takes the budget away. A key "
    "with a budget changes none.",
    response={200: Key, **PROBLEMS},
)
def change_key(request: Any, key_id: UUID, data: BudgetChange) -> dict[str, Any]:
    _check_free_of_budget(request)
    key = _of(request, key_id)
    known = ledger.budgets.budget(key.pk, request.now)
    wanted = {"limit": known.limit, "period": known.period} | data.model_dump(exclude_unset=True)
    if wanted["limit"] is None and "period" not in data.model_fields_set:
        wanted["period"] = "none"
    try:
        keys.change(key, **wanted, now=request.now)
    except api_keys.KeyRefused as error:
        raise Failure(422, "invalid_request", str(error), errors=error.errors) from error
    return as_json(key, ledger.budgets.budget(key.pk, request.now))


def _check_ends_before(ends_at: datetime, wanted: datetime | None) -> None:
    """A moment without a zone is refused as such afterwards."""
    if wanted is None or (wanted.tzinfo and wanted > ends_at):
        until = ends_at.isoformat(timespec="seconds")
        raise Failure(
            403,
            "insufficient_scope",
            f"This API key cannot make one that lasts longer: set expires_at to {until} at most.",
        )


def _check_free_of_budget(request: Any) -> None:
    """A key that could lift its own budget, or spend by another key, would have none."""
    if ledger.budgets.budget(request.api_key.pk, request.now).limit is not None:
        raise Failure(
            403,
            "insufficient_scope",
            "This API key has a budget, so it can neither make keys nor change budgets. Do that "
            "with a key without one, or on the page of keys.",
        )


@api.delete(
    "/keys/{key_id}",
    auth=Auth("keys"),
    operation_id="revokeKey",
    summary="Revoke a key, at once and for good",
    response={200: Key, **PROBLEMS},
)
def revoke_key(request: Any, key_id: UUID) -> dict[str, Any]:
    key = _of(request, key_id)
    api_keys.revoke(key, request.now)
    return as_json(key, ledger.budgets.budget(key.pk, request.now))


def as_json(key: ApiKey, budget: ledger.Budget) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.first_characters,
        "last_four": key.last_characters,
        "scopes": key.scopes,
        "budget": {
            "limit": budget.limit,
            "period": budget.period,
            "spent": budget.spent,
            "held": budget.held,
            "remaining": budget.remaining,
            "resets": budget.resets_at,
        },
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


def _sent(request: Any, data: KeyIn, idempotency_key: str | None) -> dict[str, str]:
    """What names the request among those of this key, for asking again."""
    if not idempotency_key:
        return {}
    named = idempotency.named(request, idempotency_key)
    return {"request": f"{named} {data.model_dump_json()}", "idempotency_key": named}


def _of(request: Any, key_id: UUID) -> ApiKey:
    found = ApiKey.objects.filter(id=key_id, customer=request.customer).first()
    if found is None:
        raise Http404
    return found

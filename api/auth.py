"""Who asks: the API key of a request, from either header that clients send."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.http import HttpRequest

from accounts import api_keys
from accounts.models import ApiKey

from . import limits
from .failures import Failure

XI_HEADER = "xi-api-key"


def secret_of(headers: Mapping[str, str]) -> str:
    """The secret that a request brings, "" if none. Any client may use either header."""
    if secret := headers.get(XI_HEADER, ""):
        return secret.strip()
    scheme, _, secret = headers.get("Authorization", "").strip().partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def authenticate(request: HttpRequest, scope: str, now: datetime) -> ApiKey:
    """The key of a request, which may be used for `scope` ("" for any). Raises Failure.

    The request is counted, and `request.admission` says how many more may be made: see `limits`.
    """
    key = authenticated(secret_of(request.headers), scope, now)
    request.admission = limits.enter(key, now)  # type: ignore[attr-defined]
    return key


def authenticated(secret: str, scope: str, now: datetime) -> ApiKey:
    """The key of a secret, which may be used for `scope` ("" for any). Raises Failure."""
    if not secret:
        raise Failure(
            401,
            "missing_api_key",
            "Send your Vocalis API key: as Authorization: Bearer vk_…, or as xi-api-key: vk_….",
        )
    try:
        key = api_keys.find(secret, now)
    except api_keys.InvalidKey as error:
        raise Failure(401, "invalid_api_key", str(error)) from None
    if scope and scope not in key.scopes:
        raise Failure(
            403,
            "insufficient_scope",
            f"This API key may not be used for this: it needs the scope {scope}.",
            details={"scope": scope},
        )
    return key

"""API keys: made, found by their secret, revoked. What a key may spend is `billing.keys`.

A secret is `vk_`, 40 random letters and digits, and 6 that are a checksum of those: so a typing
error is refused without a look into the database, and scanners can tell a real key from a word. It
is shown once. Kept is its SHA-256, which needs no slow hash because nobody can guess 238 bits.

A form or request that is sent twice makes one key, and both answers show it: a browser shows the
second one only, and a program may have lost the first. For that the secret is made of what was
sent, with its random token or its idempotency key, and of SECRET_KEY.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables

from .models import ApiKey, Customer

PREFIX = "vk_"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_DIGITS, CHECK_DIGITS = 40, 6
SHOWN_FIRST, SHOWN_LAST = 8, 4
# What a key may be used for. "read" looks at what is there, the others change it.
SCOPES = {
    "speech": "Make speech, for credits",
    "read": "Read balance, usage, texts and audio",
    "voices": "Make and delete own voices",
    "keys": "Make, change and revoke keys",
    "webhooks": "Set up webhooks",
}
DEFAULT_SCOPES = ("speech", "read")
NAME_CHARACTERS_MAX = 60
KEYS_MAX = 50  # of one customer that are not revoked
USED_SECONDS = 60  # how often at most the time of use is written
AGAIN_SECONDS = 60  # for which a request that is sent again is given the secret again

_SECRET = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM_DIGITS + CHECK_DIGITS}}}")


class InvalidKey(Exception):
    """The secret is of no key that may be used. The message says why, and never what it was."""


class KeyRefused(ValueError):
    """A key cannot be made so; `errors` says why, by field."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(" ".join(message for messages in errors.values() for message in messages))
        self.errors = errors


class AlreadyMade(Exception):
    """This request has made a key before; its secret cannot be shown any more."""

    def __init__(self, key: ApiKey) -> None:
        super().__init__(f"{key.name} was made by this request before")
        self.key = key


class IdempotencyKeyReused(Exception):
    """Another request has made a key under this idempotency key."""

    def __init__(self, key: ApiKey) -> None:
        super().__init__(f"{key.name} was made by another request with this idempotency key")
        self.key = key


def new_secret() -> str:
    random = "".join(secrets.choice(DIGITS) for _ in range(RANDOM_DIGITS))
    return f"{PREFIX}{random}{_check(random)}"


def is_well_formed(secret: str) -> bool:
    """Whether it can be a key's secret: its form, and its checksum."""
    if not _SECRET.fullmatch(secret):
        return False
    random = secret[len(PREFIX) : -CHECK_DIGITS]
    return secret.endswith(_check(random))


@sensitive_variables("secret")
def create(
    *,
    customer: Customer,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None,
    now: datetime,
    request: str = "",
    idempotency_key: str = "",
) -> tuple[ApiKey, str]:
    """Make a key. Returns it with its secret, which nobody can read again. Raises KeyRefused.

    `request` is all that was sent, with a token that nobody can guess or with `idempotency_key`.
    Sent again it makes no second key: for AGAIN_SECONDS it is answered alike, later it raises
    AlreadyMade. Another request with the same `idempotency_key` raises IdempotencyKeyReused.
    """
    secret = _secret_of(customer, request) if request else new_secret()
    if made := _made_before(customer, request, secret, idempotency_key):
        return _again(made, secret, now)
    name = " ".join(name.split())
    if errors := _errors(customer, name, scopes, expires_at, now):
        raise KeyRefused(errors)
    fields = {
        "customer": customer,
        "name": name,
        "first_characters": secret[:SHOWN_FIRST],
        "last_characters": secret[-SHOWN_LAST:],
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "expires_at": expires_at,
        "created_at": now,
    }
    if idempotency_key:
        fields["idempotency_sha256"] = _hashed(idempotency_key)
        fields["request_sha256"] = _hashed(request)
    try:
        # Of two requests at once the second waits for the first, and finds its key.
        made, is_new = ApiKey.objects.get_or_create(secret_sha256=_hashed(secret), defaults=fields)
    except IntegrityError:  # two different ones, with one idempotency key
        if made := _made_before(customer, request, secret, idempotency_key):
            return _again(made, secret, now)
        raise
    return (made, secret) if is_new else _again(made, secret, now)


def _made_before(
    customer: Customer, request: str, secret: str, idempotency_key: str
) -> ApiKey | None:
    """The key that this request has made. Raises IdempotencyKeyReused."""
    rows = ApiKey.objects.filter(customer=customer)
    if not idempotency_key:
        return rows.filter(secret_sha256=_hashed(secret)).first()
    made = rows.filter(idempotency_sha256=_hashed(idempotency_key)).first()
    if made and made.request_sha256 != _hashed(request):
        raise IdempotencyKeyReused(made)
    return made


def _again(made: ApiKey, secret: str, now: datetime) -> tuple[ApiKey, str]:
    """The answer to a request that comes again. Raises AlreadyMade."""
    is_old = made.created_at < now - timedelta(seconds=AGAIN_SECONDS)
    # It has another secret if SECRET_KEY is a new one since.
    if made.revoked_at or is_old or made.secret_sha256 != _hashed(secret):
        raise AlreadyMade(made)
    return made, secret


def _errors(
    customer: Customer,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None,
    now: datetime,
) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        errors["name"] = [f"Give the key a name of 1 to {NAME_CHARACTERS_MAX} characters."]
    if not scopes or not set(scopes) <= SCOPES.keys():
        errors["scopes"] = [f"Choose one or more of {', '.join(SCOPES)}."]
    if expires_at and expires_at <= now:
        errors["expires_at"] = ["Choose a time that is still to come, or none."]
    if usable(customer, now).count() >= KEYS_MAX:
        errors["name"] = [f"You have {KEYS_MAX} keys. Revoke one that is not used any more."]
    return errors


def find(secret: str, now: datetime) -> ApiKey:
    """The key of that secret, with its customer and user, by one query. Raises InvalidKey.

    Its use is noted, at most once in USED_SECONDS.
    """
    if not is_well_formed(secret):
        raise InvalidKey("This is no Vocalis API key. Copy it again from where you keep it.")
    rows = ApiKey.objects.select_related("customer__user")
    key = rows.filter(secret_sha256=_hashed(secret)).first()
    if key is None:
        raise InvalidKey("There is no such API key.")
    if key.revoked_at:
        raise InvalidKey("This API key is revoked. Make a new one.")
    if key.expires_at and key.expires_at <= now:
        raise InvalidKey("This API key has expired. Make a new one.")
    if not key.customer.user.is_active:
        raise InvalidKey("The account of this API key is closed.")
    _note_use(key, now)
    return key


def revoke(key: ApiKey, now: datetime) -> None:
    """Nobody can use it from now on. Twice is as once."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now)
    key.refresh_from_db(fields=["revoked_at"])


def forget_all(customer: Customer, now: datetime) -> None:
    """Revoke a customer's keys and drop what names them, for one who wants to be forgotten."""
    rows = ApiKey.objects.filter(customer=customer)
    rows.filter(revoked_at=None).update(revoked_at=now)
    rows.update(name="", idempotency_sha256="", request_sha256="")


def usable(customer: Customer, now: datetime) -> Any:
    """The customer's keys that can be used, newest first."""
    is_current = Q(expires_at=None) | Q(expires_at__gt=now)
    rows = ApiKey.objects.filter(is_current, customer=customer, revoked_at=None)
    return rows.order_by("-created_at", "-pk")


def _note_use(key: ApiKey, now: datetime) -> None:
    if key.last_used_at and key.last_used_at > now - timedelta(seconds=USED_SECONDS):
        return
    # Of many requests at once one writes.
    rows = ApiKey.objects.filter(pk=key.pk, last_used_at=key.last_used_at)
    rows.update(last_used_at=now)
    key.last_used_at = now


@sensitive_variables("secret")
def _secret_of(customer: Customer, request: str) -> str:
    digest = salted_hmac(f"API key of {customer.pk}", request, algorithm="sha256").digest()
    number, random = int.from_bytes(digest), ""
    for _ in range(RANDOM_DIGITS):
        number, digit = divmod(number, len(DIGITS))
        random += DIGITS[digit]
    return f"{PREFIX}{random}{_check(random)}"


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _check(random: str) -> str:
    number, digits = zlib.crc32(random.encode()), ""
    for _ in range(CHECK_DIGITS):
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits

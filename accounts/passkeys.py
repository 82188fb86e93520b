"""Passkeys: WebAuthn, by Yubico's fido2.

A passkey is discoverable and its device verifies its user (by finger, face or PIN), so it is a
login of its own, and a second step as well. The browser binds it to the host of SITE_URL; we take
no other origin. A challenge is kept in the session, is answered once, and within minutes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import IntegrityError, transaction
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from . import second_step
from .models import Passkey, User

PASSKEYS_MAX = 20  # of one user
NAME_CHARACTERS_MAX = 60
DEFAULT_NAME = "Passkey"
ANSWER_SECONDS = 300
ANSWER_CHARACTERS_MAX = 20_000
CHALLENGE = "passkey challenge"  # in the session

# What fido2 raises for what is no answer of a browser.
MALFORMED = (
    ValueError,  # includes what is not verified
    KeyError,
    TypeError,
    IndexError,
    AttributeError,
    struct.error,
    UnsupportedAlgorithm,
    RecursionError,
    OverflowError,
)


class PasskeyRefused(ValueError):
    """The passkey is not taken. The message says what to do."""


NOT_OURS = (
    "This passkey is not one of an account here. Use another one, or log in with your password."
)
TOO_LATE = "That took too long. Try once more."
NOT_VERIFIED = "The passkey could not be verified. Try once more."


def begin_adding(*, user: User, session: SessionBase, now: datetime) -> dict[str, Any]:
    """What the browser needs to make a passkey, for `parseCreationOptionsFromJSON`.

    Raises PasskeyRefused if there are too many.
    """
    if Passkey.objects.filter(user=user).count() >= PASSKEYS_MAX:
        raise PasskeyRefused(f"An account can have {PASSKEYS_MAX} passkeys. Remove one first.")
    options, state = _server().register_begin(
        PublicKeyCredentialUserEntity(
            id=_handle(user), name=user.email, display_name=user.get_full_name() or user.email
        ),
        credentials=_descriptors(user),
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    _keep(session, "add", state, now)
    return dict(options)


def add(
    *, user: User, session: SessionBase, name: str, answer: str, now: datetime
) -> tuple[Passkey, list[str]]:
    """Store the passkey that the browser made.

    Returns it with recovery codes, if these are the first; the user is told by mail. Raises
    PasskeyRefused.
    """
    state = _taken(session, "add", now)
    try:
        made = _server().register_complete(state, _read(answer))
    except MALFORMED as error:
        raise PasskeyRefused(NOT_VERIFIED) from error
    data = made.credential_data
    if data is None:
        raise PasskeyRefused(NOT_VERIFIED)
    try:
        with transaction.atomic():
            passkey = Passkey.objects.create(
                user=user,
                name=name or DEFAULT_NAME,
                credential_id=websafe_encode(data.credential_id),
                public_key=bytes(data),
                sign_count=made.counter,
                added_at=now,
            )
            return passkey, second_step.added(user, second_step.PASSKEY, now)
    except IntegrityError as error:
        raise PasskeyRefused("This passkey is there already.") from error


def remove(*, user: User, passkey_id: int, now: datetime) -> bool:
    """Remove one of the user's passkeys. Returns whether there was one; then a mail tells it."""
    with transaction.atomic():
        count, _ = Passkey.objects.filter(user=user, pk=passkey_id).delete()
        if count:
            second_step.removed(user, second_step.PASSKEY, now)
    return bool(count)


def begin_login(*, user: User | None, session: SessionBase, now: datetime) -> dict[str, Any]:
    """What the browser needs to use a passkey, for `parseRequestOptionsFromJSON`.

    Of `user` if it is known who wants to log in, else of whichever account the browser offers.
    """
    options, state = _server().authenticate_begin(
        credentials=_descriptors(user) if user else None,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    _keep(session, "login", state, now)
    return dict(options)


def use(*, user: User | None, session: SessionBase, answer: str, now: datetime) -> User:
    """The active user whose passkey has answered: `user`, if given. Raises PasskeyRefused."""
    state = _taken(session, "login", now)
    try:
        response = AuthenticationResponse.from_dict(_read(answer))
        credential_id = websafe_encode(response.raw_id)
        count = response.response.authenticator_data.counter
    except MALFORMED as error:
        raise PasskeyRefused(NOT_VERIFIED) from error
    passkey = Passkey.objects.filter(credential_id=credential_id).select_related("user").first()
    if passkey is None or not passkey.user.is_active or user not in (None, passkey.user):
        raise PasskeyRefused(NOT_OURS)
    try:
        public_key = AttestedCredentialData(bytes(passkey.public_key))
        _server().authenticate_complete(state, [public_key], response)
    except MALFORMED as error:
        raise PasskeyRefused(NOT_VERIFIED) from error
    _count(passkey, count, now)
    return passkey.user


def _count(passkey: Passkey, count: int, now: datetime) -> None:
    """Store the use. A counter that does not rise is that of a copy: WebAuthn, 7.2, step 22."""
    rows = Passkey.objects.filter(pk=passkey.pk)
    if count or passkey.sign_count:
        rows = rows.filter(sign_count__lt=count)
    if not rows.update(sign_count=count, last_used_at=now):
        raise PasskeyRefused(NOT_VERIFIED)


def _keep(session: SessionBase, purpose: str, state: dict[str, Any], now: datetime) -> None:
    session[CHALLENGE] = {"for": purpose, "at": now.timestamp(), "state": state}


def _taken(session: SessionBase, purpose: str, now: datetime) -> dict[str, Any]:
    kept = session.pop(CHALLENGE, None)
    if (
        not kept
        or kept["for"] != purpose
        or not 0 <= now.timestamp() - kept["at"] <= ANSWER_SECONDS
    ):
        raise PasskeyRefused(TOO_LATE)
    state: dict[str, Any] = kept["state"]
    return state


def _read(answer: str) -> dict[str, Any]:
    """The credential as JSON, as the browser gives it. Raises ValueError."""
    if len(answer) > ANSWER_CHARACTERS_MAX:
        raise ValueError("the credential is too long")
    read = json.loads(answer)
    if not isinstance(read, dict):
        raise ValueError("the credential is no object")
    return read


def _descriptors(user: User) -> list[PublicKeyCredentialDescriptor]:
    keys: Iterable[Any] = Passkey.objects.filter(user=user).values_list("public_key", flat=True)
    return [
        PublicKeyCredentialDescriptor(
            type=PublicKeyCredentialType.PUBLIC_KEY,
            id=AttestedCredentialData(bytes(key)).credential_id,
        )
        for key in keys
    ]


def _handle(user: User) -> bytes:
    """The account as authenticators know it: the same always, and saying nothing of the person."""
    return hashlib.sha256(f"vocalis user {user.pk}".encode()).digest()


def _server() -> Fido2Server:
    site = urlsplit(settings.SITE_URL)
    origin = f"{site.scheme}://{site.netloc}"
    party = PublicKeyCredentialRpEntity(id=site.hostname or "", name="Vocalis")
    return Fido2Server(party, verify_origin=lambda found: found == origin)

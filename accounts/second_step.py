"""The second step of a login: codes of an authenticator app, and recovery codes.

Who has an app or a passkey is asked for one of them after the password. A code of an app is that of
RFC 6238: six digits, made anew every 30 seconds. One step before and after is taken, for clocks
that differ, and no step twice: the row keeps the last one, and an UPDATE on condition moves it.
The secret is encrypted, so that a copy of the database alone gives no codes.

Recovery codes have 80 random bits, so their SHA-256 needs no slow hash. They are made with the
first app or passkey, are shown once, and go with the last.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import datetime
from enum import Enum

import pyotp
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.encoding import force_bytes
from django.views.decorators.debug import sensitive_variables

import mails

from .models import AuthenticatorApp, Passkey, RecoveryCode, User

STEP_SECONDS = 30
DRIFT_STEPS = 1
CODE_DIGITS = 6
RECOVERY_CODES = 10
TYPED_CHARACTERS_MAX = 40
ISSUER = "Vocalis"
APP, PASSKEY = "app", "passkey"  # what the mails call by their names


class CodeRefused(ValueError):
    """The code is not right. The message says what to do."""


class AlreadyThere(Exception):
    """The account has an authenticator app."""


class By(Enum):
    """What a code was of."""

    APP = "app"
    RECOVERY = "recovery"


def is_on(user: User) -> bool:
    """Whether this user's login has a second step."""
    return has_app(user) or Passkey.objects.filter(user=user).exists()


def has_app(user: User) -> bool:
    return AuthenticatorApp.objects.filter(user=user).exists()


def codes_left(user: User) -> int:
    return RecoveryCode.objects.filter(user=user, used_at=None).count()


def new_secret() -> str:
    return pyotp.random_base32()


def uri(user: User, secret: str) -> str:
    """What the QR code says to the app."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER)


@sensitive_variables("secret", "code")
def add_app(*, user: User, secret: str, code: str, now: datetime) -> list[str]:
    """Add the app that shows `code` for `secret`. Returns recovery codes if these are the first.

    The user is told by mail. Raises CodeRefused, or AlreadyThere.
    """
    step = _step_of(secret, code, now)
    if step is None:
        raise CodeRefused(
            "This is not the code that the app shows now. Check that the clock of your phone is "
            "set automatically, and enter the newest code."
        )
    try:
        with transaction.atomic():
            AuthenticatorApp.objects.create(
                user=user, secret=_encrypted(secret), last_step=step, added_at=now
            )
            return added(user, APP, now)
    except IntegrityError as error:
        raise AlreadyThere from error


def remove_app(*, user: User, now: datetime) -> bool:
    """Remove the app. Returns whether there was one; if so, the user is told by mail."""
    with transaction.atomic():
        count, _ = AuthenticatorApp.objects.filter(user=user).delete()
        if count:
            removed(user, APP, now)
    return bool(count)


def added(user: User, what: str, now: datetime) -> list[str]:
    """To be called in the transaction that adds an app or a passkey.

    Tells the user by mail, and returns recovery codes if there are none yet.
    """
    mails.write(user.pk, "account.factor_added", f"{what}-{now.isoformat()}", {"what": what}, now)
    if RecoveryCode.objects.filter(user=user).exists():
        return []
    return _make_codes(user)


def removed(user: User, what: str, now: datetime) -> None:
    """To be called in the transaction that removes an app or a passkey."""
    is_last = not is_on(user)
    if is_last:
        RecoveryCode.objects.filter(user=user).delete()
    data = {"what": what, "is_last": is_last}
    mails.write(user.pk, "account.factor_removed", f"{what}-{now.isoformat()}", data, now)


def forget(user: User) -> None:
    """Delete all of it, because the account is deleted."""
    for rows in (AuthenticatorApp.objects, Passkey.objects, RecoveryCode.objects):
        rows.filter(user=user).delete()


def new_codes(*, user: User, now: datetime) -> list[str]:
    """Other recovery codes in the place of those there are. The user is told by mail."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # two tabs: the codes of one count
        RecoveryCode.objects.filter(user=user).delete()
        mails.write(user.pk, "account.recovery_codes_made", now.isoformat(), {}, now)
        return _make_codes(user)


def use(*, user: User, code: str, now: datetime) -> By:
    """Take a code of the app, or a recovery code: each once. Raises CodeRefused."""
    typed = "".join(code[:TYPED_CHARACTERS_MAX].split()).replace("-", "").lower()
    if _use_app(user, typed, now):
        return By.APP
    if _use_recovery(user, typed, now):
        return By.RECOVERY
    if not typed:
        raise CodeRefused("Enter the code that your app shows now, or a recovery code.")
    raise CodeRefused(
        "This code is not right, or it was used already. Enter the newest code of your app, or a "
        "recovery code."
    )


def _use_app(user: User, code: str, now: datetime) -> bool:
    app = AuthenticatorApp.objects.filter(user=user).first()
    step = _step_of(_decrypted(app.secret), code, now) if app else None
    if app is None or step is None:
        return False
    unused = AuthenticatorApp.objects.filter(pk=app.pk, last_step__lt=step)
    return bool(unused.update(last_step=step))


def _use_recovery(user: User, code: str, now: datetime) -> bool:
    with transaction.atomic():
        row = RecoveryCode.objects.filter(user=user, code_sha256=_sha256(code), used_at=None)
        if not row.update(used_at=now):
            return False
        data = {"left": codes_left(user)}
        mails.write(user.pk, "account.recovery_code_used", now.isoformat(), data, now)
    return True


@sensitive_variables("secret", "code")
def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """The step whose code this is, of those near to now."""
    code = "".join(code[:TYPED_CHARACTERS_MAX].split())
    if not (secret and code.isascii() and code.isdigit() and len(code) == CODE_DIGITS):
        return None
    totp = pyotp.TOTP(secret, digits=CODE_DIGITS, interval=STEP_SECONDS)
    current = int(now.timestamp()) // STEP_SECONDS
    found = None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        if hmac.compare_digest(totp.generate_otp(step), code):
            found = step
    return found


def _make_codes(user: User) -> list[str]:
    codes = [_random_code() for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(
        RecoveryCode(user=user, code_sha256=_sha256(code)) for code in codes
    )
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)) for code in codes]


def _random_code() -> str:
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()  # 80 bits, 16 characters


def _sha256(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _encrypted(secret: str) -> str:
    return _ciphers().encrypt(secret.encode()).decode()


def _decrypted(secret: str) -> str:
    """The secret, "" if it was encrypted with a SECRET_KEY that is not known any more."""
    try:
        return _ciphers().decrypt(secret.encode()).decode()
    except InvalidToken:
        return ""


def _ciphers() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_cipher_key(key)) for key in keys])


def _cipher_key(key: str | bytes) -> bytes:
    digest = hashlib.sha256(b"accounts.second_step" + force_bytes(key)).digest()
    return base64.urlsafe_b64encode(digest)

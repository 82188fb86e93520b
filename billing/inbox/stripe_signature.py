"""Stripe's webhook signature: hex HMAC-SHA256 of the time, a dot and the exact body.

https://docs.stripe.com/webhooks/signature
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from .signature import SignatureInvalid

SIGNATURE_HEADER = "Stripe-Signature"
AGE_SECONDS_MAX = 300  # before or after now; Stripe's own verifier lets in any moment to come
SCHEME = "v1"
SIGNATURES_MAX = 20  # one for each secret while they are rotated
MOMENT_DIGITS_MAX = 11


def sign(*, secret: str, moment: str, body: bytes) -> str:
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()


def verify(*, header: str, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise SignatureInvalid unless one of `secrets` signed this body within 5 minutes of `now`."""
    moment, signatures = _parsed(header)
    signed_at = datetime.fromtimestamp(int(moment), tz=UTC)
    if abs(now - signed_at) > timedelta(seconds=AGE_SECONDS_MAX):
        raise SignatureInvalid(f"dated {signed_at}: more than {AGE_SECONDS_MAX} s from now")
    # All of them, because `any` would stop at the first match.
    matches = [
        hmac.compare_digest(sign(secret=secret, moment=moment, body=body).encode(), one.encode())
        for secret in secrets
        if secret
        for one in signatures
    ]
    if not any(matches):
        raise SignatureInvalid("signed with another secret, or the body was changed")


def _parsed(header: str) -> tuple[str, list[str]]:
    parts = [part.strip().partition("=") for part in header.split(",")]
    moments = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == SCHEME][:SIGNATURES_MAX]
    if len(moments) != 1 or not signatures:
        raise SignatureInvalid("no signature or no time")
    moment = moments[0]
    if not (moment.isascii() and moment.isdecimal() and len(moment) <= MOMENT_DIGITS_MAX):
        raise SignatureInvalid("the time is no number of seconds")
    return moment, signatures

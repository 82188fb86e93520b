"""Metronome's webhook signature: hex HMAC-SHA256 of date header, line feed and exact body.

https://docs.metronome.com/guides/platform-configuration/setup-webhooks
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

SIGNATURE_HEADER = "Metronome-Webhook-Signature"
# Both carry the same text, but proxies may rewrite `Date`.
DATE_HEADERS = ("X-Metronome-Date", "Date")
AGE_SECONDS_MAX = 300  # before or after now, as in Metronome's own verifier


class SignatureInvalid(Exception):
    """The request is not signed by Metronome, or was not signed recently.

    The message says why. It is for the log, not for the sender.
    """


def sign(*, secret: str, date: str, body: bytes) -> str:
    return hmac.new(secret.encode(), date.encode() + b"\n" + body, hashlib.sha256).hexdigest()


def verify(
    *, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime
) -> None:
    """Raise SignatureInvalid unless one of `secrets` signed this body within 5 minutes of `now`.

    Several secrets may be valid, so that one can be rotated without losing a delivery.
    """
    signature = headers.get(SIGNATURE_HEADER, "")
    date = next((headers[name] for name in DATE_HEADERS if headers.get(name)), "")
    if not signature or not date:
        raise SignatureInvalid("no signature or no date")
    if abs(now - _parsed(date)) > timedelta(seconds=AGE_SECONDS_MAX):
        raise SignatureInvalid(f"dated {date!r}: more than {AGE_SECONDS_MAX} s from now")
    # Bytes, because compare_digest refuses text that is not ASCII; a list, because `any` would stop
    # at the first match.
    matches = [
        hmac.compare_digest(sign(secret=secret, date=date, body=body).encode(), signature.encode())
        for secret in secrets
        if secret
    ]
    if not any(matches):
        raise SignatureInvalid("signed with another secret, or the body was changed")


def _parsed(date: str) -> datetime:
    try:
        moment = parsedate_to_datetime(date)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise SignatureInvalid(f"unreadable date {date!r}") from error

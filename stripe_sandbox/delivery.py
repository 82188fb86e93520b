"""How Stripe signs webhooks, and how long it tries.

`Stripe-Signature: t=…,v1=…` has the hex HMAC-SHA256 of `<t>.<body>`, once for each secret while
they are rotated (https://docs.stripe.com/webhooks). It is tried again for three days.
"""

import hashlib
import hmac
from datetime import datetime, timedelta

from metronome_sandbox.kit.delivery import Retries

RETRIES = Retries(
    first=timedelta(seconds=1), longest=timedelta(hours=1), give_up_after=timedelta(days=3)
)


def sign(secret: str, at: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def headers(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    """`secret` may be several, comma-separated: each signs."""
    seconds = int(at.timestamp())
    signatures = [f"v1={sign(one.strip(), seconds, body)}" for one in secret.split(",")]
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": ",".join([f"t={seconds}", *signatures]),
    }

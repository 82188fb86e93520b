"""How Metronome signs notifications, and how long it tries.

The signature is the hex HMAC-SHA256 of the date header, one line feed and the exact body
(https://docs.metronome.com/guides/platform-configuration/setup-webhooks). Each attempt has a fresh
date. Anything but a status up to 299 is tried again, at growing intervals up to 15 minutes, for two
days.
"""

import hashlib
import hmac
from datetime import datetime, timedelta
from email.utils import format_datetime

from metronome_sandbox.kit.delivery import Retries

RETRIES = Retries(
    first=timedelta(seconds=1), longest=timedelta(minutes=15), give_up_after=timedelta(days=2)
)


def sign(secret: str, date: str, body: bytes) -> str:
    return hmac.new(secret.encode(), date.encode() + b"\n" + body, hashlib.sha256).hexdigest()


def headers(secret: str, at: datetime, body: bytes) -> dict[str, str]:
    date = format_datetime(at, usegmt=True)
    return {
        "Content-Type": "application/json",
        "User-Agent": "Metronome",
        "Date": date,
        "X-Metronome-Date": date,
        "Metronome-Webhook-Signature": sign(secret, date, body),
    }

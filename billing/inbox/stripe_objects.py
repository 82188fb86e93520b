"""What Stripe's events are about: the object, our ids in it, the attempt it belongs to."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from billing.models import InboundWebhook, PaymentAttempt
from billing.payments.gateways.stripe import charges

GATEWAY = charges.NAME
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def by_metadata(found: dict[str, Any]) -> PaymentAttempt | None:
    """The attempt that the metadata of this PaymentIntent names, None if it is not ours."""
    payment_id = ours(found, "vocalis_payment")
    number = _metadata(found, "attempt")
    if not payment_id or not (number.isascii() and number.isdecimal() and len(number) < 6):
        return None
    return (
        PaymentAttempt.objects.select_related("payment")
        .filter(payment_id=UUID(payment_id), number=int(number), payment__gateway=GATEWAY)
        .first()
    )


def ours(found: dict[str, Any], name: str) -> str:
    """An id of ours in the metadata, "" if there is none."""
    text = _metadata(found, name)
    return text if ID.fullmatch(text) else ""


def _metadata(found: dict[str, Any], name: str) -> str:
    metadata = found.get("metadata")
    return str((metadata if isinstance(metadata, dict) else {}).get(name) or "")


def object_of(event: InboundWebhook) -> dict[str, Any]:
    """The object an event is about, as it was then; {} if it has none."""
    data = event.payload.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}

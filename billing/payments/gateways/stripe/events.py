"""Events that Stripe could not deliver, its objects as they are now, and the rights of our key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import stripe

from jobs.errors import Rejected, Unavailable

from .client import call, client, for_page, pages, plain


def undelivered(*, since: datetime) -> Iterator[dict[str, Any]]:
    """The events since then that some endpoint of ours has not taken, the newest first."""
    created = {"gte": int(since.timestamp())}
    return pages(client().v1.events.list, delivery_success=False, created=created)


def is_customer_deleted(reference: str) -> bool:
    return bool(plain(call(lambda: client().v1.customers.retrieve(reference))).get("deleted"))


def refused_rights() -> list[str]:
    """What the key may not read though we need it. Writing cannot be tried without doing it.

    Raises Unavailable if Stripe cannot be asked at all.
    """
    readings = _readings()
    with ThreadPoolExecutor(len(readings), thread_name_prefix="stripe-rights") as pool:
        refused = list(pool.map(_is_refused, readings.values()))
    return [name for name, is_refused in zip(readings, refused, strict=True) if is_refused]


def _is_refused(ask: Callable[[], stripe.StripeObject]) -> bool:
    try:
        with for_page():
            call(ask)
    except Rejected:
        return True
    except Unavailable as error:
        if isinstance(error.__cause__, stripe.PermissionError):
            return True
        raise
    return False


def _readings() -> dict[str, Callable[[], stripe.StripeObject]]:
    with for_page():
        v1 = client().v1
    one: Any = {"limit": 1}
    return {
        "Customers": lambda: v1.customers.list(one),
        "Checkout Sessions": lambda: v1.checkout.sessions.list(one),
        "SetupIntents": lambda: v1.setup_intents.list(one),
        "PaymentIntents": lambda: v1.payment_intents.list(one),
        "Refunds": lambda: v1.refunds.list(one),
        "Charges": lambda: v1.charges.list(one),
        "Disputes": lambda: v1.disputes.list(one),
        "Events": lambda: v1.events.list(one),
        "Radar": lambda: v1.radar.early_fraud_warnings.list(one),
    }

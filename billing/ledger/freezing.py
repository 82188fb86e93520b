"""Freezing a wallet: while there is a reason for it nothing is reserved, and nothing is sold."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F, Max

from billing.models import Payment, Reservation, Wallet

BY_STAFF = "staff"  # why a wallet is frozen, if no other reason is given


def set_frozen(*, wallet_id: int, frozen: bool, now: datetime, reason: str | None = None) -> None:
    """Stop or allow new reservations. Open reservations can still be captured.

    Each `reason` holds the wallet by itself; without one, freezing is by staff, and unfreezing
    lifts all reasons. A freeze is dated no earlier than the last reservation and the last payment
    that precede it, as the caller may have read `now` long before this runs. For payments the
    caller has locked what sells (`disputes.flow`).
    """
    with transaction.atomic():
        # After this lock, a concurrent reservation is committed or will find the wallet frozen.
        wallet = Wallet.objects.select_for_update().get(id=wallet_id)
        named = reason or BY_STAFF
        if frozen:
            reasons = [*(one for one in wallet.frozen_by if one != named), named]
        else:
            reasons = [one for one in wallet.frozen_by if reason and one != reason]
        frozen_at = wallet.frozen_at if reasons else None
        if reasons and frozen_at is None:
            frozen_at = max([now, *_last_at(wallet)])
        Wallet.objects.filter(id=wallet_id).update(
            frozen_at=frozen_at, frozen_by=reasons, version=F("version") + 1
        )


def _last_at(wallet: Wallet) -> list[datetime]:
    """When something was reserved last, and when something was last asked to be charged."""
    rows = (
        Reservation.objects.filter(wallet=wallet),
        Payment.objects.filter(customer=wallet.customer_id),
    )
    found = [some.aggregate(at=Max("created_at"))["at"] for some in rows]
    return [at for at in found if at]

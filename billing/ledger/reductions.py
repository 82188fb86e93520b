"""Taking credits back from a grant, and giving them back to it.

A change of plan takes credits of the former plan back. They leave the balance here at once, so that
nobody spends them, and Metronome is told afterwards (`billing.subscriptions.take_back`). Until it
knows, `CreditGrant.reduced_to` says what the grant counts for here.

Usage in between consumed other grants. When the credits come back, Metronome counts it against this
grant again, in months that are not final, and so do we.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from billing.models import CreditGrant, LedgerEntry, Wallet

from . import drawdown, sql
from .entries import RESERVATION_SECONDS, set_moments, write
from .grants import reallocate_raised


class NotLeft(Exception):
    """The grant has fewer credits left that are not reserved."""


def unreserved(grant: CreditGrant, now: datetime) -> int:
    """Credits of the grant that are left once all open reservations are captured in full."""
    wallet = Wallet.objects.get(id=grant.wallet_id)
    drawable = [grant_id for grant_id, _ in drawdown.drawable(grant.wallet_id, now)]
    remaining = drawdown.remaining_after_reservations(
        grant.wallet_id, drawable, seconds=RESERVATION_SECONDS
    )
    return max(0, min(remaining.get(grant.pk, grant.remaining), grant.remaining, wallet.available))


def reduce(*, grant_id: int, credits: int, now: datetime) -> None:
    """Take `credits` of the grant out of the balance. Raises NotLeft if they are not there."""
    with transaction.atomic():
        wallet_id = CreditGrant.objects.values_list("wallet_id", flat=True).get(id=grant_id)
        sql.lock_wallet_grants(wallet_id)
        # After this lock no reservation can come that is not counted below.
        Wallet.objects.select_for_update().get(id=wallet_id)
        grant = CreditGrant.objects.get(id=grant_id)
        if unreserved(grant, now) < credits:
            raise NotLeft
        _change(grant, -credits, grant.granted - credits, now)


def restore(*, grant_id: int, credits: int, now: datetime) -> None:
    """Undo `reduce`. The caller makes sure that this happens once.

    Credits of a grant that has ended meanwhile expire at once. Metronome is not told of those, so
    usage since `reduce` stays with the grants that it consumed.
    """
    with transaction.atomic():
        wallet_id = CreditGrant.objects.values_list("wallet_id", flat=True).get(id=grant_id)
        sql.lock_wallet_grants(wallet_id)
        grant = CreditGrant.objects.get(id=grant_id)
        _change(grant, credits, None, now)
        if grant.ends_at <= now:
            CreditGrant.objects.filter(id=grant_id).schedule(now)


def _change(grant: CreditGrant, credits: int, reduced_to: int | None, now: datetime) -> None:
    CreditGrant.objects.filter(id=grant.pk).update(
        granted=F("granted") + credits, remaining=F("remaining") + credits, reduced_to=reduced_to
    )
    note = f"{grant.name}, {'taken back' if credits < 0 else 'given back'}"
    write(
        grant.wallet_id,
        credits,
        LedgerEntry.Kind.GRANT_CHANGE,
        now=now,
        grant_id=grant.pk,
        consumptions=reallocate_raised(grant, now) if credits > 0 else [],
        note=note[:200],
    )
    set_moments(grant.wallet_id)

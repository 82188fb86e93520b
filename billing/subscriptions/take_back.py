"""Credits of a former plan that an upgrade takes back: at Metronome, and given back if it fails.

They left the balance here when the plan was chosen. Metronome is told before anything is charged.
Each of the two changes there happens once, under a key of its own: a worker that was too slow
cannot take them back after they were given back.
"""

from __future__ import annotations

from datetime import datetime

from billing import ledger
from billing.models import Subscription
from billing.sync import contracts


def at_metronome(subscription: Subscription, now: datetime) -> None:
    """Have Metronome take the credits back as well. For workers only; safe to repeat."""
    grant = subscription.taken_from
    if grant is None or subscription.taken_back_at:
        return
    if grant.ends_at > now:  # else they are gone there already
        contracts.set_amount(grant, key=_key(subscription, "back"), credits=_reduced(subscription))
    Subscription.objects.filter(pk=subscription.pk, taken_back_at=None).update(taken_back_at=now)
    subscription.taken_back_at = now


def undo_at_metronome(subscription: Subscription, now: datetime) -> None:
    """Have Metronome give the credits back. For workers only; safe to repeat."""
    grant = subscription.taken_from
    if grant is None or grant.ends_at <= now:
        return
    at_metronome(subscription, now)  # never after this
    whole = _reduced(subscription) + subscription.taken_back_credits
    contracts.set_amount(grant, key=_key(subscription, "again"), credits=whole)


def undo(subscription: Subscription, now: datetime) -> None:
    """Give the credits back here, in the transaction that ends the choice, which happens once."""
    if subscription.taken_from_id:
        ledger.restore(
            grant_id=subscription.taken_from_id,
            credits=subscription.taken_back_credits,
            now=now,
        )


def _reduced(subscription: Subscription) -> int:
    grant = subscription.taken_from
    if grant is None or grant.reduced_to is None:
        raise ValueError("no credits were taken back")
    return grant.reduced_to


def _key(subscription: Subscription, way: str) -> str:
    return f"vocalis-taken-{way}-{subscription.pk}"

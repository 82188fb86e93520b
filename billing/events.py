"""Events about credits for customers' own programs: low and depleted, and budgets of API keys.

The first two are told once, until credits are added: the entry that added the latest ones is the
event's key. They follow spending and refusals. Credits that merely end are told by the next of
these, so that a plan that is renewed at the same moment frightens nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from django.db import transaction

from billing import ledger, plans
from billing.models import AutoRecharge, LedgerEntry, Subscription, Wallet
from notifications import emit
from notifications.outbox import is_wanted

LOW_DIVISOR = 10  # without automatic recharge: a tenth of the plan's credits


def is_anybody_told(customer_id: UUID) -> bool:
    """Whether an endpoint of the customer wants events about credits. Ask before the wallet's row
    is locked, so that nobody waits for this answer.
    """
    return is_wanted(customer_id, "balance.low", "balance.depleted")


def spent(customer_id: UUID, now: datetime) -> None:
    """Tell that the balance is low or zero, in the transaction that has spent credits."""
    wallet = Wallet.objects.get(customer_id=customer_id)
    threshold = _threshold_credits(customer_id)
    if wallet.balance > max(0, threshold or 0):
        return
    key = _latest_rise(wallet)
    if threshold is not None:
        data = {"balance": wallet.balance, "threshold": threshold}
        emit(customer_id, "balance.low", key, data, now)
    if wallet.balance == 0:
        data = {"balance": wallet.balance, "available": wallet.available}
        emit(customer_id, "balance.depleted", key, data, now)


@contextmanager
def refusals_told(customer_id: UUID, now: datetime) -> Iterator[None]:
    """Tell of a reservation inside that is refused for lack of credits, or for a key's budget.

    Put it around the transaction, which is rolled back for the refusal: with it goes what the
    refusal wrote off of ended credits. So what can be spent is computed anew, and nothing is told
    where that suffices by now, because credits were added or became free meanwhile.
    """
    try:
        yield
    except ledger.InsufficientCredits as error:
        if is_wanted(customer_id, "balance.depleted"):
            with transaction.atomic():
                _emit_refused(customer_id, error.needed, now)
        raise
    except ledger.BudgetExceeded as error:
        if is_wanted(customer_id, "key.budget_reached"):
            with transaction.atomic():
                _emit_budget_reached(customer_id, error, now)
        raise


def _emit_budget_reached(customer_id: UUID, error: ledger.BudgetExceeded, now: datetime) -> None:
    """Told once for a budget and its period."""
    budget = error.budget
    resets_at = budget.resets_at.isoformat() if budget.resets_at else None
    data = {
        "key": str(error.api_key_id),
        "limit": budget.limit,
        "spent": budget.spent,
        "held": budget.held,
        "needed": error.needed,
        "resets_at": resets_at,
    }
    key = f"{error.api_key_id}-{budget.limit}-{resets_at}"
    emit(customer_id, "key.budget_reached", key, data, now)


def _emit_refused(customer_id: UUID, needed: int, now: datetime) -> None:
    # Before the credits are read, so that those of a later rise are seen.
    key = _latest_rise(Wallet.objects.get(customer_id=customer_id))
    left = ledger.spendable(customer_id=customer_id, now=now)
    if left.available < needed:
        data = {"balance": left.balance, "available": left.available, "needed": needed}
        emit(customer_id, "balance.depleted", key, data, now)


def _threshold_credits(customer_id: UUID) -> int | None:
    """At which balance it is low; None for a customer with neither recharge nor plan."""
    recharge = AutoRecharge.objects.filter(customer_id=customer_id, enabled=True)
    if (threshold := recharge.values_list("threshold_credits", flat=True).first()) is not None:
        return threshold
    active = Subscription.objects.filter(
        customer_id=customer_id, state=Subscription.State.ACTIVE
    ).first()
    return plans.PLANS[active.plan].credits // LOW_DIVISOR if active else None


def _latest_rise(wallet: Wallet) -> str:
    """Names the entry by which credits were last added."""
    rises = LedgerEntry.objects.filter(wallet=wallet, amount__gt=0).exclude(
        kind=LedgerEntry.Kind.CAPTURE
    )
    return f"entry-{rises.order_by('-created_at', '-id').values_list('id', flat=True).first()}"

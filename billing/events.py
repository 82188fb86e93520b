"""Events about credits, for customers and their own programs: low and depleted, and budgets of API
keys.

The first two are told once, until credits are added: the entry that added the latest ones is the
event's key. They follow spending and refusals. Credits that merely end are told by the next of
these, so that a plan that is renewed at the same moment frightens nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Subquery

from billing import ledger, plans
from billing.models import (
    AutoRecharge,
    LedgerEntry,
    Payment,
    Purchase,
    Recharge,
    Subscription,
    Wallet,
)
from notifications import emit
from notifications.outbox import is_wanted

LOW_DIVISOR = 10  # without automatic recharge: a tenth of the plan's credits


@dataclass(frozen=True, slots=True)
class Levels:
    """At which balance it is low, None for never: for programs, and for the mail."""

    threshold: int | None
    of_mail: int | None
    available: int


def is_anybody_told(customer_id: UUID) -> bool:
    """Whether the credits may be low once all that is reserved is spent. Ask before the wallet's
    row is locked, so that nobody waits for this answer.
    """
    levels = _levels(customer_id)
    return levels.available <= max(0, levels.threshold or 0, levels.of_mail or 0)


def spent(customer_id: UUID, now: datetime) -> None:
    """Tell that the balance is low or zero, in the transaction that has spent credits."""
    wallet, levels = Wallet.objects.get(customer_id=customer_id), _levels(customer_id)
    key, balance = _latest_rise(wallet), wallet.balance
    if levels.threshold is not None and balance <= max(0, levels.threshold):
        data = {"balance": balance, "threshold": levels.threshold}
        emit(customer_id, "balance.low", key, data, now, by_mail=False)
    if levels.of_mail is not None and 0 < balance <= levels.of_mail:
        data = {"balance": balance, "level": levels.of_mail}
        emit(customer_id, "balance.low", key, data, now, by_webhook=False)
    if balance == 0:
        data = {"balance": balance, "available": wallet.available}
        emit(customer_id, "balance.depleted", key, data, now, by_mail=False)
        if not is_refilling(customer_id):
            tell_depleted(customer_id, now)


def tell_depleted(customer_id: UUID, now: datetime) -> None:
    """Write the mail that the last credit is spent, once until credits are added."""
    wallet = ledger.wallet_of(customer_id)
    data = {"balance": wallet.balance}
    emit(customer_id, "balance.depleted", _latest_rise(wallet), data, now, by_webhook=False)


def is_refilling(customer_id: UUID) -> bool:
    """Whether credits are to be expected without the customer's doing anything."""
    rows = (
        AutoRecharge.objects.filter(enabled=True, paused_until_at=None),
        Payment.objects.open().exclude(state=Payment.State.AT_PAGE),
        Recharge.objects.open(),
        Purchase.objects.open().exclude(payment__state=Payment.State.AT_PAGE),
    )
    return any(some.filter(customer_id=customer_id).exists() for some in rows)


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
        emit(customer_id, "balance.depleted", key, data, now, by_mail=False)


def _levels(customer_id: UUID) -> Levels:
    """The customer's own level, else the threshold of recharge, else a part of the plan's credits.

    The own level is for the mail only.
    """
    active = Subscription.objects.filter(
        customer=OuterRef("customer"), state=Subscription.State.ACTIVE
    )
    found = (
        Wallet.objects.filter(customer_id=customer_id)
        .values_list(
            "balance",
            "reserved",
            "customer__auto_recharge__enabled",
            "customer__auto_recharge__threshold_credits",
            "customer__user__mail_preferences__low_balance_credits",
            Subquery(active.values("plan")[:1]),
        )
        .get()
    )
    balance, reserved, is_recharging, threshold, own, plan = found
    if not is_recharging:
        threshold = plans.PLANS[plan].credits // LOW_DIVISOR if plan else None
    return Levels(threshold, threshold if own is None else own, balance - reserved)


def _latest_rise(wallet: Wallet) -> str:
    """Names the entry by which credits were last added."""
    rises = LedgerEntry.objects.filter(wallet=wallet, amount__gt=0).exclude(
        kind=LedgerEntry.Kind.CAPTURE
    )
    return f"entry-{rises.order_by('-created_at', '-id').values_list('id', flat=True).first()}"

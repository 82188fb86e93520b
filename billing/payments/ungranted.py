"""What a charged payment without credits waits for, and what becomes of it if that is nothing.

If the bank has the money, its decision is awaited: lost, the payment is refunded. Won, nothing can
be paid back of it any more, so its credits are granted (`billing.disputes.owed`). Without a dispute
a person decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from accounts.models import Customer
from billing.models import (
    Contract,
    CreditGrant,
    Dispute,
    Payment,
    Purchase,
    Recharge,
    Subscription,
)
from jobs.models import JobRowQuerySet

from . import credit_keys
from .requests import given_back_elsewhere_cents, is_waited_for, mark_granted

State = Dispute.State
CHECK_SECONDS = 3_600  # how often to check whether the credits can still be granted
GIVEN_BACK_THERE = "It was given back to you."
TAKEN_BY_BANK = "Your bank has given it back to you."


def known_credits(payment: Payment) -> CreditGrant | None:
    """The credits that are granted under its key. They may not be noted with the payment: who
    granted them was killed, or another worker has read them from Metronome."""
    mine = CreditGrant.objects.filter(wallet__customer=payment.customer_id)
    key = credit_keys.of(payment)
    return mine.filter(key=key).first() if key else None


def are_found(payment: Payment, now: datetime) -> bool:
    """Note the credits of a payment for which nothing waits any more, if they are there after all.

    Returns whether they are. If the bank has the money for good, its dispute takes them.
    """
    if is_waited_for(payment) or not (grant := known_credits(payment)):
        return False
    mark_granted(payment, grant_id=grant.pk, now=now)
    Dispute.objects.filter(payment=payment, state=State.LOST, taken_at=None).run_now(now)
    return True


def gone(payment: Payment) -> str:
    """Why nothing of the money is with us any more, "" if some is.

    A dispute that was lost looks for the credits first, so that they go with the money.
    """
    if Dispute.objects.filter(payment=payment, state=State.LOST, due_at=None).exists():
        return TAKEN_BY_BANK
    whole = given_back_elsewhere_cents(payment) >= payment.amount_cents
    return GIVEN_BACK_THERE if whole else ""


def waits_until(payment: Payment, now: datetime) -> datetime | None:
    """When to look again at one that something else is to end; None if a person has to.

    A dispute that was won is made due: it grants the credits.
    """
    mine = Dispute.objects.filter(payment=payment)
    won = mine.filter(state=State.WON)
    deciding = mine.filter(Q(state=State.WITHDRAWN) | Q(state=State.LOST, due_at__isnull=False))
    if is_waited_for(payment) or deciding.exists() or won.exists():
        if not is_waited_for(payment):
            won.filter(dead_at=None).run_now(now)
        return now + timedelta(seconds=CHECK_SECONDS)
    return None


def hurry(payment: Payment, now: datetime) -> None:
    """Have all that its credits wait for run now, however long each was put off."""
    for rows in _waited_for(payment):
        rows.filter(due_at__isnull=False).run_now(now)


def waits_for(payment: Payment) -> str:
    """Why its credits are not there, in the words of the jobs that bring them; "" if none failed.

    The customer and the contract at Metronome come first: the others wait for these.
    """
    troubles = []
    for rows in _waited_for(payment):
        if row := rows.exclude(last_error="").first():
            troubles.append(f"{row._meta.verbose_name}: {row.last_error}")
    return "; ".join(troubles)


def _waited_for(payment: Payment) -> list[JobRowQuerySet[Any]]:
    return [
        Customer.objects.filter(pk=payment.customer_id),
        Contract.objects.filter(customer=payment.customer_id),
        Subscription.objects.live().filter(payments=payment),
        Recharge.objects.open().filter(payment=payment),
        Purchase.objects.open().filter(payment=payment),
    ]

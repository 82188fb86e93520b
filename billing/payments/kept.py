"""How much of a charge is with us, and how many of its credits that pays for.

Refunds and banks take money out of a charge, and either may come back: a bank may send a refund
back days after a dispute has been lost. So credits follow the money that is there in the end. What
is with us pays for its share of the credits; nobody has money and credits both, or neither.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet, Sum

from billing.models import CreditGrant, Dispute, Payment, Refund, Subscription

from .requests import given_back_elsewhere_cents

AT_BANK = Dispute.State.WITHDRAWN, Dispute.State.LOST


def at_bank_cents(payment: Payment) -> int:
    """What banks have of it: withdrawn until a dispute is decided, or lost."""
    return _sum(Dispute.objects.filter(payment=payment, state__in=AT_BANK), "amount_cents")


def kept_cents(payment: Payment) -> int:
    """What is with us of a charge, tax included; below zero if more has gone than was charged.

    A refund that is under way, or that came back, has taken nothing.
    """
    paid_back = Refund.objects.filter(payment=payment, state=Refund.State.PAID_BACK)
    gone_cents = _sum(paid_back, "amount_cents") + at_bank_cents(payment)
    return payment.amount_cents - gone_cents - given_back_elsewhere_cents(payment)


def credits_kept(payment: Payment, grant: CreditGrant) -> int:
    """How many of its credits, spent ones included, the money that is with us pays for."""
    moved = _upgrades(grant)  # what an upgrade has paid back has gone into another plan
    cents = kept_cents(payment) - _sum(moved, "paid_back_cents")
    return max(0, _bought(payment, grant) * cents // payment.amount_cents)


def _bought(payment: Payment, grant: CreditGrant) -> int:
    """The credits that it was granted with, before anything took some back."""
    refunds = Refund.objects.filter(grant=grant).exclude(state=Refund.State.CALLED_OFF)
    lost = Dispute.objects.filter(payment=payment)
    taken = _sum(_upgrades(grant), "taken_back_credits") + _sum(refunds, "credits")
    return grant.granted + taken + _sum(lost, "credits_taken")


def _upgrades(grant: CreditGrant) -> QuerySet[Subscription]:
    return Subscription.objects.filter(~Q(state=Subscription.State.FAILED), taken_from=grant)


def _sum(rows: QuerySet[Any], field: str) -> int:
    found: int = rows.aggregate(sum=Sum(field, default=0))["sum"]
    return found

"""What a refund pays back, what it takes back and what ends with it.

It is worked out here, for the page that shows it and for the code that does it.

Paid back is the share of the price that is left in credits: floor(price × credits left ÷ credits
granted), and with it the same share of the tax, rounded down; never more than was charged. Credits
that are reserved are not left. A payment whose credits can never be granted is paid back whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, Sum

from billing import ledger
from billing.models import (
    AutoRecharge,
    CreditGrant,
    Dispute,
    Payment,
    Purchase,
    Recharge,
    Refund,
    Subscription,
)
from billing.payments import ungranted
from billing.payments.requests import given_back_elsewhere_cents, is_waited_for


class NotRefundable(Exception):
    """Nothing can be paid back for this payment. The message tells staff why."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What refunding a payment now does.

    `price_cents`, `credits_left` and `credits_granted` are what `amount_cents` is computed from;
    without `grant` all of the charge is paid back. `ends` is the plan that ends with it.
    """

    payment: Payment
    amount_cents: int
    credits: int
    price_cents: int
    credits_granted: int = 0
    grant: CreditGrant | None = None
    ends: Subscription | None = None
    switches_recharge_off: bool = False

    @property
    def shown(self) -> str:
        """Names what was shown, so that nothing else is done."""
        ends = self.ends.pk if self.ends else "-"
        return f"{self.amount_cents}.{self.credits}.{ends}.{int(self.switches_recharge_off)}"


def preview(payment: Payment, now: datetime) -> Preview:
    """What a refund of this payment would do. Reads only. Raises NotRefundable in words."""
    _check_state(payment)
    recharges = AutoRecharge.objects.filter(customer_id=payment.customer_id, enabled=True)
    if payment.grant is None:
        _check_never_granted(payment)
        is_recharge = payment.kind == Payment.Kind.RECHARGE
        return Preview(
            payment=payment,
            amount_cents=_at_most(payment, payment.amount_cents),
            credits=0,
            price_cents=payment.amount_cents,
            switches_recharge_off=is_recharge and recharges.exists(),
        )
    _check_change(payment)
    grant = payment.grant
    left = ledger.unreserved(grant, now) if grant.ends_at > now else 0
    granted, price_cents = _granted(grant), _price_cents(payment)
    share_cents = price_cents * left // granted if granted else 0
    amount_cents = _at_most(payment, share_cents + _tax_on(payment, share_cents))
    if not amount_cents:
        raise NotRefundable(
            f"Nothing is left to pay back: {left:,} of its {granted:,} credits are not spent."
        )
    return Preview(
        payment=payment,
        amount_cents=amount_cents,
        credits=left,
        price_cents=price_cents,
        credits_granted=granted,
        grant=grant,
        ends=_ends(payment),
        # Without it, taking the credits would have it charge at once.
        switches_recharge_off=recharges.exists(),
    )


def _check_state(payment: Payment) -> None:
    made = Refund.objects.filter(payment=payment).exclude(state=Refund.State.CALLED_OFF).first()
    if made:
        raise NotRefundable(f"There is one already: {made}. A payment is refunded once.")
    if payment.state != Payment.State.CHARGED:
        raise NotRefundable(f"Nothing is to be paid back: the payment is {payment.state}.")
    holding = Dispute.State.NEW, Dispute.State.WITHDRAWN, Dispute.State.LOST
    if Dispute.objects.filter(payment=payment, state__in=holding).exists():
        raise NotRefundable(
            "The customer disputes it at the bank, which has the money. Leave it to the dispute: "
            "a refund would pay twice."
        )


def _check_never_granted(payment: Payment) -> None:
    if not is_waited_for(payment):
        if ungranted.known_credits(payment):
            raise NotRefundable("Its credits are there: press Retry on the payment.")
        if Dispute.objects.filter(payment=payment, state=Dispute.State.WON).exists():
            raise NotRefundable(
                "The customer disputed it, and the bank has decided for us. Stripe pays nothing "
                "back of such a charge: its credits are granted by themselves."
            )
        return
    if not any(rows.dead().exists() for rows in waiting(payment)):
        raise NotRefundable(
            "Its credits are on their way. A refund is possible once they can never be granted, "
            "or once they are there."
        )
    if ungranted.known_credits(payment):
        raise NotRefundable("Its credits are there: press Retry on what waits for the payment.")


def waiting(payment: Payment) -> tuple[Any, Any]:
    """The top-up and the recharge that wait for this payment."""
    return (
        Purchase.objects.open().filter(payment=payment),
        Recharge.objects.open().filter(payment=payment),
    )


def _check_change(payment: Payment) -> None:
    """Refuse while a change of plan or a renewal decides over the same credits."""
    mine = Subscription.objects.filter(customer_id=payment.customer_id)
    if mine.filter(state=Subscription.State.REQUESTED).exists():
        raise NotRefundable("Another plan is just being set up. Try again in a minute.")
    ends = _ends(payment)
    if ends and Payment.objects.open().filter(subscription=ends).exists():
        raise NotRefundable("The next period is just being paid. Try again once that is over.")


def _ends(payment: Payment) -> Subscription | None:
    """The plan that this payment pays the current period of, if it is active."""
    plan = payment.subscription
    is_current = plan and plan.state == Subscription.State.ACTIVE and plan.period == payment.period
    return plan if is_current else None


def _granted(grant: CreditGrant) -> int:
    """The credits it was granted with, also if a change of plan has taken some of them back."""
    return grant.granted + (_taken_by_changes(grant)["credits"] or 0)


def _price_cents(payment: Payment) -> int:
    """What the credits cost without tax: what was charged, and what a former plan had paid."""
    plan = payment.subscription
    is_first = plan is not None and payment.period == plan.first_period
    return payment.net_cents + (plan.paid_back_cents if plan and is_first else 0)


def _tax_on(payment: Payment, net_cents: int) -> int:
    """The tax that was charged with so much of the price."""
    net = payment.net_cents
    return payment.tax_cents * min(net_cents, net) // net if net else 0


def _at_most(payment: Payment, cents: int) -> int:
    """`cents`, but no more than is left of the charge after what was paid back of it elsewhere."""
    foreign = given_back_elsewhere_cents(payment)
    if foreign >= payment.amount_cents:
        raise NotRefundable("All of it was paid back at Stripe already.")
    changed = _taken_by_changes(payment.grant)["cents"] or 0 if payment.grant else 0
    changed += _tax_on(payment, changed)
    return min(cents, max(0, payment.amount_cents - foreign - changed))


def _taken_by_changes(grant: CreditGrant) -> dict[str, int | None]:
    took = Subscription.objects.filter(~Q(state=Subscription.State.FAILED), taken_from=grant)
    return took.aggregate(credits=Sum("taken_back_credits"), cents=Sum("paid_back_cents"))

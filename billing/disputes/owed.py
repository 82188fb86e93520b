"""Credits that a charge still owes once its dispute is won.

Nothing can be paid back of a charge that was disputed, so one that never got its credits ends as
these, and not as a refund. A top-up or a recharge that was given up goes on, and grants them under
its own key. A plan that has failed or ended does not begin again: its credits come by themselves,
for a month.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing import plans
from billing.live.wake import wake
from billing.models import CreditGrant, Dispute, Payment, Purchase, Recharge, Refund, Subscription
from billing.payments import requests as payments
from billing.subscriptions.change import grant_key
from billing.subscriptions.periods import months_after
from billing.sync import contracts
from jobs.errors import Snooze

ANOTHER_RECHARGE_SECONDS = 60


def is_owed(payment: Payment) -> bool:
    """Whether the money is with us, and neither credits nor a refund are there or on their way.

    Also if the bank had it before, so that the payment counted as refunded.
    """
    if payment.grant_id or payments.is_waited_for(payment):
        return False
    back = Refund.objects.filter(payment=payment).exclude(state=Refund.State.CALLED_OFF)
    is_taken = payment.state in (Payment.State.CHARGED, Payment.State.REFUNDED)
    elsewhere_cents = payments.given_back_elsewhere_cents(payment)
    return is_taken and not back.exists() and elsewhere_cents < payment.amount_cents


def grant(dispute: Dispute, now: datetime) -> None:
    """Grant what the payment of a dispute that was won still owes, if it owes anything.

    Raises what granting raises, or Snooze. Safe to repeat: the grant has one key for ever.
    """
    with transaction.atomic():
        payment = Payment.objects.select_for_update().get(pk=dispute.payment_id)
        others = Dispute.objects.filter(payment=payment).exclude(pk=dispute.pk)
        if others.exclude(state__in=[Dispute.State.WON, Dispute.State.CLOSED]).exists():
            return  # it decides
        if not is_owed(payment):
            return
        Payment.objects.filter(pk=payment.pk).run_now(
            now, state=Payment.State.CHARGED, failure="", settled_at=None
        )
        if _goes_on(payment, now):
            return
    subscription = payment.subscription
    if subscription is None:
        raise ValueError(f"payment {payment.pk} is for nothing that could be granted")
    grant_id = contracts.grant(
        payment.customer,
        key=grant_key(subscription, payment.period or 0),
        name=f"{plans.PLANS[subscription.plan].name} plan",
        credits=credits_owed(payment, subscription),
        starts_at=now,
        ends_at=months_after(now, 1),
        priority=plans.PRIORITY_PLAN,
        paid_cents=payment.net_cents,
        now=now,
    )
    payments.mark_granted(payment, grant_id=grant_id, now=now)
    wake(CreditGrant.objects.values_list("wallet_id", flat=True).get(pk=grant_id))


def credits_owed(payment: Payment, subscription: Subscription) -> int:
    """The plan's credits.

    Of an upgrade that failed only the share that was charged: the rest of its price was paid with
    credits of the former plan, which came back as it failed.
    """
    credits = plans.PLANS[subscription.plan].credits
    is_first = payment.period == subscription.first_period
    if subscription.state != Subscription.State.FAILED or not is_first:
        return credits
    price_cents = payment.net_cents + subscription.paid_back_cents
    return credits * payment.net_cents // price_cents


def _goes_on(payment: Payment, now: datetime) -> bool:
    """Have the top-up or the recharge of this payment go on, in the caller's transaction."""
    anew = {"failure": "", "settled_at": None}
    purchases = Purchase.objects.filter(payment=payment, state=Purchase.State.FAILED)
    recharges = Recharge.objects.filter(payment=payment, state=Recharge.State.FAILED)
    open_ones = Recharge.objects.open().filter(customer_id=payment.customer_id)
    if recharges.exists() and open_ones.exists():  # one at a time
        raise Snooze("another recharge is under way", seconds=ANOTHER_RECHARGE_SECONDS)
    # Metronome may have heard that it failed: it is asked again, and if need be we grant it.
    return bool(
        purchases.run_now(now, state=Purchase.State.CHARGED, charged_at=now, **anew)
        or recharges.run_now(now, state=Recharge.State.RELEASING, **anew)
    )

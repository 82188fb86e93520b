"""Following one dispute: read at Stripe, so that events in any order, and twice, end the same.

    new → inquiry → closed          the bank only asks: nothing but a mark
      └─────┴──→ withdrawn → won     the wallet can be used again; what costs stays off;
                     │               credits that never came are granted (`owed`)
                     └─────→ lost    what is left of the payment's credits goes

Withdrawn money freezes the wallet, switches auto-recharge off and stops renewals. The dispute
holds the wallet under a reason of its own (`Dispute.hold`), so that one that is won does not
unfreeze what staff has frozen or another dispute holds. A lost one goes on holding it: only staff
unfreezes then. A bank may take back what was won.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Customer
from billing import ledger, plans
from billing.live.wake import wake
from billing.models import (
    CreditGrant,
    Dispute,
    Payment,
    Refund,
    Reservation,
    Subscription,
    Wallet,
)
from billing.models.wallets import DISPUTE_HOLD
from billing.payments import kept, ungranted
from billing.payments import requests as payments
from billing.payments.gateways.stripe import money_back
from billing.recharge import mirror_again, switch_off
from billing.subscriptions import choose
from billing.sync import contracts, paid_credits
from jobs.errors import Snooze
from jobs.models import due
from jobs.worker import RowJob
from notifications import banners, emit

from . import owed

State = Dispute.State
_PAID = (Payment.State.CHARGING, Payment.State.CHARGED)
_RENEWED = (Subscription.State.REQUESTED, Subscription.State.ACTIVE)
_NOT_RENEWED = [plan.key for plan in plans.PLANS.values() if plan.once]
RESERVED_CHECK_SECONDS = 60
UNGRANTED_CHECK_SECONDS = 60
RETURNING_CHECK_SECONDS = 600
DISPUTED = "Your bank has withdrawn an earlier payment."
ON_HOLD = "Your credits are on hold."


def notice(payment: Payment, *, gateway: str, reference: str, now: datetime) -> Dispute:
    """The dispute of this id, written by the first call. Its job reads it again now."""
    row, _ = Dispute.objects.get_or_create(
        gateway=gateway,
        reference=reference,
        defaults={
            "payment": payment,
            "customer_id": payment.customer_id,
            "amount_cents": payment.amount_cents,
            "created_at": now,
            **due(now),
        },
    )
    Dispute.objects.filter(pk=row.pk).run_now(now)
    return row


def advance(dispute: Dispute, now: datetime) -> datetime | None:
    """Read the dispute and do what its state asks for. Returns when to look again."""
    found = money_back.dispute(dispute.reference)
    with transaction.atomic():
        _lock_sales(dispute.customer_id)
        row = Dispute.objects.select_for_update().get(pk=dispute.pk)
        if (row.state, row.status) != (dispute.state, dispute.status):
            raise Snooze("another worker has just read this dispute")
        is_over = found.state in (State.WON, State.LOST, State.CLOSED)
        Dispute.objects.filter(pk=row.pk).update(
            state=found.state,
            status=found.status,
            reason=found.reason,
            amount_cents=found.amount_cents,
            evidence_due_at=found.evidence_due_at,
            settled_at=(row.settled_at or now) if is_over else None,
        )
        dispute.refresh_from_db()
        if row.state != found.state:
            _follow(dispute, row.state, now)
    if found.state == State.LOST:
        return _take_credits(dispute, now)
    if found.state == State.WON:
        owed.grant(dispute, now)
    return None


def _lock_sales(customer_id: UUID) -> None:
    """Wait until nothing is being sold to the customer, and have what is sold next find the freeze.

    Plans, top-ups and recharges lock the customer, renewals the subscription, in this order.
    """
    Customer.objects.select_for_update(no_key=True).get(pk=customer_id)
    list(Subscription.objects.select_for_update().filter(customer=customer_id).order_by("pk"))


def _follow(dispute: Dispute, before: str, now: datetime) -> None:
    """Do what the change of state asks for, in its transaction."""
    # If its credits can never be granted, it waits for this decision.
    charged = Payment.objects.filter(pk=dispute.payment_id, state=Payment.State.CHARGED)
    charged.filter(grant=None).run_now(now)
    if dispute.state == State.CLOSED:
        banners.take_down(dispute.customer_id, "payment.disputed", f"{dispute.pk}-", now)
        return
    # Also one that was decided before we read it: so it ends as if we had.
    if dispute.state != State.INQUIRY and before != State.WITHDRAWN:
        _stop_charges(dispute, now)
    wallet = ledger.wallet_of(dispute.customer_id)
    data = {
        "payment": str(dispute.payment_id),
        "amount_cents": dispute.amount_cents,
        "state": dispute.state,
        "is_held": dispute.state != State.INQUIRY,
        "is_owed": dispute.state == State.WON and owed.is_owed(dispute.payment),
    }
    if dispute.state == State.WON:
        data["is_held"] = bool(set(wallet.frozen_by) - {dispute.hold})
    emit(dispute.customer_id, "payment.disputed", f"{dispute.pk}-{dispute.state}", data, now)
    # The wallet's row is locked last.
    if dispute.state != State.INQUIRY:
        is_held = dispute.state != State.WON
        if is_held and before == State.WITHDRAWN:
            return  # staff may have unfrozen it meanwhile
        ledger.set_frozen(wallet_id=wallet.pk, frozen=is_held, reason=dispute.hold, now=now)
        wake(wallet.pk)


def _stop_charges(dispute: Dispute, now: datetime) -> None:
    """Nothing is charged any more unless the customer asks for it anew."""
    customer_id = dispute.customer_id
    switch_off(customer_id=customer_id, now=now)
    mine = Subscription.objects.filter(customer_id=customer_id)
    # One that is requested begins all the same if it is being paid: then it ends with its period.
    renewed = mine.filter(state__in=_RENEWED).exclude(plan__in=_NOT_RENEWED)
    renewed.update(next_plan=Subscription.NO_PLAN)
    charging = Payment.objects.filter(
        customer_id=customer_id, state__in=[Payment.State.INITIATED, Payment.State.REQUIRES_ACTION]
    )
    for payment in charging.exclude(pk=dispute.payment_id):
        payments.call_off(payment, failure=DISPUTED, now=now)
    _give_up_unpaid(mine, DISPUTED, now)


def _give_up_unpaid(rows: QuerySet[Subscription], reason: str, now: datetime) -> None:
    """Call off plans that are being set up and were not paid yet."""
    for requested in rows.filter(state=Subscription.State.REQUESTED):
        if not requested.payments.filter(state__in=_PAID).exists():
            choose.give_up(subscription=requested, reason=reason, now=now)


def _take_credits(dispute: Dispute, now: datetime) -> datetime | None:
    """Take what is left of the payment's credits, here and then at Metronome; never below zero.

    If the bank has only a part of the money, what the rest pays for stays (`payments.kept`).
    What is reserved may still be captured; it is waited for, as nothing more can be reserved. So
    are credits that are still on their way, or that may come back.
    """
    payment = Payment.objects.get(pk=dispute.payment_id)
    grant = payment.grant
    if dispute.taken_at:
        return None
    if grant is None:
        return _await_credits(payment, now)
    if dispute.credits_taken is None:
        wallet = Wallet.objects.get(pk=grant.wallet_id)
        if wallet.frozen_at and Reservation.objects.open().filter(wallet=wallet).exists():
            return now + timedelta(seconds=RESERVED_CHECK_SECONDS)
        if _may_come_back(grant):
            return now + timedelta(seconds=RETURNING_CHECK_SECONDS)
    else:
        _tell_metronome(dispute, grant, now)  # if a worker died before it did
    is_all = _take_unreserved(dispute, payment, grant, now)
    _tell_metronome(dispute, grant, now)
    if not is_all:
        return now + timedelta(seconds=RESERVED_CHECK_SECONDS)
    Dispute.objects.filter(pk=dispute.pk).update(taken_at=now)
    return None


def _await_credits(payment: Payment, now: datetime) -> datetime | None:
    """When to look again for credits that are still to be granted, read or noted; None if never."""
    if payments.is_waited_for(payment) or ungranted.known_credits(payment):
        return now + timedelta(seconds=UNGRANTED_CHECK_SECONDS)
    if paid_credits.are_there(payment):
        return now + timedelta(seconds=ungranted.CHECK_SECONDS)
    charged = Payment.objects.filter(pk=payment.pk, state=Payment.State.CHARGED)
    charged.run_now(now)  # it waits for this
    return None


def _take_unreserved(dispute: Dispute, payment: Payment, grant: CreditGrant, now: datetime) -> bool:
    """Take what goes and is not reserved. Returns whether that is all.

    It is not where staff has unfrozen the wallet: what is reserved then is taken once it is free.
    """
    with transaction.atomic():
        row = Dispute.objects.select_for_update().get(pk=dispute.pk)
        if (row.credits_taken, row.taken_at) != (dispute.credits_taken, None):
            raise Snooze("another worker has just taken them")
        grant.refresh_from_db()
        going = _going(payment, grant, now)
        if going:
            try:
                ledger.reduce(grant_id=grant.pk, credits=going, now=now)
            except ledger.NotLeft:
                raise Snooze("credits were spent in this moment") from None
        grant.refresh_from_db()
        fields = {"reduced_to": grant.reduced_to} if going else {}
        taken = (row.credits_taken or 0) + going
        Dispute.objects.filter(pk=row.pk).update(credits_taken=taken, **fields)
    dispute.refresh_from_db()
    wake(grant.wallet_id)
    beyond = min(grant.remaining, grant.granted - kept.credits_kept(payment, grant))
    is_reserved = Reservation.objects.open().filter(wallet=grant.wallet_id).exists()
    return beyond <= 0 or grant.ends_at <= now or not is_reserved


def _tell_metronome(dispute: Dispute, grant: CreditGrant, now: datetime) -> None:
    if dispute.reduced_to is not None and grant.ends_at > now:
        # Each time that some are taken it is less, and told once.
        key = f"vocalis-dispute-taken-{dispute.pk}-{dispute.reduced_to}"
        contracts.set_amount(grant, key=key, credits=dispute.reduced_to)


def _going(payment: Payment, grant: CreditGrant, now: datetime) -> int:
    """How many of the credits that are left go with the money."""
    if grant.ends_at <= now:
        return 0
    beyond = grant.granted - kept.credits_kept(payment, grant)
    return max(0, min(ledger.unreserved(grant, now), beyond))


def _may_come_back(grant: CreditGrant) -> bool:
    """Whether a refund or an upgrade has taken credits of it that it may still give back."""
    ends = Refund.State.PAID_BACK, Refund.State.CALLED_OFF
    refunds = Refund.objects.filter(grant=grant).exclude(state__in=ends)
    upgrades = Subscription.objects.filter(
        taken_from=grant, state=Subscription.State.REQUESTED, taken_back_credits__gt=0
    )
    return refunds.exists() or upgrades.exists()


def decided(customer_id: UUID, now: datetime) -> int:
    """Note that staff has decided on the wallet that lost disputes keep frozen.

    Returns how many waited for that.
    """
    return Dispute.objects.undecided().filter(customer=customer_id).update(decided_at=now)


def freeze(customer_id: UUID, now: datetime) -> None:
    """By staff: nothing can be spent or sold until it is unfrozen.

    What is being charged already is charged, and granted; what waits for a renewal, for a plan that
    is still to be paid, or for a recharge is not.
    """
    with transaction.atomic():
        _lock_sales(customer_id)
        mine = Subscription.objects.filter(customer_id=customer_id)
        _give_up_unpaid(mine.exclude(plan__in=_NOT_RENEWED), ON_HOLD, now)
        mirror_again(customer_id=customer_id, now=now)
        wallet = ledger.wallet_of(customer_id)
        ledger.set_frozen(wallet_id=wallet.pk, frozen=True, now=now)
    wake(wallet.pk)


def unfreeze(customer_id: UUID, now: datetime) -> None:
    """By staff: whatever froze the wallet, it can be spent from again.

    What waited for that goes on: the renewal of a plan, and auto-recharge if it is switched on.
    """
    with transaction.atomic():
        decided(customer_id, now)
        Subscription.objects.filter(
            customer_id=customer_id, state=Subscription.State.ACTIVE
        ).run_now(now)
        mirror_again(customer_id=customer_id, now=now)
        wallet = ledger.wallet_of(customer_id)
        ledger.set_frozen(wallet_id=wallet.pk, frozen=False, now=now)
    wake(wallet.pk)


def holding(customer_id: UUID) -> Dispute | None:
    """The dispute that keeps the customer's wallet frozen, None if none does."""
    wallet = Wallet.objects.filter(customer_id=customer_id).first()
    holds = wallet.frozen_by if wallet else []
    # By these alone: there may be thousands that hold nothing.
    keys = [hold.removeprefix(DISPUTE_HOLD) for hold in holds if hold.startswith(DISPUTE_HOLD)]
    if not keys:
        return None
    rows = Dispute.objects.filter(customer_id=customer_id, pk__in=keys)
    return rows.filter(state__in=[State.WITHDRAWN, State.LOST]).order_by("-created_at").first()


ADVANCE = RowJob("disputes.advance", Dispute, advance)

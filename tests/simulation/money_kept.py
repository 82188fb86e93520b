"""What holds of money that went back: it is gone here as it is at Stripe, with what it had bought,
and nothing is charged after a dispute for which its customer has not asked."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q

from billing import plans
from billing.models import (
    AutoRecharge,
    CreditGrant,
    Dispute,
    LedgerEntry,
    Payment,
    PaymentAlert,
    PaymentAttempt,
    Refund,
    Subscription,
    Wallet,
)
from billing.models.recharges import METRONOMES_WORKFLOW
from billing.payments.gateways.stripe.money_back import STATES
from billing.payments.requests import charge_key

from . import plan_changes
from .money_back import HELD
from .stripe_side import UNDER_WAY

if TYPE_CHECKING:
    from .world import World

BY_HAND = "Paid by hand: "
TAKEN = Payment.State.CHARGED, Payment.State.REFUNDING, Payment.State.REFUNDED


def keeps_off(world: World) -> None:
    """After a dispute nothing is charged for which the customer has not asked since."""
    world.turn += 1
    seen = Dispute.objects.filter(state__in=[*HELD, Dispute.State.WON])
    for dispute in seen.order_by("created_at", "pk"):
        if dispute.pk not in world.stopped:
            under_way = Payment.objects.filter(customer=dispute.customer_id).open()
            world.stopped[dispute.pk] = (
                world.turn,
                world.now(),
                set(under_way.values_list("pk", flat=True)),
            )
        turn, at, under_way_then = world.stopped[dispute.pk]
        if world.asked.get(dispute.customer_id, -1) >= turn - 1:
            continue
        mine = Q(customer=dispute.customer_id)
        assert not AutoRecharge.objects.filter(mine, enabled=True).exists(), (
            f"auto-recharge of {dispute.customer_id} is on after {dispute}"
        )
        renewed = Subscription.objects.filter(mine, state=Subscription.State.ACTIVE)
        renewed = renewed.exclude(plan="trial").exclude(next_plan=Subscription.NO_PLAN)
        assert not renewed.exists(), f"{list(renewed)} is renewed after {dispute}"
        later = PaymentAttempt.objects.filter(payment__customer=dispute.customer_id)
        later = later.filter(created_at__gt=at).exclude(payment__in=under_way_then)
        assert not later.exists(), f"{list(later)} after {dispute}"


def begins_nothing_frozen(world: World) -> None:
    """Nothing is asked to be charged while a wallet is frozen, whatever clock has dated the rows.

    Looked at by the rows: those of a step in which it was frozen are taken for older."""
    seen: dict[UUID, tuple[datetime, list[str], set[UUID]]] = {}
    for wallet in Wallet.objects.exclude(frozen_at=None):
        mine = Payment.objects.filter(customer=wallet.customer_id, is_by_metronome=False)
        asked = set(mine.values_list("pk", flat=True))
        at, reasons, before = world.frozen.get(wallet.customer_id, (None, [], set()))
        # One that was lifted and put on again since is another one.
        if at == wallet.frozen_at and set(reasons) & set(wallet.frozen_by):
            assert asked == before, f"{asked - before} are charged for a frozen {wallet}"
        seen[wallet.customer_id] = wallet.frozen_at, wallet.frozen_by, asked
    world.frozen = seen


def taken_of(grant: CreditGrant) -> int:
    """Credits that upgrades, refunds and lost disputes took of it."""
    back = Refund.objects.filter(grant=grant).exclude(state=Refund.State.CALLED_OFF)
    lost = Dispute.objects.filter(payment__grant=grant).exclude(credits_taken=None)
    return (
        plan_changes.taken_of(grant)
        + sum(back.values_list("credits", flat=True))
        + sum(lost.values_list("credits_taken", flat=True))
    )


def _reduced_by_somebody() -> None:
    """A grant counts for less exactly while something has taken credits of it: an upgrade that
    failed has given them back."""
    for row in Subscription.objects.filter(taken_back_credits__gt=0).select_related("taken_from"):
        assert row.taken_from
        is_taken = row.state in (Subscription.State.ACTIVE, Subscription.State.ENDED)
        is_reduced = row.taken_from.reduced_to is not None
        assert is_reduced or not is_taken, f"{row}: {row.taken_from}"
        assert is_taken or not is_reduced or taken_of(row.taken_from), f"{row}: {row.taken_from}"


def given_back_cents(payment: Payment) -> int:
    """What our rows say was paid back of it by Stripe, or withdrawn by a bank."""
    back = Refund.objects.filter(payment=payment, state=Refund.State.PAID_BACK)
    foreign = PaymentAlert.objects.filter(payment=payment, kind=PaymentAlert.Kind.FOREIGN_REFUND)
    held = Dispute.objects.filter(payment=payment, state__in=HELD)
    return (
        sum(back.exclude(failure__startswith=BY_HAND).values_list("amount_cents", flat=True))
        + sum(foreign.values_list("amount_cents", flat=True))
        + sum(held.values_list("amount_cents", flat=True))
    )


def kept_cents(payment: Payment) -> int:
    """What our rows say that Stripe still has of it: below zero if more went back."""
    return (payment.amount_cents if payment.state in TAKEN else 0) - given_back_cents(payment)


def charges_agree(world: World) -> None:
    """What Stripe has of each payment, and of each customer, is what our rows say: taken once, less
    what went back. What was taken ended in a grant of what it buys, less what went back of that, or
    in a refund, and nothing that costs money was granted without its charge."""
    under_way = [charge for charge in world.charges() if charge.status in UNDER_WAY]
    assert not under_way, f"nobody can confirm or cancel it any more: {under_way}"
    taken = Payment.objects.filter(state__in=[Payment.State.CHARGED, Payment.State.REFUNDED])
    taken = taken.select_related("grant", "subscription", "recharge", "purchase")
    charges, attempts = world.paid_by_key(), PaymentAttempt.objects.all()
    ended = set(attempts.exclude(refund_reference="").values_list("key", flat=True))
    charged = {key: one.amount_cents for key, one in charges.items() if key not in ended}
    ours = {paid_under(payment): payment.amount_cents for payment in taken}
    differs = dict(charged.items() ^ ours.items())
    assert charged == ours, f"at Stripe and not paid back as late, or here: {differs}"
    paid = attempts.filter(outcome=PaymentAttempt.Outcome.PAID)
    assert charged == dict(paid.values_list("key", "amount_cents")), "attempts that were paid"
    unsettled = attempts.filter(outcome__in=["open", "waiting"])
    assert not unsettled.exists(), list(unsettled)
    _kept_cents_agree(world)
    for payment in taken:
        if payment.grant is None:
            assert payment.state == Payment.State.REFUNDED, payment
        else:
            credits = payment.grant.granted + taken_of(payment.grant)
            assert (payment.net_cents, credits) == bought(payment), payment
    assert not CreditGrant.objects.filter(kind="commit", payment=None).exists(), (
        "credits without a charge"
    )


def paid_under(payment: Payment) -> str:
    """The key of the attempt that was paid."""
    if payment.is_by_metronome:
        return f"{METRONOMES_WORKFLOW}{payment.recharge.invoice_id}"
    return charge_key(payment)


def _kept_cents_agree(world: World) -> None:
    """To the cent, by payment and by customer."""
    at_stripe, owners = world.kept_by_payment(), world.owners_of_payments()
    here = {str(one.pk): kept_cents(one) for one in Payment.objects.all()}
    here = {name: cents for name, cents in here.items() if cents}
    assert here == at_stripe, f"{here} here, {at_stripe} at Stripe"
    ours: Counter[str] = Counter()
    for name, cents in here.items():
        ours[owners[name]] += cents
    kept = world.kept_at_stripe()
    assert ours == kept, f"{ours} here, {kept} at Stripe"


def agree(world: World) -> None:
    """Every dispute, warning and refund is known here as it is at Stripe, and did what it does."""
    _refunds_agree(world)
    _reduced_by_somebody()
    known = {row.reference: row for row in Dispute.objects.all()}
    there = list(world.stripe.world.store.disputes)
    assert {row.id for row in there} == known.keys(), "disputes"
    for row in there:
        ours = known[row.id]
        assert (ours.state, ours.amount_cents) == (STATES[row["status"]], row["amount"]), ours
        _did_what_it_does(world, ours)
    alerts = PaymentAlert.objects.filter(kind=PaymentAlert.Kind.EARLY_WARNING)
    open_here = set(alerts.filter(closed_at=None).values_list("reference", flat=True))
    actionable = {row.id for row in world.stripe.world.store.warnings if row["actionable"]}
    assert open_here == actionable, f"warnings: {open_here} here, {actionable} at Stripe"


def _did_what_it_does(world: World, dispute: Dispute) -> None:
    wallet = Wallet.objects.get(customer=dispute.customer_id)
    if dispute.state in HELD:
        is_lifted = dispute.hold in world.lifted[dispute.customer_id]
        assert is_lifted or dispute.hold in wallet.frozen_by, f"{dispute} does not hold {wallet}"
    else:
        assert dispute.hold not in wallet.frozen_by, f"{dispute} still holds {wallet}"
    if dispute.state == Dispute.State.LOST and dispute.payment.grant_id:
        grant = dispute.payment.grant
        assert dispute.taken_at and dispute.credits_taken is not None, f"{dispute} took nothing"
        paid_for, spent = _paid_for(dispute.payment), grant.granted - grant.remaining
        stays = max(0, paid_for - spent) + _returned_to(grant)
        is_left = grant.remaining > stays and grant.ends_at > world.now()
        assert not is_left, f"{dispute} left {grant}: {paid_for} credits are paid for"
        # Unless a refund of somebody at Stripe came back afterwards: then a person decides.
        returned = PaymentAlert.objects.filter(payment=dispute.payment, amount_cents=0)
        whole = grant.granted + taken_of(grant)
        is_enough = grant.granted >= min(whole, paid_for) or returned.exists()
        assert is_enough, f"{dispute} took too much of {grant}: {paid_for} credits are paid for"


def _paid_for(payment: Payment) -> int:
    """The credits of a payment that what is kept of it has paid for: a share of all of them."""
    grant = payment.grant
    assert grant
    by_hand = Refund.objects.filter(payment=payment, failure__startswith=BY_HAND)
    upgrades = Subscription.objects.filter(taken_from=grant).exclude(state="failed")
    kept = kept_cents(payment) - sum(by_hand.values_list("amount_cents", flat=True))
    kept -= sum(upgrades.values_list("paid_back_cents", flat=True))
    return max(0, kept * (grant.granted + taken_of(grant)) // payment.amount_cents)


def _returned_to(grant: CreditGrant) -> int:
    """Credits that usage had taken of it and that may be in it again: another grant came to pay for
    them, or Metronome counts them in no month any more, which an adjustment follows."""
    entries = LedgerEntry.objects.filter(wallet=grant.wallet_id)
    adjusted = entries.filter(kind=LedgerEntry.Kind.ADJUSTMENT, amount__gt=0)
    moved = [
        -credits
        for consumptions in entries.exclude(consumptions=[]).values_list("consumptions", flat=True)
        for grant_id, credits, *_ in consumptions
        if grant_id == grant.pk and credits < 0
    ]
    return sum(moved) + sum(adjusted.values_list("amount", flat=True))


def _refunds_agree(world: World) -> None:
    """No refund is under way; each did what staff was shown, and paid back the share of its
    credits, less what had gone back of the charge by other ways."""
    ends = [Refund.State.PAID_BACK, Refund.State.CALLED_OFF]
    unsettled = Refund.objects.exclude(state__in=ends)
    assert not unsettled.exists(), list(unsettled)
    refused = Refund.objects.filter(state=Refund.State.PAID_BACK, settled_at=None)
    assert not refused.exists(), list(refused)
    for refund in Refund.objects.select_related("payment__subscription", "payment__purchase"):
        payment, shown = refund.payment, world.agreed_refunds[refund.payment_id]
        lost = Dispute.objects.filter(payment=payment, state=Dispute.State.LOST)
        if refund.state == Refund.State.CALLED_OFF and lost.exists():
            # Of those that came back the dispute may have taken some.
            of_amount = [credits for cents, credits in shown if cents == refund.amount_cents]
            assert refund.credits <= max(of_amount, default=-1), f"{refund} was never shown"
            continue
        does = refund.amount_cents, refund.credits
        assert does in shown, f"{refund} was never shown"
        if refund.grant is None:
            continue
        share = price_cents(payment) * refund.credits // bought(payment)[1]
        if payment.net_cents:
            share += payment.tax_cents * min(share, payment.net_cents) // payment.net_cents
        share = min(share, payment.amount_cents)  # an upgrade is charged less than its price
        others = PaymentAlert.objects.filter(
            payment=refund.payment_id, kind=PaymentAlert.Kind.FOREIGN_REFUND
        )
        changed = Subscription.objects.filter(taken_from=refund.grant)
        is_alone = not (others.exists() or changed.exists())
        assert refund.amount_cents == share or (refund.amount_cents < share and not is_alone), (
            f"{refund}: {refund.credits} credits are worth {share} cents"
        )


def price_cents(payment: Payment) -> int:
    """What all the credits of a payment cost without tax, with what a former plan paid of it."""
    row = payment.subscription
    is_first = row is not None and payment.period == row.first_period
    return payment.net_cents + (row.paid_back_cents if row and is_first else 0)


def bought(payment: Payment) -> tuple[int | None, int]:
    """Cents and credits of a plan's month, of a top-up, or of what Metronome wanted paid."""
    if payment.kind == Payment.Kind.PACK:
        return payment.purchase.amount_cents, payment.purchase.credits
    if payment.subscription:
        plan = plans.PLANS[payment.subscription.plan]
        return plan_changes.price(payment), plan.credits * _share(payment)[0] // _share(payment)[1]
    assert payment.recharge.grant == payment.grant
    total = Decimal(payment.recharge.invoice_total)
    return int(total.to_integral_value(ROUND_HALF_UP)), int(total * plans.CREDITS_PER_CENT)


def _share(payment: Payment) -> tuple[int, int]:
    """The share of a plan's credits that a payment buys: cents, of cents.

    All, unless it was for an upgrade that failed and gave back what the former plan paid of it: its
    credits are granted all the same if the customer disputed it, and lost."""
    row = payment.subscription
    has_failed = row is not None and row.state == Subscription.State.FAILED
    return payment.net_cents, price_cents(payment) if has_failed else payment.net_cents

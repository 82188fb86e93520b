"""Money that goes back: refunds by staff and at Stripe's Dashboard, disputes, and warnings.

What holds of it is in `money_kept`.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import stripe

from accounts.models import Customer
from billing import ledger
from billing.disputes import flow as disputing
from billing.models import (
    Dispute,
    Payment,
    PaymentAttempt,
    Refund,
    Wallet,
)
from billing.refunds import requests as refunds
from billing.refunds.preview import NotRefundable, preview
from stripe_sandbox import disputes, warnings
from stripe_sandbox import refunds as stripes_refunds
from stripe_sandbox.records import Resource

from .operators import Operators

if TYPE_CHECKING:
    pass

HELD = Dispute.State.WITHDRAWN, Dispute.State.LOST


class MoneyBack(Operators):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        # Cents and credits that staff was shown before a refund was confirmed, by payment.
        self.agreed_refunds: dict[UUID, set[tuple[int, int]]] = defaultdict(set)
        self.lifted: dict[UUID, set[str]] = defaultdict(set)  # by staff: reasons of a freeze
        # Wallets that were frozen at the last look: since when, why, and what was charged by then.
        self.frozen: dict[UUID, tuple[datetime, list[str], set[UUID]]] = {}
        # How often something was looked at; when a customer last asked for anything that costs,
        # and when a dispute was first seen to have stopped all that costs, in that count.
        self.turn = 0
        self.asked: dict[UUID, int] = {}
        self.stopped: dict[UUID, tuple[int, datetime, set[UUID]]] = {}

    # --- Staff

    def refund(self) -> None:
        """Staff look at what a refund does, perhaps for long, and agree, perhaps twice."""
        charged = list(Payment.objects.filter(state=Payment.State.CHARGED).order_by("created_at"))
        if not charged:
            return
        payment = self.dice.choice(charged)
        with suppress(NotRefundable, refunds.NotAgreed):
            shown = preview(payment, self.now())
            self.goes_with_what_is_left(payment)
            if self.dice.random() < 0.4:
                self.dice.choice([self.work, self.spend_of(payment), self.half_an_hour])()
            times = self.dice.choice([1, 1, 2])
            self._confirm(payment, shown.shown, (shown.amount_cents, shown.credits), times)

    def goes_with_what_is_left(self, payment: Payment) -> None:
        """A refund is of all the credits that are left of a payment, worked out anew."""
        with self.chaos.elsewhere(), suppress(NotRefundable):
            found = preview(Payment.objects.get(pk=payment.pk), self.now())
            wallet = Wallet.objects.get(customer=payment.customer_id)
            if (grant := found.grant) and not wallet.reserved:
                grant.refresh_from_db()
                left = min(grant.remaining, wallet.available)
                assert found.credits == left, f"{payment}: {found.credits} of {left} credits"

    def spend_of(self, payment: Payment) -> Any:
        return lambda: self.speak_for(payment.customer)

    def half_an_hour(self) -> None:
        self.advance(minutes=30)

    def speak_for(self, customer: Customer | None) -> None:
        raise NotImplementedError

    def _confirm(self, payment: Payment, shown: str, does: tuple[int, int], times: int) -> None:
        self.agreed_refunds[payment.pk].add(does)
        for _ in range(times):
            refunds.request(
                payment, shown=shown, reason="You asked for it.", by=self.staff, now=self.now()
            )

    def refund_what_is_never_granted(self) -> None:
        """Staff refund what was charged and has no credits, where that is allowed."""
        charged = Payment.objects.filter(state=Payment.State.CHARGED, grant=None)
        for payment in charged.order_by("created_at"):
            with suppress(NotRefundable, refunds.NotAgreed):
                shown = preview(payment, self.now())
                self._confirm(payment, shown.shown, (shown.amount_cents, shown.credits), 1)

    def decide_on_refunds(self) -> None:
        """What came back is sent again, paid by hand or given up; what can never be paid is given
        up."""
        for refund in Refund.objects.filter(state=Refund.State.REFUSED).order_by("created_at"):
            act = self.dice.choice(["again", "again", "by hand", "give back"])
            for _ in range(self.dice.choice([1, 1, 2])):
                with suppress(refunds.NotPossible):
                    if act == "again":
                        refunds.send_again(refund, self.now())
                    elif act == "by hand":
                        refunds.settle_by_hand(refund, how="a cheque", now=self.now())
                    else:
                        refunds.call_off(refund, self.now())
        stuck = Refund.objects.dead().filter(state__in=["requested", "taken_back"])
        for refund in stuck.order_by("created_at"):
            with suppress(refunds.NotPossible):
                refunds.call_off(refund, self.now())

    def freeze(self) -> None:
        """Staff freeze a wallet, or lift whatever holds it."""
        if customer := self.anyone():
            self._toggle_frozen(customer)

    def unfreeze_disputed(self) -> None:
        """Staff have talked with somebody who lost a dispute."""
        held = Dispute.objects.filter(state__in=HELD).select_related("customer")
        if rows := list(held.order_by("created_at", "pk")):
            self._toggle_frozen(self.dice.choice(rows).customer)

    def _toggle_frozen(self, customer: Customer) -> None:
        with self.chaos.elsewhere():  # else the moment given might be long past
            wallet = ledger.wallet_of(customer.pk)
            self.lifted[customer.pk] |= set(wallet.frozen_by)
            self.frozen.pop(customer.pk, None)
            act = disputing.unfreeze if wallet.frozen_at else disputing.freeze
            act(customer.pk, self.now())

    # --- Stripe, the banks, and the owners of cards

    def refund_bounces(self) -> None:
        """A bank does not take back what we, or somebody at Stripe's Dashboard, paid back.

        One for money of an attempt that had ended needs a person for ever, so it does not bounce.
        """
        with self.chaos.elsewhere():
            known = set(Refund.objects.exclude(reference="").values_list("reference", flat=True))
            rows = [
                row
                for row in self.stripe.world.store.refunds
                if row["status"] in ("pending", "succeeded")
                and (row.id in known or "vocalis_payment" not in row["metadata"])
            ]
            if rows:
                fate = self.dice.choice(stripes_refunds.FAILURES)
                stripes_refunds.fail(self.stripe.world, self.dice.choice(rows), fate)

    def refund_at_stripe(self) -> None:
        """Somebody gives money back in Stripe's Dashboard, without telling us."""
        with self.chaos.elsewhere():
            if charge := self._any_charge(known=True):
                whole = charge["amount"] - charge["amount_refunded"]
                if whole > 0:
                    cents = self.dice.choice([whole, max(1, whole // 3)])
                    with suppress(stripe.InvalidRequestError):  # disputed
                        self.stripe_hotline.v1.refunds.create(
                            {"charge": charge.id, "amount": cents}
                        )

    def dispute(self) -> None:
        """The owner of a card goes to the bank: it asks us, or takes the money at once; also of a
        charge of which we have not heard yet, or that we are about to pay back."""
        with self.chaos.elsewhere():
            charge = self._any_charge()
            if charge and not charge["disputed"]:
                is_inquiry = self.dice.random() < 0.3
                disputes.open_(self.stripe.world, charge, is_inquiry=is_inquiry)

    def dispute_moves_on(self) -> None:
        """A bank takes the money, decides, or changes its mind."""
        with self.chaos.elsewhere():
            rows = [row for row in self.stripe.world.store.disputes if disputes.following(row)]
            if rows:
                row = self.dice.choice(rows)
                status = self.dice.choice(disputes.following(row))
                disputes.move_on(self.stripe.world, row, status)

    def banks_decide(self) -> None:
        """On what has no credits, and so waits for them."""
        ungranted = Dispute.objects.filter(state=Dispute.State.WITHDRAWN, payment__grant=None)
        with self.chaos.elsewhere():
            for dispute in ungranted.order_by("created_at", "pk"):
                row = self.stripe.world.store.disputes[dispute.reference]
                if row["status"] in ("needs_response", "under_review"):
                    disputes.move_on(self.stripe.world, row, self.dice.choice(["won", "lost"]))

    def warn(self) -> None:
        """The owner of a card says that it was not them."""
        with self.chaos.elsewhere():
            if charge := self._any_charge():
                warnings.warn(self.stripe.world, charge)

    def _any_charge(self, *, known: bool = False) -> Resource | None:
        """A charge that was paid. `known` leaves out those of which we have not heard yet: nobody
        at Stripe's Dashboard is so quick."""
        rows = [row for row in self.stripe.world.store.charges if row["status"] == "succeeded"]
        if known:
            paid = PaymentAttempt.objects.filter(outcome=PaymentAttempt.Outcome.PAID)
            ours = set(paid.values_list("gateway_reference", flat=True))
            rows = [row for row in rows if row["payment_intent"] in ours]
        return self.dice.choice(rows) if rows else None

    # --- What costs

    def note_wish(self, customer: Customer) -> None:
        """A customer asks for something that costs, or may from now on."""
        self.asked[customer.pk] = self.turn

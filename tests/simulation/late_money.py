"""Money that comes late, or twice over: what banks decide on that never had credits or had ended,
and refunds that come back from a payment whose dispute is lost. Rare by chance, so it is sought."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from accounts.models import Customer
from billing.models import Dispute, Payment, PaymentAttempt, Refund
from billing.packs import requests as packs
from billing.payments.gateways import GatewayDeclined
from billing.payments.requests import emit_failed, is_waited_for, tell
from jobs.errors import Rejected, Unavailable
from stripe_sandbox import disputes
from stripe_sandbox import refunds as stripes_refunds
from stripe_sandbox.records import Resource

from .payers import GOOD_CARDS
from .top_ups import AT_PAGE, TopUps

if TYPE_CHECKING:
    from .world import World

GIVEN_UP = "An operator gave it up."
# What CI's seeds must have come to (`test_seeds`).
GRANTED_LATE = "credits granted because a dispute was won"
TAKEN_LATE = "money taken for what had ended, and left to the bank"
CAME_BACK = "a refund that came back from a payment whose dispute was lost"
REACHED = frozenset({GRANTED_LATE, TAKEN_LATE, CAME_BACK})


class LateMoney(TopUps):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.given_up: set[UUID] = set()  # payments, in the database

    def end_plans(self) -> None:
        raise NotImplementedError

    def _choose(self, customer: Customer, plan: str) -> None:
        raise NotImplementedError

    def bank_decides_without_credits(self) -> None:
        """Somebody disputes a charge that never got its credits, because its plan was ended in the
        database."""
        if not (charged := self._without_credits()):
            self._end_what_is_paid()
            charged = self._without_credits()
        if charged:
            payment = self.dice.choice(charged)
            row = self._disputed(payment)
            if self.dice.random() < 0.7:
                self.perform(self.work)
            self._decided(row, "won" if self.dice.random() < 0.75 else "lost")

    def pay_what_was_given_up(self) -> None:
        """An operator gives a top-up up in the database whose page is open: it is paid all the
        same, and mostly the bank takes the money before we have heard of it.

        Not one that is paid already: Stripe has told of it, and nobody would look again."""
        if not (customer := self.anyone()):
            return
        with suppress(packs.PurchaseRefused, Unavailable, Rejected, GatewayDeclined):
            self.go_to_page(customer, self.key("pack") + AT_PAGE)
        with self.chaos.elsewhere():
            waiting = Payment.objects.in_bulk([payment_id for payment_id, _ in self.pay_pages])
            sessions = self.stripe.world.store.sessions
            is_open = {one["url"] for one in sessions if one["status"] == "open"}
            pages = [
                (waiting[payment_id], url)
                for payment_id, url in self.pay_pages
                if waiting[payment_id].state == Payment.State.AT_PAGE and url in is_open
            ]
            if not pages:
                return
            payment, url = pages[-1]
            rows = Payment.objects.filter(pk=payment.pk, lease=None)
            ended = {"failure": GIVEN_UP, "settled_at": self.now()}
            if not rows.cancel(state=Payment.State.FAILED, **ended):
                return
            PaymentAttempt.objects.filter(payment=payment).update(outcome="cancelled")
            payment.refresh_from_db()
            tell(payment, self.now())
            emit_failed(payment, self.now())
            self.given_up.add(payment.pk)
            is_paid = self._type_card(url, self.dice.choice(GOOD_CARDS))
        if is_paid and self.dice.random() < 0.8:
            row = self._disputed(payment)
            if self.dice.random() < 0.8:
                self.perform(self.work)
            if self.dice.random() < 0.7:
                self._decided(row, self.dice.choice(["won", "won", "lost"]))

    def refund_returns_from_a_dispute(self) -> None:
        """The bank sends a refund back while it decides on the payment, or after."""
        if not (paid := self._paid_back()):
            with self.chaos.at_peace():  # so that there is a story to tell
                for act in (self.save_good_card, self.top_up, self.work, self.refund, self.work):
                    self.perform(act)
            paid = self._paid_back()
        if not paid:
            return
        refund = self.dice.choice(paid)
        row = self._disputed(refund.payment)
        acts = [lambda: self._decided(row, "lost"), lambda: self._returned(refund)]
        if self.dice.random() < 0.3:
            acts.reverse()
        for act in acts:
            if self.dice.random() < 0.8:
                self.advance(minutes=self.dice.choice([1, 15]))  # until the webhooks are there
                self.perform(self.work)
            act()

    def _end_what_is_paid(self) -> None:
        customer = self.anyone()
        if customer:
            with self.chaos.overtaken("after charge", self.end_plans):
                self._choose(customer, self.dice.choice(["creator", "pro", "studio"]))
                for _ in range(2):
                    self.perform(self.work)
                    self.advance(seconds=20)

    def _without_credits(self) -> list[Payment]:
        with self.chaos.elsewhere():
            rows = Payment.objects.filter(state=Payment.State.CHARGED, grant=None)
            ungranted = rows.exclude(is_by_metronome=True).order_by("created_at", "pk")
            return [one for one in ungranted if not is_waited_for(one)]

    def _paid_back(self) -> list[Refund]:
        """Refunds of credits that are paid back at Stripe, of payments that nobody disputes."""
        with self.chaos.elsewhere():
            rows = Refund.objects.filter(state=Refund.State.PAID_BACK, grant__isnull=False)
            rows = rows.exclude(reference="").exclude(payment__disputes__isnull=False)
            return list(rows.select_related("payment").order_by("created_at", "pk"))

    def _disputed(self, payment: Payment) -> Resource | None:
        with self.chaos.elsewhere():
            mine = [row for row in self.stripe.world.store.payment_intents if _is_of(row, payment)]
            paid = [row for row in mine if row["status"] == "succeeded"]
            with suppress(ValueError):  # somebody did so already
                for intent in paid:
                    charge = self.stripe.world.store.charges[intent["latest_charge"]]
                    return disputes.open_(self.stripe.world, charge)
        return None

    def _decided(self, row: Resource | None, status: str) -> None:
        with self.chaos.elsewhere():
            if row and status in disputes.following(row):
                disputes.move_on(self.stripe.world, row, status)

    def _returned(self, refund: Refund) -> None:
        with self.chaos.elsewhere():
            row = self.stripe.world.store.refunds[refund.reference]
            with suppress(ValueError):  # it has failed already
                stripes_refunds.fail(self.stripe.world, row, "lost_or_stolen_card")


def _is_of(intent: Resource, payment: Payment) -> bool:
    return intent.id == payment.gateway_reference or (
        intent["metadata"].get("vocalis_payment") == str(payment.pk)
    )


def reached(world: World) -> set[str]:
    """Which of the rare paths this run has come to the end of, by its rows."""
    found = set()
    won = Dispute.objects.filter(state=Dispute.State.WON, payment__grant__isnull=False)
    for dispute in won.select_related("payment__grant"):
        grant = dispute.payment.grant
        if grant and dispute.settled_at and grant.created_at >= dispute.settled_at:
            found.add(GRANTED_LATE)
    paid = PaymentAttempt.objects.filter(outcome=PaymentAttempt.Outcome.PAID)
    if paid.filter(payment__in=world.given_up).exists():
        found.add(TAKEN_LATE)
    lost = Refund.objects.filter(payment__disputes__state=Dispute.State.LOST)
    for refund in lost.filter(state=Refund.State.CALLED_OFF):
        if (refund.amount_cents, refund.credits) not in world.agreed_refunds[refund.payment_id]:
            found.add(CAME_BACK)  # some of its credits went with the dispute
    return found

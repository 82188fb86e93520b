"""Customers at Stripe's pages: they save cards there, and answer their bank, or do not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.models import Customer
from billing.models import CardSetup, GatewayCustomer, GatewayRemoval, Payment, PaymentMethod
from billing.payments import requests as payments
from billing.payments import setups
from billing.payments.cards import CardInUse
from billing.payments.gateways import GatewayDeclined
from billing.tests.stripe_stage import CONFIRMED, DECLINED, GOOD, OTHER_GOOD
from jobs.errors import Rejected, Unavailable
from stripe_sandbox import declining

from .money_back import MoneyBack

if TYPE_CHECKING:
    from .world import World

OURS = "http://testserver/"
GOOD_CARDS = [GOOD, GOOD, GOOD, OTHER_GOOD]
BAD_CARDS = [CONFIRMED, CONFIRMED, DECLINED]
# The card is fine, and its bank says no all the same.
DECLINES = ["insufficient_funds", "generic_decline", "lost_card", "expired_card"]
BANK_FAULTS = ["drop", "drop", "duplicate", "reorder", "delay", "bad_signature", "stale"]


class Payers(MoneyBack):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.bank_pages: list[tuple[UUID, str]] = []  # opened, by payment

    # --- Cards

    def save_card(self, customer: Customer, number: str) -> None:
        """At Stripe's page, from which somebody comes back, or never."""
        self.note_wish(customer)  # what was declined is tried with it
        with suppress(Unavailable, Rejected):
            page = setups.begin(
                customer=customer,
                done_url=lambda setup: f"http://testserver/billing/card/{setup.pk}/done/",
                cancel_url="http://testserver/billing/",
                now=self.now(),
            )
            with self.chaos.elsewhere():
                back = self._type_card(page, number)
            if back and (self.chaos.calm or self.dice.random() < 0.7):
                setup_id = UUID(back.split("/")[-3])
                setups.came_back(customer=customer, setup_id=setup_id, now=self.now())

    def _type_card(self, page: str, number: str) -> str:
        """Where the page leads; "" if it keeps the customer."""
        card = {"number": number, "expiry": "04 / 40", "cvc": "123", "name": "C S"}
        answer = self.browser.post(page, data=card)
        if answer.is_redirect and not answer.headers["location"].startswith(OURS):
            answer = self.browser.post(answer.headers["location"], data={"answer": "pass"})
        return answer.headers["location"] if answer.is_redirect else ""

    def save_good_card(self, customer: Customer | None = None) -> None:
        if customer := customer or self.anyone():
            self.save_card(customer, self.dice.choice(GOOD_CARDS))

    def pay_by_card(self) -> None:
        """Somebody has a card for certain, so that there is a story to tell."""
        with self.chaos.at_peace():
            self.perform(self.save_good_card)
            self.perform(self.work)

    def change_card(self) -> None:
        if customer := self.anyone():
            self.save_card(customer, self.dice.choice([*GOOD_CARDS, *BAD_CARDS]))

    def change_cards_of_payers(self) -> None:
        for payment in Payment.objects.open().select_related("customer").order_by("created_at"):
            self.save_card(payment.customer, self.dice.choice(BAD_CARDS))
        self.work()

    def remove_card(self) -> None:
        """By its customer, here; or at Stripe, by whoever may do so there."""
        methods = list(PaymentMethod.objects.select_related("customer").order_by("pk"))
        if not methods:
            return
        method = self.dice.choice(methods)
        if self.dice.random() < 0.5:
            with suppress(CardInUse):
                setups.remove_card(customer=method.customer, now=self.now())
        else:
            with self.chaos.elsewhere():
                if self.stripe.world.store.payment_methods[method.reference]["customer"]:
                    self.stripe_hotline.v1.payment_methods.detach(method.reference)

    def refuse_next(self) -> None:
        """Some bank will say no, whatever the card."""
        order = {"decline_code": self.dice.choice(DECLINES), "times": self.dice.choice([1, 1, 3])}
        declining.add(self.stripe.world, order)

    # --- The bank

    def confirm_payment(self) -> None:
        """At the bank, which is passed or failed; we hear of it, or find out by ourselves. The page
        may be an old one."""
        waiting = Payment.objects.filter(state=Payment.State.REQUIRES_ACTION).order_by("created_at")
        if waiting:
            payment = self.dice.choice(list(waiting))
            with suppress(Unavailable, Rejected, GatewayDeclined):
                if url := payments.confirmation_url(payment, return_url="http://testserver/b/"):
                    self.bank_pages.append((payment.pk, url))
        if self.bank_pages:
            old = self.dice.random() < 0.2
            payment_id, url = self.dice.choice(self.bank_pages) if old else self.bank_pages[-1]
            answer = "pass" if self.chaos.calm or self.dice.random() < 0.75 else "fail"
            with self.chaos.elsewhere():
                self.browser.post(url, data={"answer": answer})
            if self.dice.random() < 0.7:
                for payment in Payment.objects.filter(pk=payment_id):
                    payments.check_confirmation(payment, now=self.now())

    def call_payment_off(self) -> None:
        waiting = list(
            Payment.objects.filter(state=Payment.State.REQUIRES_ACTION).order_by("created_at")
        )
        if waiting:
            payments.call_off(
                self.dice.choice(waiting), failure="You called it off.", now=self.now()
            )

    def upset_stripes_webhooks(self) -> None:
        kind = self.dice.choice(BANK_FAULTS)
        delay: dict[str, Any] = {"seconds": self.dice.randint(5, 900)} if kind == "delay" else {}
        self.stripe.faults.add("webhook", kind, times=self.dice.randint(1, 5), **delay)


def cards_agree(world: World) -> None:
    """Stripe has the card that is used here and no other, all cards are kept for the one customer
    we know, and who is deleted is nobody there."""
    assert not GatewayRemoval.objects.exists(), list(GatewayRemoval.objects.all())
    under_way = set(
        CardSetup.objects.filter(state=CardSetup.State.OPEN).values_list("customer", flat=True)
    )
    used = dict(PaymentMethod.objects.values_list("customer", "reference"))
    known = dict(GatewayCustomer.objects.values_list("customer", "reference"))
    for customer in Customer.objects.select_related("user"):
        there = [row.id for row in world.customers_at_stripe(customer.pk)]
        if not customer.user.is_active:
            assert not there, f"{customer} is deleted, and known at Stripe as {there}"
            continue
        assert customer.pk not in known or known[customer.pk] in there, customer
        kept = {card for row in there for card in world.cards_at_stripe(row)}
        ours = world.cards_at_stripe(known.get(customer.pk, ""))
        assert kept == ours, f"{customer}: cards at Stripe of a customer unknown here"
        wanted = {used[customer.pk]} if customer.pk in used else set()
        # A card that was typed in and of which we have not heard yet is there too.
        assert kept == wanted or (customer.pk in under_way and kept >= wanted), (
            f"{customer}: {kept} at Stripe, {wanted} here"
        )

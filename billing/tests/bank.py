"""Stripe's side of a test with `stage`, for money that goes back: refunds, disputes, warnings."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import Payment, Subscription
from billing.payments import cards
from billing.payments.gateways import DEFAULT
from billing.payments.gateways.stripe import checkout, client, customers
from billing.sync import contracts
from jobs.errors import Unavailable

from .money_stage import select


class Bank:
    """Stripe, its webhooks, and our workers (`stage`). `now()` is the time of all of them."""

    def __init__(self, stage: Any) -> None:
        self.box, self.stage, self.now = stage.stripe, stage, stage.now

    def advance(self, **delta: float) -> None:
        self.stage.advance(**delta)
        self.work()

    def work(self) -> None:
        """Webhooks arrive and the workers do what is due, until nothing is."""
        for _ in range(4):
            self.box.tick()
            self.stage.sandbox.tick()
            self.stage.drain()

    def save_card(self, customer: Any, method: str = "pm_card_visa") -> None:
        """Have the customer pay with a card of Stripe's test cards."""
        fields: Any = {"customer": customers.reference_of(customer)}
        methods = client.client().v1.payment_methods
        saved = client.plain(client.call(lambda: methods.attach(method, fields)))
        cards.keep(customer.pk, DEFAULT, checkout.card_of(saved), self.now())

    def charge_of(self, payment: Payment) -> Any:
        intent = self.box.world.store.payment_intents[payment.gateway_reference]
        return self.box.world.store.charges[intent["latest_charge"]]

    def refunds(self) -> list[tuple[int, str]]:
        return [(row["amount"], row["status"]) for row in self.box.world.store.refunds]

    def kept_cents(self) -> int:
        """What Stripe's side was paid, less what it paid back."""
        return sum(
            row["amount_captured"] - row["amount_refunded"]
            for row in self.box.world.store.charges
            if row["status"] == "succeeded"
        )


@pytest.fixture
def bank(stage, webhooks):
    return Bank(stage)


def down(*_: Any, **__: Any) -> None:
    """In place of what asks Metronome."""
    raise Unavailable("Metronome is down")


@pytest.fixture
def ungranted(bank, alice, monkeypatch) -> Payment:
    """$49.00 for a month of Creator, which ended before its credits could be granted."""
    bank.save_card(alice)
    select(alice, "creator", bank.now())
    with monkeypatch.context() as away:
        away.setattr(contracts, "grant", down)
        bank.work()
    Subscription.objects.update(state="ended", ended_at=bank.now(), due_at=None)
    payment = Payment.objects.get()
    assert (payment.state, payment.grant) == ("charged", None)
    return payment

"""What customers do at Stripe, for tests with `stripe_box` or `stage`: cards, and the bank's page.

Through the gateway's own client, as the product does it, without the pages in between.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
from django.utils import timezone

from billing.models import Payment, PaymentMethod
from billing.payments import attempts, cards
from billing.payments.gateways import DEFAULT, gateway
from billing.payments.gateways.stripe import checkout, client, customers
from stripe_sandbox import declining
from stripe_sandbox.cards import NAMES

GOOD = "4242424242424242"
OTHER_GOOD = "5555555555554444"
DECLINED = "4000000000000341"  # at every charge, though it can be saved
CONFIRMED = "4000002760003184"  # charged once the customer has confirmed at the bank
NAME_OF = {number: name for name, number in reversed(NAMES.items())}


def save_card(customer: Any, number: str = GOOD, now: datetime | None = None) -> PaymentMethod:
    """Have the customer pay with the card of this number from now on."""
    fields: Any = {"customer": customers.reference_of(customer)}
    methods = client.client().v1.payment_methods
    saved = client.plain(client.call(lambda: methods.attach(NAME_OF[number], fields)))
    return cards.keep(customer.pk, DEFAULT, checkout.card_of(saved), now or timezone.now())


def have_card(customer: Any) -> PaymentMethod:
    """The customer's card, a good one if there was none."""
    return cards.card_of(customer.pk) or save_card(customer)


def charges(*statuses: str) -> list[dict[str, Any]]:
    """The PaymentIntents at Stripe, the oldest first; of these statuses if some are given."""
    found = client.pages(client.client().v1.payment_intents.list, expand=["data.latest_charge"])
    return [one for one in [*found][::-1] if not statuses or one["status"] in statuses]


def charged() -> list[int]:
    """What was charged, in cents, the oldest first; also what was refunded since."""
    return [one["amount"] for one in charges("succeeded")]


def key_of(charge: dict[str, Any]) -> str:
    """The key of the attempt that this PaymentIntent was made for."""
    metadata = charge["metadata"]
    return f"vocalis-payment-{metadata['vocalis_payment']}-{metadata['attempt']}"


def refunded() -> list[int]:
    """What was given back, in cents, the oldest first."""
    return [one["amount"] for one in client.pages(client.client().v1.refunds.list)][::-1]


def decline_next(stage: Any, code: str) -> None:
    """The next charge of anybody is declined with this code of Stripe's."""
    declining.add(stage.stripe.world, {"decline_code": code, "times": 1})


def answer_bank(stage: Any, payment: Payment, answer: str = "pass") -> str:
    """The customer confirms the payment at the bank's page, or fails it ("fail").

    Returns the address the bank leads back to. We hear of it by webhook, or when it is opened.
    """
    payment.refresh_from_db()
    attempt = attempts.current(payment)
    assert attempt, "nothing was sent to Stripe"
    url = gateway(payment.gateway).confirmation_url(attempt, return_url="http://testserver/back")
    assert url, "the bank has nothing to confirm"
    with httpx.Client(transport=stage.stripe.transport()) as browser:
        return str(browser.post(url, data={"answer": answer}).headers["location"])

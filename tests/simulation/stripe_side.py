"""Stripe in the simulation: the way to it and its troubles, and what it knows by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx
import stripe
from django.conf import settings

import stripe_sandbox
from billing.payments.gateways.stripe import client
from metronome_sandbox.kit.clock import Clock
from stripe_sandbox.client import InProcess
from stripe_sandbox.records import Resource

from .chaos import CALL_FAILS, Chaos

WEBHOOK_URL = "http://testserver/api/webhooks/stripe"
ORIGIN = "http://stripe.example"
CHARGING_FAILS = 0.30  # it is called seldom
KEY = "vocalis-payment-"
CHARGE = "POST /v1/payment_intents"
# Statuses of a PaymentIntent that may still become money without us.
UNDER_WAY = {"requires_action", "requires_confirmation", "processing"}
Answer = tuple[str, int, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Charge:
    """A PaymentIntent as Stripe has it. `key` is that of the attempt it was made for."""

    id: str
    key: str
    customer: str
    status: str
    amount_cents: int
    refunded_cents: int
    withdrawn_cents: int  # by the bank, for a dispute
    paid_at: datetime | None
    payment: str  # the id of the payment of ours that it was made for

    @property
    def kept_cents(self) -> int:
        """What was taken and not given back."""
        if self.status != "succeeded":
            return 0
        return self.amount_cents - self.refunded_cents - self.withdrawn_cents


class UnreliableStripe(InProcess):
    """The way to Stripe. The faults are its own where it remembers them: a 500 under its key."""

    def __init__(self, box: stripe_sandbox.Sandbox, chaos: Chaos) -> None:
        super().__init__(box)
        self.box, self.chaos = box, chaos

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> Answer:
        path = urlsplit(url).path
        what = f"{method.upper()} {path}"
        is_charge = what == CHARGE

        def ask() -> Answer:
            return InProcess.request(self, method, url, headers, post_data)

        def struck(kind: str, **options: Any) -> Callable[[], Answer]:
            return lambda: self._struck(what, path, ask, kind, options)

        def silence() -> Answer:
            raise stripe.APIConnectionError("no answer", should_retry=True)

        troubles: dict[str, Callable[[], Answer]] = {
            "timed out before": silence,
            "lost by a time-out": silence,
            "429": struck("status", status=429),
            "409": struck("status", status=409),
            "503": struck("status", status=503),
            "500": struck("status", status=500),
        }
        if method.lower() != "get":
            troubles["500 after the effect"] = struck("error_after", status=500)
            troubles["502 after the effect"] = struck("error_after", status=502)
        chance = CHARGING_FAILS if is_charge or path == "/v1/refunds" else CALL_FAILS
        return self.chaos.call("charge" if is_charge else what, ask, troubles, chance)

    def _struck(
        self, what: str, path: str, ask: Callable[[], Answer], kind: str, options: dict[str, Any]
    ) -> Answer:
        with self.chaos.elsewhere():
            self.box.faults.add(path, kind, times=1, **options)
            answer = ask()
        self.chaos.may_end(f"after {what}")
        return answer


class StripeSide:
    chaos: Chaos
    seed: int
    stripe: stripe_sandbox.Sandbox
    browser: httpx.Client  # of customers, at Stripe's pages

    @contextmanager
    def stripe_running(
        self, clock: Clock, receive: Callable[[str, bytes, dict[str, str]], int]
    ) -> Iterator[None]:
        key = settings.STRIPE_SECRET_KEY
        self.stripe = stripe_sandbox.Sandbox(
            api_keys={key: None},
            clock=clock,
            seed=self.seed,
            origin=ORIGIN,
            sender=receive,
            webhooks=[(WEBHOOK_URL, settings.STRIPE_WEBHOOK_SECRETS[0])],
        )
        self.browser = httpx.Client(transport=self.stripe.transport(), base_url=ORIGIN)
        self.stripe_hotline = self._stripe_client(self.stripe.http_client())
        unreliable = self._stripe_client(UnreliableStripe(self.stripe, self.chaos))
        with patch.object(client, "_client", lambda timeout: unreliable):
            yield

    @staticmethod
    def _stripe_client(line: stripe.HTTPClient) -> stripe.StripeClient:
        return stripe.StripeClient(
            settings.STRIPE_SECRET_KEY,
            stripe_version=client.API_VERSION,
            max_network_retries=0,
            http_client=line,
            base_addresses={"api": ORIGIN},
        )

    # --- What Stripe knows, without a way that could fail

    def charges(self) -> list[Charge]:
        """All PaymentIntents, the oldest first."""
        return [self._charge(row) for row in self.stripe.world.store.payment_intents]

    def _charge(self, intent: Resource) -> Charge:
        store = self.stripe.world.store
        row = store.charges.get(intent["latest_charge"] or "")
        is_paid = intent["status"] == "succeeded" and row is not None
        key, payment = self.made_for(intent)
        return Charge(
            id=intent.id,
            key=key,
            payment=payment,
            customer=str(intent["customer"]),
            status=str(intent["status"]),
            amount_cents=int(intent["amount"]),
            refunded_cents=int(row["amount_refunded"]) if is_paid and row else 0,
            withdrawn_cents=self._withdrawn_cents(row) if is_paid and row else 0,
            paid_at=datetime.fromtimestamp(row["created"], UTC) if is_paid and row else None,
        )

    def made_for(self, intent: Resource) -> tuple[str, str]:
        """The key of the attempt that a PaymentIntent was made for, and the id of its payment."""
        payment = intent["metadata"]["vocalis_payment"]
        return f"{KEY}{payment}-{intent['metadata']['attempt']}", payment

    def _withdrawn_cents(self, charge: Resource) -> int:
        """What banks have taken for disputes of it and not given back, without their fees."""
        rows = [one for one in self.stripe.world.store.disputes if one["charge"] == charge.id]
        return -sum(line["amount"] for one in rows for line in one["balance_transactions"])

    def paid_by_key(self) -> dict[str, Charge]:
        """What was paid, by key: never more than one charge of an attempt."""
        paid = [charge for charge in self.charges() if charge.status == "succeeded"]
        twice = [key for key, times in Counter(one.key for one in paid).items() if times > 1]
        assert not twice, f"charged twice: {twice}"
        return {charge.key: charge for charge in paid}

    def kept_at_stripe(self) -> Counter[str]:
        """Cents by customer there: what was paid less what was given back; below zero if that was
        more."""
        sums: Counter[str] = Counter()
        for charge in self.charges():
            sums[charge.customer] += charge.kept_cents
        return sums

    def kept_by_payment(self) -> dict[str, int]:
        """The same by payment of ours, without those that are even."""
        sums: Counter[str] = Counter()
        for charge in self.charges():
            sums[charge.payment] += charge.kept_cents
        return {payment: cents for payment, cents in sums.items() if cents}

    def owners_of_payments(self) -> dict[str, str]:
        """The customer there, by payment of ours."""
        return {charge.payment: charge.customer for charge in self.charges()}

    def customers_at_stripe(self, customer_id: Any) -> list[Resource]:
        """All that were ever made for a customer of ours and are not deleted."""
        return [
            row
            for row in self.stripe.world.store.customers
            if not row.body.get("deleted")
            and row["metadata"].get("vocalis_customer") == str(customer_id)
        ]

    def cards_at_stripe(self, reference: str) -> set[str]:
        """The ids of the cards kept for a customer there."""
        methods = self.stripe.world.store.payment_methods
        return {row.id for row in methods if row["customer"] == reference}

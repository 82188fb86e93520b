"""A world with Metronome's own Stripe gate: Metronome charges recharges itself, with the customer's
default card at Stripe, and tells us. Nothing of it is charged or released by us."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

import stripe
from django.test import override_settings

from billing import metronome
from billing.models import Contract, PaymentAttempt, Recharge
from billing.models.recharges import METRONOMES_WORKFLOW
from metronome_sandbox import thresholds
from stripe_sandbox.records import Resource

from .world import World

INVOICE = "metronome_invoice"
# Then Metronome gives up a charge that nobody has confirmed.
GIVES_UP_AFTER = timedelta(days=3)


class GatedWorld(World):
    is_hearing = False

    @contextmanager
    def running(self) -> Iterator[Self]:
        with override_settings(METRONOME_PAYMENT_GATE=metronome.STRIPE), super().running():
            self.sandbox.world.stripe = self.metronome_charges
            self.sandbox.world.hears = self.metronome_hears
            yield self

    def advance(self, **delta: float) -> None:
        super().advance(**delta)
        self.metronome_hears()

    def metronome_charges(self, customer: str, cents: int, invoice: str) -> tuple[str, str]:
        """The default card at Stripe, as Metronome does it: its own line, and no faults of ours."""
        row = self.stripe.world.store.customers.get(customer)
        card = row and not row.body.get("deleted") and row["invoice_settings"]
        if not card or not card["default_payment_method"]:
            return "declined", ""
        fields: Any = {
            "amount": cents,
            "currency": "usd",
            "customer": customer,
            "payment_method": card["default_payment_method"],
            "confirm": True,
            "off_session": True,
            "metadata": {INVOICE: invoice},
        }
        options: Any = {"idempotency_key": f"metronome-{invoice}"}
        with self.chaos.elsewhere():
            try:
                made = self.stripe_hotline.v1.payment_intents.create(fields, options)
            except stripe.CardError as declined:
                error = declined.json_body["error"]
                intent = str(error["payment_intent"]["id"])
                if error["code"] == "authentication_required":
                    return "pending_action", intent
                return "declined", intent
        return "paid" if made.status == "succeeded" else "pending_action", made.id

    def metronome_hears(self) -> None:
        """What became of charges that customers had to confirm."""
        if not self.is_hearing:  # settling one looks at the others
            self.is_hearing = True
            try:
                self.hear_all()
            finally:
                self.is_hearing = False

    def hear_all(self) -> None:
        for workflow in list(self.sandbox.world.store.workflows):
            if not workflow.intent:
                continue
            intent = self.stripe.world.store.payment_intents[workflow.intent]
            is_open = intent["status"] not in ("succeeded", "canceled")
            if workflow.state == "CANCELED" and is_open:
                # Recharges were switched off meanwhile: it must not be confirmed any more, nor paid
                # with another card once the bank has refused this one.
                with self.chaos.elsewhere():
                    self.stripe_hotline.v1.payment_intents.cancel(intent.id)
            if workflow.state != "COMMITTING":
                continue
            if intent["status"] == "succeeded":
                thresholds.settle(self.sandbox.world, workflow, "paid", self.now())
            elif self.now() - workflow.created_at >= GIVES_UP_AFTER:
                with self.chaos.elsewhere():
                    if intent["status"] != "canceled":
                        self.stripe_hotline.v1.payment_intents.cancel(intent.id)
                thresholds.settle(self.sandbox.world, workflow, "failed", self.now())

    def made_for(self, intent: Resource) -> tuple[str, str]:
        if INVOICE not in intent["metadata"]:
            return super().made_for(intent)
        key = f"{METRONOMES_WORKFLOW}{intent['metadata'][INVOICE]}"
        ours = PaymentAttempt.objects.filter(key=key).values_list("payment", flat=True).first()
        return key, str(ours or key)

    def at_rest(self) -> None:
        super().at_rest()
        charged_by_metronome_only(self)


def charged_by_metronome_only(world: GatedWorld) -> None:
    """Each recharge that was paid was charged by Metronome, at one intent, for one commit on its
    invoice; we released none, and no contract has another gate."""
    for row in Recharge.objects.exclude(payment=None).select_related("payment", "grant"):
        assert row.payment and row.payment.is_by_metronome, row
        assert row.is_by_metronome and not row.is_own, row
    releases = [call for call in world.sandbox.world.calls if "release" in str(call)]
    assert not releases, releases
    made = [one for one in world.stripe.world.store.payment_intents if INVOICE in one["metadata"]]
    invoices = [one["metadata"][INVOICE] for one in made]
    assert len(invoices) == len(set(invoices)), "one invoice charged twice"
    paid = {one["metadata"][INVOICE] for one in made if one["status"] == "succeeded"}
    known = Recharge.objects.filter(payment__state__in=["charged", "refunding", "refunded"])
    assert paid == set(known.values_list("invoice_id", flat=True)), "what Metronome has charged"
    gates = Contract.objects.exclude(recharge_gate="").values_list("recharge_gate", flat=True)
    assert set(gates) <= {metronome.STRIPE}

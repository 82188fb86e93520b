"""Recharges through Metronome's own gate for Stripe, against both sandboxes."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing import recharge
from billing.metronome import contracts as adapter
from billing.models import (
    AutoRecharge,
    Contract,
    Dispute,
    InboundWebhook,
    Payment,
    PaymentAttempt,
    Recharge,
)
from billing.payments.gateways.stripe import client as stripe_client
from billing.payments.gateways.stripe.tests.test_journeys import text
from billing.tests import till as tills
from billing.tests.money_stage import agree, balance, burn, establish, save
from billing.tests.till import GOOD, OTHER, Till
from mails.models import OutboundMail
from stripe_sandbox import disputes

pytestmark = pytest.mark.django_db
shop, till = tills.shop, tills.till  # the fixtures
ASKS = "4000002760003184"  # its bank wants every charge confirmed


@pytest.fixture
def gate(till, settings) -> Till:
    """A customer with a plan, a card and recharges, in an installation with Metronome's gate."""
    settings.METRONOME_PAYMENT_GATE = "STRIPE"
    url = "http://testserver/api/webhooks/metronome/alerts"
    till.stage.sandbox.world.webhooks = [(url, settings.METRONOME_WEBHOOK_SECRETS[0])]
    till.shop.save(GOOD)
    establish(till.stage, till.customer)
    save(till.customer, till.shop.now())
    till.work()
    return till


def spend(gate: Till, *, left: int = 20_000) -> None:
    burn(gate.stage, gate.customer, balance(gate.customer) - left)
    gate.work()


def outcome(gate: Till, word: str, intent: str = "") -> None:
    gate.stage.sandbox.world.settings.stripe_gate_outcome = word
    gate.stage.sandbox.world.settings.stripe_gate_intent = intent


def releases(gate: Till) -> int:
    return sum(
        count for call, count in gate.stage.sandbox.world.calls.items() if "release" in str(call)
    )


def settle(gate: Till, word: str) -> None:
    sandbox = gate.stage.sandbox
    [workflow] = [row for row in sandbox.world.store.workflows if row.state == "COMMITTING"]
    from metronome_sandbox import thresholds

    thresholds.settle(sandbox.world, workflow, word, sandbox.clock.now())
    gate.work()


def nothing_of_ours(gate: Till) -> None:
    """We have neither charged nor released anything."""
    ours = [one for one in gate.shop.intents() if "vocalis_payment" in one["metadata"]]
    assert ours == [] and releases(gate) == 0


def test_the_contract_says_that_metronome_charges_through_stripe(gate):
    contract = Contract.objects.get()
    found = adapter.recharge_configuration(
        customer_id=gate.customer.metronome_id, contract_id=contract.metronome_id
    )
    assert (found.enabled, found.gate, contract.recharge_gate) == (True, "STRIPE", "STRIPE")
    [billing] = gate.stage.sandbox.world.store.billing_configurations
    [known] = gate.customer.gateway_customers.all()
    assert billing.detail["configuration"]["stripe_customer_id"] == known.reference

    save(gate.customer, gate.shop.now(), threshold=26_000)  # saved again: the same configuration
    gate.work()
    assert len(gate.stage.sandbox.world.store.billing_configurations) == 1


def test_a_paid_charge_of_metronome_becomes_rows_with_their_credits(gate):
    spend(gate)

    made, payment = Recharge.objects.get(), Payment.objects.get()
    assert (made.state, made.last_error) == ("granted", "")
    assert (payment.state, payment.amount_cents, payment.is_by_metronome) == (
        "charged",
        4_500,
        True,
    )
    assert payment.grant == made.grant and made.grant.granted == 180_000
    attempt = PaymentAttempt.objects.get()
    assert attempt.outcome == "paid" and attempt.gateway_reference.startswith("pi_")
    assert agree(gate.customer) == 200_000
    [mail] = OutboundMail.objects.filter(kind="recharge.done")
    assert mail.state == "sent" and mail.data["amount_cents"] == 4_500
    nothing_of_ours(gate)


def test_events_told_twice_make_one_payment(gate):
    spend(gate)
    for event in InboundWebhook.objects.filter(type="payment_gate.payment_status"):
        event.event_id, event.pk = f"{event.event_id}-again", None
        event.processed_at = None
        event.save()
        InboundWebhook.objects.filter(pk=event.pk).run_now(gate.shop.now())
    gate.work()

    assert (Payment.objects.count(), Recharge.objects.count()) == (1, 1)
    assert OutboundMail.objects.filter(kind="recharge.done").count() == 1


def test_a_declined_charge_of_metronome_switches_it_off_in_words(gate):
    outcome(gate, "declined")
    spend(gate)

    payment = Payment.objects.get()
    assert (payment.state, payment.failure) == ("failed", "Your card was declined.")
    assert Recharge.objects.get().state == "failed"
    row = AutoRecharge.objects.get()
    assert not row.enabled and "declined" in row.failure
    assert "Auto-recharge is off: Your card was declined." in gate.billing()
    assert OutboundMail.objects.filter(kind="recharge.declined").count() == 1
    nothing_of_ours(gate)


@pytest.mark.parametrize("first", ["Stripe", "Metronome"])
def test_what_the_bank_wants_confirmed_has_a_button(gate, first):
    gate.shop.save(ASKS)
    asked = intent_to_confirm(gate)
    outcome(gate, "pending_action", asked)
    spend(gate)
    payment = Payment.objects.get()
    assert payment.state == "requires_action"
    page = gate.billing()
    assert "Your bank wants you to confirm the payment of $45.00" in page
    assert "Do not pay" not in page
    assert OutboundMail.objects.filter(kind="payment.action_needed").count() == 1

    answer = gate.browser.post(f"/billing/payments/{payment.pk}/confirm/")
    assert answer.status_code == 303, answer
    back = gate.shop.answer_bank(answer.url, "pass").headers["location"]
    gate.browser.get(back.removeprefix("http://testserver"))
    if first == "Stripe":
        gate.work()
        assert "is under way" in gate.billing()
    settle(gate, "paid")
    gate.advance(minutes=2)
    gate.work()

    payment.refresh_from_db()
    assert (payment.state, payment.grant is not None) == ("charged", True)
    assert agree(gate.customer) == 200_000
    nothing_of_ours(gate)


def test_what_is_not_confirmed_is_neither_cancelled_nor_charged_to_another_card(gate):
    gate.shop.save(ASKS)
    asked = intent_to_confirm(gate)
    outcome(gate, "pending_action", asked)
    spend(gate)

    gate.shop.save(OTHER)
    gate.work()
    assert [one["status"] for one in gate.shop.intents()] == ["requires_payment_method"]
    settle(gate, "failed")

    assert Payment.objects.get().state == "failed"
    assert not AutoRecharge.objects.get().enabled
    nothing_of_ours(gate)


def test_paid_after_it_was_told_as_failed_is_paid(gate):
    """The events came in the other order."""
    spend(gate)
    made = Recharge.objects.get()
    Payment.objects.cancel(state="failed", failure="Declined.", grant=None)
    Recharge.objects.cancel(state="failed", failure="Declined.", grant=None)
    event = InboundWebhook.objects.get(type="payment_gate.payment_status")
    InboundWebhook.objects.filter(pk=event.pk).run_now(gate.shop.now())
    gate.work()

    made.refresh_from_db()
    assert (made.state, Payment.objects.get().state) == ("granted", "charged")
    assert agree(gate.customer) == 200_000


def test_saving_at_a_low_balance_shows_the_amount_and_leaves_the_charge_to_metronome(gate):
    save(gate.customer, gate.shop.now(), enabled=False)
    gate.work()
    spend(gate)
    form = {"enabled": "on", "threshold_credits": "25000", "recharge_to_credits": "200000"}
    shown = gate.browser.post("/billing/recharge/", form)
    assert "Pay $45.00 and save" in text(shown) and "no limit for a month" in text(shown)
    assert not Payment.objects.exists()

    gate.browser.post("/billing/recharge/", form | {"shown_cents": "4500"})
    gate.work()

    assert Payment.objects.get().amount_cents == 4_500
    assert not Recharge.objects.own().exists()
    assert agree(gate.customer) == 200_000
    nothing_of_ours(gate)


def test_the_pages_say_that_there_is_no_limit(gate):
    html = text(gate.browser.get("/billing/recharge/"))
    assert "There is no limit for a month here" in html
    assert "At most in a calendar month" not in html and "at most $" not in html
    assert "There is no limit for a month." in gate.billing()


# --- Changing the switch --------------------------------------------------------------------------


@pytest.fixture
def changed(gate, settings) -> Till:
    """The contract was made while we charged; now Metronome is to."""
    settings.METRONOME_PAYMENT_GATE = "EXTERNAL"
    recharge.settings.mirror_again(customer_id=gate.customer.pk, now=gate.shop.now())
    gate.work()
    assert Contract.objects.get().recharge_gate == "EXTERNAL"
    settings.METRONOME_PAYMENT_GATE = "STRIPE"
    return gate


def backfill(gate: Till, *arguments: str) -> str:
    out = StringIO()
    with suppress(CommandError):  # so it ends where something is left to do
        call_command("backfill_recharge_gates", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_the_command_moves_contracts_to_the_gate_of_the_setting(changed):
    assert "EXTERNAL to STRIPE" in backfill(changed, "--dry-run")
    assert Contract.objects.get().recharge_gate == "EXTERNAL"

    backfill(changed)
    assert Contract.objects.get().recharge_gate == "STRIPE"
    assert "EXTERNAL" not in backfill(changed)

    spend(changed)
    assert Payment.objects.get().is_by_metronome and agree(changed.customer) == 200_000
    nothing_of_ours(changed)


def test_a_contract_that_still_asks_us_is_not_paid_by_us(changed):
    spend(changed)

    event = InboundWebhook.objects.get(type="payment_gate.external_initiate")
    assert event.dead_at and "backfill_recharge_gates" in event.last_error
    assert not Payment.objects.exists() and not Recharge.objects.exists()
    nothing_of_ours(changed)


def test_a_gate_is_not_changed_under_an_open_recharge(changed, settings):
    """Neither are there two gates on one contract, nor two charges of one balance."""
    settings.METRONOME_PAYMENT_GATE = "EXTERNAL"
    changed.shop.save(ASKS)
    spend(changed)
    assert Recharge.objects.get().state == "paying"
    settings.METRONOME_PAYMENT_GATE = "STRIPE"

    assert "under way" in backfill(changed)

    assert Contract.objects.get().recharge_gate == "EXTERNAL"


def intent_to_confirm(gate: Till) -> str:
    """An intent as Metronome makes it off session, which the bank wants confirmed."""
    [known] = gate.customer.gateway_customers.all()
    fields = {
        "amount": 4_500,
        "currency": "usd",
        "customer": known.reference,
        "payment_method": gate.customer.payment_method.reference,
        "confirm": True,
        "off_session": True,
    }
    gate.customer.payment_method.refresh_from_db()
    fields["payment_method"] = gate.customer.payment_method.reference
    try:
        stripe_client.client().v1.payment_intents.create(fields)
    except Exception as error:
        return str(error.error.payment_intent.id)
    raise AssertionError("the bank did not ask")


def test_with_a_gate_that_is_none_nothing_starts(settings):
    from vocalis.checks import production

    settings.METRONOME_PAYMENT_GATE = "CASH"
    assert "vocalis.E018" in {message.id for message in production()}


def test_a_dispute_that_comes_before_metronome_has_told_of_the_charge_is_not_lost(gate):
    """The charge is nobody's for us until then."""
    fields = {
        "amount": 4_500,
        "currency": "usd",
        "customer": gate.customer.gateway_customers.get().reference,
        "payment_method": gate.customer.payment_method.reference,
        "confirm": True,
        "off_session": True,
    }
    made = stripe_client.client().v1.payment_intents.create(fields)
    box = gate.shop.box
    disputes.open_(box.world, box.world.store.charges[made.latest_charge])
    gate.work()
    assert not Dispute.objects.exists()

    outcome(gate, "paid", made.id)
    spend(gate)
    gate.advance(minutes=11)
    gate.work()

    found = Dispute.objects.get()
    assert (found.payment, found.state) == (Payment.objects.get(), "withdrawn")

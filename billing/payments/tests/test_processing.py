from __future__ import annotations

from dataclasses import replace

import pytest
from django.core import mail

from billing import metronome
from billing.inbox import handlers
from billing.models import AutoRecharge, ChargeAtTestGateway, CreditGrant, InboundWebhook, Payment
from billing.payments import cards, processing
from billing.payments.gateways import GatewayUnavailable
from billing.payments.gateways.test import DECLINING_CARD, GOOD_CARD, TestGateway
from billing.sync import contracts
from billing.tests.money_stage import (
    Killed,
    balance,
    burn,
    drain_killed,
    only_payment,
    refuse,
    remote_balance,
    run_to_low,
    switch_on,
)
from sandbox import thresholds

State = Payment.State


def assert_recharged_once(customer, *, to: int = 200_000) -> Payment:
    """The one payment is granted, charged once, and both sides hold the same."""
    payment = only_payment()
    assert (payment.state, payment.last_error, payment.dead_at) == (State.GRANTED, "", None)
    charge = ChargeAtTestGateway.objects.get()
    assert (charge.amount_cents, charge.refunded_at) == (payment.amount_cents, None)
    assert payment.grant.wallet.customer == customer
    assert (balance(customer), remote_balance(customer)) == (to, to)
    return payment


# --- The whole path -------------------------------------------------------------------------------------------------


def test_a_low_balance_is_recharged_by_itself(stage, webhooks, alice):
    run_to_low(stage, alice)

    stage.drain()

    payment = assert_recharged_once(alice)
    assert (payment.kind, payment.amount_cents, payment.invoice_total) == ("recharge", 4_500, "4500")
    assert payment.grant.granted == 180_000
    assert payment.grant.name == "Auto-recharge"
    assert payment.settled_at == stage.now()
    assert payment.gateway_reference.startswith("test-charge-")
    assert not mail.outbox


def test_recharging_goes_on_time_after_time(stage, webhooks, alice):
    run_to_low(stage, alice)
    stage.drain()
    for _ in range(3):
        burn(stage, alice, 190_000)
        stage.sandbox.tick()
        stage.drain()

    assert [payment.state for payment in Payment.objects.all()] == [State.GRANTED] * 4
    assert len({payment.grant_id for payment in Payment.objects.all()}) == 4
    assert ChargeAtTestGateway.objects.count() == 4
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)


def test_a_total_with_fractions_of_a_cent_is_charged_rounded_and_granted_exactly(stage, webhooks, alice):
    run_to_low(stage, alice, left=24_999)

    stage.drain()

    payment = assert_recharged_once(alice)
    assert (payment.invoice_total, payment.amount_cents) == ("4375.025", 4_375)
    assert payment.grant.granted == 175_001


def test_webhooks_twice_and_in_any_order_charge_once(stage, webhooks, alice):
    for kind in ("duplicate", "reorder"):
        webhooks.faults.add("webhook", kind, times=None)
    run_to_low(stage, alice)

    for _ in range(3):
        stage.drain()
        stage.advance(seconds=70)
    for event in InboundWebhook.objects.all():
        InboundWebhook.objects.filter(pk=event.pk).run_now(stage.now())
    stage.drain()

    assert_recharged_once(alice)


def test_a_lost_answer_to_the_release_changes_nothing(stage, webhooks, alice):
    run_to_low(stage, alice)
    stage.sandbox.faults.add(metronome.RELEASE_PATH, "timeout_after")

    stage.drain()
    assert only_payment().state == State.RELEASING
    assert only_payment().attempts == 1
    stage.advance(seconds=121)
    stage.drain()

    assert_recharged_once(alice)


@pytest.mark.parametrize("kind", ["timeout_before", "error_after", "status"])
def test_a_release_that_fails_for_now_is_tried_again(stage, webhooks, alice, kind):
    run_to_low(stage, alice)
    stage.sandbox.faults.add(metronome.RELEASE_PATH, kind, times=3)

    for _ in range(5):
        stage.drain()
        stage.advance(seconds=121)

    assert_recharged_once(alice)


# --- Killed at any instruction --------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "point", [State.CHARGING, State.CHARGED, State.RELEASING, State.RELEASED, State.GRANTED], ids=str
)
def test_a_worker_killed_around_a_move_loses_and_doubles_nothing(stage, webhooks, alice, monkeypatch, point, moment):
    run_to_low(stage, alice)
    real_move, deaths = processing._move, []

    def deadly(payment, state, **fields):
        if state == point and not deaths:
            deaths.append(moment)
            if moment == "after":
                real_move(payment, state, **fields)
            raise Killed
        real_move(payment, state, **fields)

    monkeypatch.setattr(processing, "_move", deadly)

    assert drain_killed(stage)
    stage.drain()

    assert_recharged_once(alice)


@pytest.mark.parametrize("call", ["charge", "release", "read_grants"])
def test_a_worker_killed_after_an_outside_call_repeats_it_harmlessly(stage, webhooks, alice, monkeypatch, call):
    run_to_low(stage, alice)
    owner = {"charge": TestGateway, "release": metronome, "read_grants": processing}[call]
    real, deaths = getattr(owner, call), []

    def deadly(*args, **kwargs):
        result = real(*args, **kwargs)
        if not deaths:
            deaths.append(call)
            raise Killed
        return result

    monkeypatch.setattr(owner, call, deadly)

    assert drain_killed(stage)
    stage.drain()

    assert_recharged_once(alice)


def test_two_workers_with_the_same_payment_charge_and_grant_once(stage, webhooks, alice):
    run_to_low(stage, alice)
    workflow_event = InboundWebhook.objects.get(type="payment_gate.external_initiate")
    handlers.process(workflow_event, stage.now())
    first, second = only_payment(), only_payment()

    processing.advance(first, stage.now())
    with pytest.raises(processing.Snooze, match="another worker"):
        processing.advance(second, stage.now())
    stage.drain()

    assert_recharged_once(alice)


def test_a_charge_whose_answer_was_lost_is_found_even_after_the_card_was_changed(stage, webhooks, alice, monkeypatch):
    run_to_low(stage, alice)
    real = TestGateway.charge

    def lose_the_answer(self, **asked):
        real(self, **asked)
        raise GatewayUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(TestGateway, "charge", lose_the_answer)
        stage.drain()
    assert only_payment().state == State.CHARGING
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference)
    stage.advance(seconds=5)
    stage.drain()

    assert_recharged_once(alice)


# --- Declined -------------------------------------------------------------------------------------------------------


def test_a_declined_card_switches_auto_recharge_off_and_tells_the_customer(stage, webhooks, alice):
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference)
    run_to_low(stage, alice)

    stage.drain()
    stage.sandbox.tick()
    stage.drain()

    payment = only_payment()
    assert (payment.state, payment.failure, payment.settled_at) == (State.FAILED, "The card was declined.", stage.now())
    setting = AutoRecharge.objects.get()
    assert (setting.enabled, setting.failure) == (False, "The card was declined.")
    contract = alice.contract
    assert not metronome.recharge_configuration(
        customer_id=alice.metronome_id, contract_id=contract.metronome_id
    ).enabled
    assert not ChargeAtTestGateway.objects.exists()
    assert (balance(alice), remote_balance(alice)) == (20_000, 20_000)
    [letter] = mail.outbox
    assert letter.to == ["alice@example.com"]
    assert "$45.00" in letter.body
    assert "The card was declined." in letter.body


def test_after_the_card_is_fixed_switching_on_recharges_at_once(stage, webhooks, alice):
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference)
    run_to_low(stage, alice)
    stage.drain()

    cards.choose(customer_id=alice.pk, reference=GOOD_CARD.reference)
    switch_on(stage, alice)
    stage.sandbox.tick()
    stage.drain()

    assert sorted(Payment.objects.values_list("state", flat=True)) == [State.FAILED, State.GRANTED]
    assert AutoRecharge.objects.get().failure == ""
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_killed_while_a_failure_is_told_still_tells_it(stage, webhooks, alice, monkeypatch, moment):
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference)
    run_to_low(stage, alice)
    real_send, deaths = processing.emails.send, []

    def deadly(**letter):
        if deaths:
            return real_send(**letter)
        deaths.append(moment)
        if moment == "after":
            real_send(**letter)
        raise Killed

    monkeypatch.setattr(processing.emails, "send", deadly)

    assert drain_killed(stage)
    stage.drain()

    assert only_payment().settled_at
    assert len(mail.outbox) == (1 if moment == "before" else 2)


def test_a_mail_server_that_is_down_delays_the_letter_only(stage, webhooks, alice, monkeypatch):
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference)
    run_to_low(stage, alice)
    with monkeypatch.context() as patch:
        patch.setattr("accounts.mail.send_mail", refuse(ConnectionRefusedError("no mail today")))
        stage.drain()

    assert (only_payment().state, only_payment().settled_at) == (State.FAILED, None)
    assert not AutoRecharge.objects.get().enabled
    stage.advance(seconds=5)
    stage.drain()

    assert only_payment().settled_at
    assert len(mail.outbox) == 1


def test_a_failure_is_told_to_a_customer_whose_recharge_was_set_up_by_hand(stage, webhooks, alice):
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference)
    run_to_low(stage, alice)
    AutoRecharge.objects.all().delete()

    stage.drain()

    assert only_payment().state == State.FAILED
    assert len(mail.outbox) == 1


def test_a_recharge_that_was_switched_off_meanwhile_is_not_charged(stage, webhooks, alice):
    run_to_low(stage, alice)
    AutoRecharge.objects.update(enabled=False)

    stage.drain()

    assert only_payment().state == State.FAILED
    assert "switched off" in only_payment().failure
    assert not ChargeAtTestGateway.objects.exists()
    assert not mail.outbox
    assert AutoRecharge.objects.get().failure == ""
    assert remote_balance(alice) == 20_000


# --- Money taken always ends as credits -----------------------------------------------------------------------------


def test_credits_are_granted_under_the_payments_key_when_metronome_refuses_the_release(stage, webhooks, alice):
    run_to_low(stage, alice, left=24_999)
    stage.sandbox.faults.add(metronome.RELEASE_PATH, "status", status=404, body={"message": "no such workflow"})

    stage.drain()

    payment = only_payment()
    assert payment.state == State.GRANTED
    assert "no such workflow" in payment.release_refusal
    assert (payment.grant.key, payment.grant.granted) == (f"vocalis-payment-{payment.pk}", 175_001)
    assert not payment.grant.is_free
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)
    assert ChargeAtTestGateway.objects.count() == 1


def doubt(stage, **options):
    """Metronome calls the recharge over without saying how it ended, and has done nothing."""
    over = {"message": "Workflow w is not in COMMITTING state"}
    return stage.sandbox.faults.add(metronome.RELEASE_PATH, "status", status=400, body=over, **options)


def test_a_release_in_doubt_is_done_if_its_commit_is_there(stage, webhooks, alice):
    run_to_low(stage, alice)
    stage.sandbox.faults.add(metronome.RELEASE_PATH, "timeout_after")
    doubt(stage)
    stage.drain()
    stage.advance(seconds=121)
    stage.drain()

    assert assert_recharged_once(alice).release_refusal == ""


def test_a_release_in_doubt_whose_invoice_is_void_is_granted_at_once_under_the_payments_key(stage, webhooks, alice):
    run_to_low(stage, alice)
    doubt(stage)
    workflows = stage.sandbox.world.store.workflows
    thresholds.cancel(stage.sandbox.world, next(iter(workflows)))
    stage.drain()

    payment = assert_recharged_once(alice)
    assert payment.release_refusal == "cancelled there, its invoice is void"
    assert payment.grant.key == f"vocalis-payment-{payment.pk}"


@pytest.mark.parametrize("invoice_id", [None, "4db51251-61de-4bfe-b9ce-495e244f3491", ""])
def test_a_release_in_doubt_without_a_commit_is_granted_after_half_an_hour(stage, webhooks, alice, invoice_id):
    run_to_low(stage, alice)
    doubt(stage, times=None)
    stage.drain()
    if invoice_id is not None:
        Payment.objects.update(invoice_id=invoice_id)
    for _ in range(14):
        stage.advance(seconds=121)
        stage.drain()
    payment = only_payment()
    assert (payment.state, balance(alice)) == (State.RELEASING, 20_000)
    assert "does not list the commit" in payment.last_error

    stage.advance(seconds=121)
    stage.drain()

    payment = assert_recharged_once(alice)
    status = "DRAFT" if invoice_id is None else "unknown"
    assert payment.release_refusal == f"over there, and no commit has come of it (invoice {status})"


def test_what_cannot_be_asked_about_a_release_in_doubt_grants_nothing(stage, webhooks, alice):
    run_to_low(stage, alice)
    doubt(stage)
    stage.sandbox.faults.add(f"/v1/customers/{alice.metronome_id}/invoices", "status", status=400)
    stage.drain()

    assert only_payment().dead_at
    assert balance(alice) == 20_000
    Payment.objects.run_now(stage.now())
    stage.drain()
    assert_recharged_once(alice)


def test_a_failed_release_in_doubt_is_a_failed_recharge(stage, webhooks, alice):
    run_to_low(stage, alice)
    cards.choose(customer_id=alice.pk, reference=DECLINING_CARD.reference)
    doubt(stage)
    stage.drain()

    assert only_payment().state == State.FAILED
    assert balance(alice) == 20_000


def test_a_worker_killed_between_that_grant_and_its_note_grants_once(stage, webhooks, alice, monkeypatch):
    run_to_low(stage, alice)
    stage.sandbox.faults.add(metronome.RELEASE_PATH, "status", status=404, body={"message": "no such workflow"})
    real, deaths = contracts.grant, []

    def deadly(*args, **kwargs):
        grant_id = real(*args, **kwargs)
        if not deaths:
            deaths.append(grant_id)
            raise Killed
        return grant_id

    monkeypatch.setattr(contracts, "grant", deadly)

    assert drain_killed(stage)
    stage.drain()

    assert only_payment().state == State.GRANTED
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)
    assert CreditGrant.objects.filter(key__startswith="vocalis-payment-").count() == 1


def test_a_commit_that_is_not_listed_yet_is_waited_for(stage, webhooks, alice, monkeypatch):
    run_to_low(stage, alice)
    real = metronome.commits
    with monkeypatch.context() as patch:
        patch.setattr(
            metronome, "commits", lambda **asked: [one for one in real(**asked) if one.name != "Auto-recharge"]
        )
        stage.drain()

    assert only_payment().state == State.RELEASED
    assert "does not list" in only_payment().last_error
    stage.advance(seconds=121)
    stage.drain()

    assert_recharged_once(alice)


def test_a_commit_without_its_invoice_is_found_by_name_and_time(stage, webhooks, alice, monkeypatch):
    real = metronome.commits
    monkeypatch.setattr(metronome, "commits", lambda **asked: [replace(one, invoice_ids=()) for one in real(**asked)])
    run_to_low(stage, alice)
    stage.drain()
    burn(stage, alice, 180_000)
    stage.advance(seconds=1)
    stage.drain()

    assert [payment.state for payment in Payment.objects.all()] == [State.GRANTED] * 2
    grants = CreditGrant.objects.filter(name="Auto-recharge").order_by("created_at")
    assert [grant.payment for grant in grants] == list(Payment.objects.order_by("created_at"))

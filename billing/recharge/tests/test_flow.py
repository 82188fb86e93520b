from __future__ import annotations

import json
from dataclasses import replace

import pytest
from django.core import mail

from billing import metronome
from billing.inbox import handlers
from billing.models import (
    AutoRecharge,
    CreditGrant,
    InboundWebhook,
    Payment,
    Recharge,
)
from billing.payments import processing
from billing.payments.gateways import GatewayUnavailable
from billing.payments.gateways.stripe.charges import StripeGateway
from billing.recharge import flow
from billing.recharge import requests as recharges
from billing.sync import contracts
from billing.tests.money_stage import (
    Killed,
    balance,
    burn,
    drain_killed,
    only_recharge,
    refuse,
    remote_balance,
    run_to_low,
    switch_on,
)
from billing.tests.stripe_stage import DECLINED, GOOD, charged, refunded, save_card
from jobs.errors import Unavailable
from mails import transport
from metronome_sandbox import thresholds
from notifications import endpoints
from notifications.models import OutboundWebhook

State = Recharge.State


def assert_recharged_once(customer, *, to: int = 200_000) -> Recharge:
    """The one recharge is granted, its one payment charged once, and both sides have the same."""
    recharge, payment = only_recharge(), Payment.objects.get()
    assert (recharge.state, recharge.last_error, recharge.dead_at) == (State.GRANTED, "", None)
    assert (payment.state, payment.last_error, payment.dead_at) == (Payment.State.CHARGED, "", None)
    assert recharge.payment == payment
    assert recharge.grant == payment.grant
    assert (charged(), refunded()) == ([payment.amount_cents], [])
    assert recharge.grant.wallet.customer == customer
    assert (balance(customer), remote_balance(customer)) == (to, to)
    return recharge


# --- What Metronome asks for ----------------------------------------------------------------------


def ask(customer, now, **changed) -> Recharge:
    asked = {
        "workflow_id": "workflow-1",
        "invoice_id": "invoice-1",
        "invoice_total": 4_500,
        "currency": "USD",
    } | changed
    return recharges.request(customer=customer, now=now, **asked)


@pytest.mark.parametrize(
    ("total", "cents"),
    [
        (4_500, 4_500),
        (4_375.025, 4_375),
        ("4375.025", 4_375),
        (4_375.5, 4_376),
        (4_376.5, 4_377),
        (0.5, 1),
    ],
)
def test_an_invoice_total_is_rounded_half_up_and_kept_as_sent(alice, now, total, cents):
    recharge = ask(alice, now, invoice_total=total)

    assert (recharge.amount_cents, recharge.invoice_total) == (cents, str(total))


@pytest.mark.parametrize(
    "total",
    [None, "", "much", 0, 0.4, -1, -4_500, True, [], {}, "NaN", "Infinity"]
    + ["1e99", "1e999999999", 10**30, float("inf"), "1" * 50],
)
def test_an_amount_nobody_can_charge_is_refused(alice, now, total):
    with pytest.raises(recharges.InvoiceTotalInvalid):
        ask(alice, now, invoice_total=total)
    assert not Recharge.objects.exists()


def test_another_currency_is_refused(alice, now):
    with pytest.raises(recharges.InvoiceTotalInvalid, match="only USD"):
        ask(alice, now, currency="EUR")


def test_the_same_workflow_asked_twice_is_one_payment(alice, now):
    assert ask(alice, now).pk == ask(alice, now).pk
    assert not Payment.objects.exists(), "a worker asks for it"


def test_a_second_recharge_waits_for_the_first(alice, now):
    first = ask(alice, now)
    with pytest.raises(recharges.RechargeUnderWay):
        ask(alice, now, workflow_id="workflow-2")

    Recharge.objects.filter(pk=first.pk).update(state=State.FAILED)

    assert ask(alice, now, workflow_id="workflow-2").pk != first.pk


# --- The whole path -------------------------------------------------------------------------------


def test_a_low_balance_is_recharged_by_itself(stage, webhooks, alice):
    run_to_low(stage, alice)

    stage.drain()

    recharge = assert_recharged_once(alice)
    payment = recharge.payment
    assert (payment.kind, payment.amount_cents, recharge.invoice_total) == (
        "recharge",
        4_500,
        "4500",
    )
    assert recharge.grant.granted == 180_000
    assert recharge.grant.name == "Auto-recharge"
    assert recharge.settled_at == payment.settled_at == stage.now()
    assert payment.gateway_reference.startswith("pi_")
    assert (recharge.due_at, payment.due_at) == (None, None)
    [told] = mail.outbox
    assert "180,000 credits were recharged for $45.00" in told.subject


def test_a_recharge_is_told_to_the_customers_programs_once(stage, webhooks, alice):
    endpoints.create(alice, "http://127.0.0.1:1", ["balance.recharged"], stage.now())
    run_to_low(stage, alice)

    stage.drain()
    stage.drain()

    recharge, event = only_recharge(), OutboundWebhook.objects.get()
    assert json.loads(event.body)["data"] == {
        "recharge": str(recharge.pk),
        "credits": 180_000,
        "amount_cents": 4_500,
        "currency": "USD",
    }


def test_recharging_goes_on_time_after_time(stage, webhooks, alice):
    run_to_low(stage, alice)
    AutoRecharge.objects.update(limit_cents=20_000)
    stage.drain()
    for _ in range(3):
        stage.advance(minutes=10)
        burn(stage, alice, 190_000)
        stage.sandbox.tick()
        stage.drain()

    assert [recharge.state for recharge in Recharge.objects.all()] == [State.GRANTED] * 4
    assert len({payment.grant_id for payment in Payment.objects.all()}) == 4
    assert len(charged()) == 4
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)


def test_a_total_with_fractions_of_a_cent_is_charged_rounded_and_granted_exactly(
    stage, webhooks, alice
):
    run_to_low(stage, alice, left=24_999)

    stage.drain()

    recharge = assert_recharged_once(alice)
    assert (recharge.invoice_total, recharge.payment.amount_cents) == ("4375.025", 4_375)
    assert recharge.grant.granted == 175_001


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
    assert only_recharge().state == State.RELEASING
    assert only_recharge().attempts == 1
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


# --- Killed at any instruction --------------------------------------------------------------------


POINTS = [(processing, state) for state in (Payment.State.CHARGING, Payment.State.CHARGED)] + [
    (flow, state) for state in (State.PAYING, State.RELEASING, State.RELEASED, State.GRANTED)
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("owner", "point"), POINTS, ids=[point for _, point in POINTS])
def test_a_worker_killed_around_a_move_loses_and_doubles_nothing(
    stage, webhooks, alice, monkeypatch, owner, point, moment
):
    run_to_low(stage, alice)
    real_move, deaths = owner._move, []

    def deadly(row, state, **fields):
        if state == point and not deaths:
            deaths.append(moment)
            if moment == "after":
                real_move(row, state, **fields)
            raise Killed
        real_move(row, state, **fields)

    monkeypatch.setattr(owner, "_move", deadly)

    assert drain_killed(stage)
    stage.drain()

    assert_recharged_once(alice)


@pytest.mark.parametrize("state", [Payment.State.CHARGED, Payment.State.FAILED])
def test_a_payment_whose_word_to_the_recharge_was_lost_is_found_out_within_half_a_minute(
    stage, webhooks, alice, monkeypatch, state
):
    if state == Payment.State.FAILED:
        save_card(alice, DECLINED, stage.now())
    run_to_low(stage, alice)
    with monkeypatch.context() as patch:
        patch.setattr(processing, "tell", lambda payment, now: None)
        stage.drain()
    assert (only_recharge().state, Payment.objects.get().state) == (State.PAYING, state)

    stage.advance(seconds=31)
    stage.drain()

    assert only_recharge().state == (
        State.GRANTED if state == Payment.State.CHARGED else State.FAILED
    )


@pytest.mark.parametrize("call", ["charge", "release", "read_grants"])
def test_a_worker_killed_after_an_outside_call_repeats_it_harmlessly(
    stage, webhooks, alice, monkeypatch, call
):
    run_to_low(stage, alice)
    owner = {"charge": StripeGateway, "release": metronome, "read_grants": flow}[call]
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


def test_two_workers_with_the_same_rows_ask_charge_and_grant_once(stage, webhooks, alice):
    run_to_low(stage, alice)
    workflow_event = InboundWebhook.objects.get(type="payment_gate.external_initiate")
    handlers.process(workflow_event, stage.now())
    first, second = only_recharge(), only_recharge()

    flow.advance(first, stage.now())
    with pytest.raises(flow.Snooze, match="another worker"):
        flow.advance(second, stage.now())
    first, second = Payment.objects.get(), Payment.objects.get()
    processing.advance(first, stage.now())
    with pytest.raises(processing.Snooze, match="another worker"):
        processing.advance(second, stage.now())
    stage.drain()

    assert_recharged_once(alice)


def test_a_charge_whose_answer_was_lost_is_found_even_after_the_card_was_changed(
    stage, webhooks, alice, monkeypatch
):
    run_to_low(stage, alice)
    real = StripeGateway.charge

    def lose_the_answer(self, **asked):
        real(self, **asked)
        raise GatewayUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "charge", lose_the_answer)
        stage.drain()
    assert Payment.objects.get().state == Payment.State.CHARGING
    save_card(alice, DECLINED, stage.now())
    stage.advance(seconds=5)
    stage.drain()

    assert_recharged_once(alice)


# --- Declined -------------------------------------------------------------------------------------


def test_a_declined_card_switches_auto_recharge_off_and_tells_the_customer(stage, webhooks, alice):
    save_card(alice, DECLINED, stage.now())
    run_to_low(stage, alice)

    stage.drain()
    stage.sandbox.tick()
    stage.drain()

    for row, failed in (
        (Payment.objects.get(), Payment.State.FAILED),
        (only_recharge(), State.FAILED),
    ):
        assert (row.state, row.failure, row.settled_at) == (
            failed,
            "Your card was declined.",
            stage.now(),
        )
    setting = AutoRecharge.objects.get()
    assert (setting.enabled, setting.failure) == (False, "Your card was declined.")
    contract = alice.contract
    assert not metronome.recharge_configuration(
        customer_id=alice.metronome_id, contract_id=contract.metronome_id
    ).enabled
    assert charged() == []
    assert (balance(alice), remote_balance(alice)) == (20_000, 20_000)
    [message] = mail.outbox
    assert message.to == ["alice@example.com"]
    assert "$45.00" in message.body
    assert "Your card was declined." in message.body


def test_after_the_card_is_fixed_switching_on_recharges_at_once(stage, webhooks, alice):
    save_card(alice, DECLINED, stage.now())
    run_to_low(stage, alice)
    stage.drain()

    save_card(alice, GOOD, stage.now())
    switch_on(stage, alice)
    stage.sandbox.tick()
    stage.drain()

    assert sorted(Recharge.objects.values_list("state", flat=True)) == [State.FAILED, State.GRANTED]
    assert sorted(Payment.objects.values_list("state", flat=True)) == ["charged", "failed"]
    assert AutoRecharge.objects.get().failure == ""
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)


def test_a_worker_killed_while_a_failure_is_told_tells_it_once(stage, webhooks, alice, monkeypatch):
    save_card(alice, DECLINED, stage.now())
    run_to_low(stage, alice)
    real_emit, deaths = flow.emit, []

    def deadly(*event):
        real_emit(*event)
        if not deaths:
            deaths.append(event)
            raise Killed

    monkeypatch.setattr(flow, "emit", deadly)

    assert drain_killed(stage)
    stage.drain()

    assert only_recharge().settled_at
    assert [message.subject for message in mail.outbox] == ["Your automatic recharge failed"]


def test_a_mail_server_that_is_down_delays_the_mail_only(stage, webhooks, alice, monkeypatch):
    save_card(alice, DECLINED, stage.now())
    run_to_low(stage, alice)
    with monkeypatch.context() as patch:
        patch.setattr(transport, "send", refuse(Unavailable("no mail today")))
        stage.drain()

    assert (only_recharge().state, only_recharge().settled_at) == (State.FAILED, stage.now())
    assert not AutoRecharge.objects.get().enabled
    assert not mail.outbox
    stage.advance(seconds=5)
    stage.drain()

    assert len(mail.outbox) == 1


def test_a_failure_is_told_to_a_customer_whose_recharge_was_set_up_by_hand(stage, webhooks, alice):
    save_card(alice, DECLINED, stage.now())
    run_to_low(stage, alice)
    AutoRecharge.objects.all().delete()

    stage.drain()

    assert only_recharge().state == State.FAILED
    assert len(mail.outbox) == 1


def test_a_recharge_that_was_switched_off_meanwhile_is_not_charged(stage, webhooks, alice):
    run_to_low(stage, alice)
    AutoRecharge.objects.update(enabled=False)

    stage.drain()

    assert only_recharge().state == State.FAILED
    assert "switched off" in only_recharge().failure
    assert not Payment.objects.exists()
    assert charged() == []
    assert not mail.outbox
    assert AutoRecharge.objects.get().failure == ""
    assert remote_balance(alice) == 20_000


# --- Money taken always ends as credits -----------------------------------------------------------


def test_credits_are_granted_under_the_payments_key_when_metronome_refuses_the_release(
    stage, webhooks, alice
):
    run_to_low(stage, alice, left=24_999)
    stage.sandbox.faults.add(
        metronome.RELEASE_PATH, "status", status=404, body={"message": "no such workflow"}
    )

    stage.drain()

    recharge = only_recharge()
    assert recharge.state == State.GRANTED
    assert "no such workflow" in recharge.release_refusal
    assert (recharge.grant.key, recharge.grant.granted) == (
        f"vocalis-payment-{recharge.payment_id}",
        175_001,
    )
    assert recharge.payment.grant == recharge.grant
    assert not recharge.grant.is_free
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)
    assert len(charged()) == 1


def doubt(stage, **options):
    """Metronome calls the recharge over without saying how it ended, and has done nothing."""
    over = {"message": "Workflow w is not in COMMITTING state"}
    return stage.sandbox.faults.add(
        metronome.RELEASE_PATH, "status", status=400, body=over, **options
    )


def test_a_release_in_doubt_is_done_if_its_commit_is_there(stage, webhooks, alice):
    run_to_low(stage, alice)
    stage.sandbox.faults.add(metronome.RELEASE_PATH, "timeout_after")
    doubt(stage)
    stage.drain()
    stage.advance(seconds=121)
    stage.drain()

    assert assert_recharged_once(alice).release_refusal == ""


def test_a_release_in_doubt_whose_invoice_is_void_is_granted_at_once_under_the_payments_key(
    stage, webhooks, alice
):
    run_to_low(stage, alice)
    doubt(stage)
    workflows = stage.sandbox.world.store.workflows
    thresholds.cancel(stage.sandbox.world, next(iter(workflows)))
    stage.drain()

    recharge = assert_recharged_once(alice)
    assert recharge.release_refusal == "cancelled at Metronome, its invoice is void"
    assert recharge.grant.key == f"vocalis-payment-{recharge.payment_id}"


@pytest.mark.parametrize("invoice_id", [None, "4db51251-61de-4bfe-b9ce-495e244f3491", ""])
def test_a_release_in_doubt_without_a_commit_is_granted_after_half_an_hour(
    stage, webhooks, alice, invoice_id
):
    run_to_low(stage, alice)
    doubt(stage, times=None)
    stage.drain()
    if invoice_id is not None:
        Recharge.objects.update(invoice_id=invoice_id)
    for _ in range(14):
        stage.advance(seconds=121)
        stage.drain()
    recharge = only_recharge()
    assert (recharge.state, balance(alice)) == (State.RELEASING, 20_000)
    assert "does not list the commit" in recharge.last_error

    stage.advance(seconds=121)
    stage.drain()

    recharge = assert_recharged_once(alice)
    status = "DRAFT" if invoice_id is None else "unknown"
    assert recharge.release_refusal == f"ended at Metronome without a commit (invoice {status})"


def test_what_cannot_be_asked_about_a_release_in_doubt_grants_nothing(stage, webhooks, alice):
    run_to_low(stage, alice)
    doubt(stage)
    stage.sandbox.faults.add(f"/v1/customers/{alice.metronome_id}/invoices", "status", status=400)
    stage.drain()

    assert only_recharge().dead_at
    assert balance(alice) == 20_000
    Recharge.objects.run_now(stage.now())
    stage.drain()
    assert_recharged_once(alice)


def test_a_failed_release_in_doubt_is_a_failed_recharge(stage, webhooks, alice):
    run_to_low(stage, alice)
    save_card(alice, DECLINED, stage.now())
    doubt(stage)
    stage.drain()

    assert only_recharge().state == State.FAILED
    assert balance(alice) == 20_000


def test_a_worker_killed_between_that_grant_and_its_note_grants_once(
    stage, webhooks, alice, monkeypatch
):
    run_to_low(stage, alice)
    stage.sandbox.faults.add(
        metronome.RELEASE_PATH, "status", status=404, body={"message": "no such workflow"}
    )
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

    assert only_recharge().state == State.GRANTED
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)
    assert CreditGrant.objects.filter(key__startswith="vocalis-payment-").count() == 1


def test_a_commit_that_is_not_listed_yet_is_waited_for(stage, webhooks, alice, monkeypatch):
    run_to_low(stage, alice)
    real = metronome.commits
    with monkeypatch.context() as patch:
        patch.setattr(
            metronome,
            "commits",
            lambda **asked: [one for one in real(**asked) if one.name != "Auto-recharge"],
        )
        stage.drain()

    assert only_recharge().state == State.RELEASED
    assert "does not list" in only_recharge().last_error
    stage.advance(seconds=121)
    stage.drain()

    assert_recharged_once(alice)


def test_a_commit_without_its_invoice_is_found_by_name_and_time(
    stage, webhooks, alice, monkeypatch
):
    real = metronome.commits
    monkeypatch.setattr(
        metronome,
        "commits",
        lambda **asked: [replace(one, invoice_ids=()) for one in real(**asked)],
    )
    run_to_low(stage, alice)
    stage.drain()
    burn(stage, alice, 180_000)
    stage.advance(seconds=1)
    stage.drain()

    assert [recharge.state for recharge in Recharge.objects.all()] == [State.GRANTED] * 2
    grants = CreditGrant.objects.filter(name="Auto-recharge").order_by("created_at")
    assert [grant.recharge for grant in grants] == list(Recharge.objects.order_by("created_at"))
    assert [grant.payment for grant in grants] == list(Payment.objects.order_by("created_at"))

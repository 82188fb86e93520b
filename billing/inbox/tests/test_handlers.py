from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.core import mail

from billing.inbox import handlers
from billing.inbox.receive import store
from billing.models import AutoRecharge, Contract, InboundWebhook, Payment, Recharge, Wallet
from billing.recharge import flow
from billing.tests.money_stage import establish
from jobs.errors import Snooze
from jobs.worker import Worker
from mails import sending
from mails.models import OutboundMail

OUT = "alerts.low_remaining_contract_credit_and_commit_balance_reached"


@pytest.fixture
def known(alice, now):
    """Alice, at Metronome as customer-1 with a contract that is synced in an hour."""
    alice.metronome_id = "customer-1"
    alice.save(update_fields=["metronome_id"])
    Contract.objects.create(
        customer=alice, metronome_id="contract-1", starts_at=now, due_at=now + timedelta(hours=1)
    )
    return alice


def receive(
    event_type: str, now, *, event_id: str = "event-1", flat: bool = False, **fields
) -> InboundWebhook:
    fields = {"customer_id": "customer-1"} | fields
    payload = {"id": event_id, "type": event_type} | (fields if flat else {"properties": fields})
    return store(source=InboundWebhook.Source.METRONOME, payload=payload, now=now)[0]


def work(event: InboundWebhook, now) -> InboundWebhook:
    """A worker pass over the inbox alone."""
    Worker([handlers.PROCESS], clock=lambda: now).drain()
    event.refresh_from_db()
    return event


def mails_sent(now) -> list:
    """All mails that have gone out, after a worker pass over the mails."""
    Worker([sending.SEND], clock=lambda: now).drain()
    return mail.outbox


def initiate(now, **fields) -> InboundWebhook:
    asked = {
        "workflow_id": "workflow-1",
        "invoice_id": "invoice-1",
        "invoice_total": 4_375.025,
        "invoice_currency": "USD",
    }
    return receive("payment_gate.external_initiate", now, **(asked | fields))


def is_sync_due(now) -> bool:
    return Contract.objects.get().due_at == now


def test_external_initiate_makes_a_recharge(known, now):
    event = work(initiate(now), now)

    recharge = Recharge.objects.get()
    assert (recharge.customer, recharge.workflow_id, recharge.invoice_id) == (
        known,
        "workflow-1",
        "invoice-1",
    )
    assert (recharge.invoice_total, recharge.amount_cents, recharge.due_at) == (
        "4375.025",
        4_375,
        now,
    )
    assert (event.outcome, event.processed_at, event.due_at) == (
        f"recharge {recharge.pk}",
        now,
        None,
    )


def test_a_replayed_external_initiate_is_the_same_recharge(known, now):
    event = work(initiate(now), now)
    InboundWebhook.objects.run_now(now)
    work(event, now)
    work(initiate(now, event_id="event-2"), now)

    assert Recharge.objects.count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"invoice_total": None},
        {"invoice_total": -4_375},
        {"invoice_total": "a lot"},
        {"invoice_total": 0},
        {"invoice_currency": "EUR"},
        {"workflow_id": None},
        {"workflow_id": ""},
        {"workflow_id": "w" * 65},
        {"workflow_id": ["w"]},
    ],
)
def test_a_demand_nobody_can_meet_is_dead_and_says_why(known, now, wrong):
    event = work(initiate(now, **wrong), now)

    assert event.dead_at == now
    assert next(iter(wrong)) in event.last_error
    assert not Recharge.objects.exists()


def test_a_second_recharge_waits_without_counting_attempts(known, now):
    work(initiate(now), now)
    second = work(initiate(now, event_id="event-2", workflow_id="workflow-2"), now)

    assert (second.processed_at, second.attempts, second.dead_at) == (None, 0, None)
    assert second.due_at == now + timedelta(seconds=10)

    Recharge.objects.update(state=Recharge.State.GRANTED)
    work(second, now + timedelta(seconds=11))

    assert Recharge.objects.filter(workflow_id="workflow-2").exists()


def test_an_event_about_a_customer_just_being_provisioned_is_tried_again(alice, now):
    event = work(initiate(now), now)
    assert (event.processed_at, event.attempts) == (None, 0)

    alice.metronome_id = "customer-1"
    alice.save(update_fields=["metronome_id"])
    work(event, now + timedelta(seconds=6))

    assert Recharge.objects.get().customer == alice


def test_an_event_about_an_unknown_customer_is_recorded_and_ignored(alice, now):
    event = initiate(now)

    work(event, now + timedelta(seconds=61))

    assert (
        event.__class__.objects.get().outcome == "ignored: no customer here has this Metronome id"
    )
    assert not Recharge.objects.exists()


@pytest.mark.parametrize("customer_id", ["", None, 7])
def test_an_event_without_a_customer_is_nobodys(alice, now, customer_id):
    assert alice.metronome_id is None

    event = work(receive("commit.create", now, flat=True, customer_id=customer_id), now)

    assert event.outcome == "ignored: no customer here has this Metronome id"


def test_an_unknown_type_is_recorded_and_ignored(known, now):
    event = work(receive("galaxy.collapsed", now), now)

    assert event.outcome == "ignored: nothing here reacts to this type"
    assert event.payload["properties"] == {"customer_id": "customer-1"}
    assert not is_sync_due(now)


@pytest.mark.parametrize(
    "event_type",
    [
        f"{thing}.{what}"
        for thing, whats in {
            "commit": ["create", "edit", "archive", "segment.start", "segment.end"],
            "credit": ["create", "edit", "archive", "segment.start", "segment.end"],
            "contract": ["create", "start", "edit", "end", "archive"],
            "payment_gate": ["threshold_reached"],
        }.items()
        for what in whats
    ],
)
@pytest.mark.parametrize("flat", [True, False])
def test_what_may_have_changed_credits_has_the_contract_read_again(known, now, event_type, flat):
    event = work(receive(event_type, now, flat=flat), now)

    assert event.outcome == "contract is read again"
    assert is_sync_due(now)
    assert not OutboundMail.objects.exists()


def test_the_test_button_is_answered(db, now):
    payload = {"id": "test-1", "type": "webhooks.test"}
    event = store(source=InboundWebhook.Source.METRONOME, payload=payload, now=now)[0]

    assert work(event, now).outcome == "test received"


# --- Payment states -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "paid", "succeeded"])
def test_a_payment_status_has_the_open_recharge_its_payment_and_the_contract_looked_at(
    known, now, status
):
    work(initiate(now), now)
    flow.advance(Recharge.objects.get(), now)
    Payment.objects.update(due_at=None)
    Recharge.objects.update(due_at=None)

    event = work(
        receive(
            "payment_gate.payment_status",
            now,
            event_id="e2",
            invoice_id="invoice-1",
            payment_status=status,
        ),
        now,
    )

    recharge = Recharge.objects.get()
    assert event.outcome == f"{status}: recharge {recharge.pk} is paying"
    assert recharge.due_at == recharge.payment.due_at == now
    assert is_sync_due(now)


def test_a_payment_status_before_its_external_initiate_harms_nothing(known, now):
    event = work(
        receive(
            "payment_gate.payment_status",
            now,
            event_id="e2",
            invoice_id="invoice-1",
            payment_status="paid",
        ),
        now,
    )
    work(initiate(now), now)

    assert event.outcome == "paid: no recharge of ours; contract is read again"
    assert Recharge.objects.get().state == Recharge.State.REQUESTED


def test_a_settled_recharge_stays_settled(known, now):
    work(initiate(now), now)
    Recharge.objects.update(state=Recharge.State.GRANTED, due_at=None)

    work(
        receive(
            "payment_gate.payment_status",
            now,
            event_id="e2",
            invoice_id="invoice-1",
            payment_status="failed",
        ),
        now,
    )

    recharge = Recharge.objects.get()
    assert (recharge.state, recharge.due_at) == (Recharge.State.GRANTED, None)


def test_a_payment_that_waits_for_the_customer_is_looked_at(known, now):
    work(initiate(now), now)

    event = work(
        receive(
            "payment_gate.payment_pending_action_required",
            now,
            event_id="e2",
            invoice_id="invoice-1",
        ),
        now,
    )

    assert event.outcome.startswith("payment_pending_action_required: recharge ")


def test_somebody_elses_invoice_touches_no_recharge_of_ours(known, bob, now):
    Recharge.objects.create(
        customer=bob, workflow_id="w", invoice_id="invoice-1", invoice_total="1", created_at=now
    )

    event = work(
        receive("payment_gate.payment_status", now, invoice_id="invoice-1", payment_status="paid"),
        now,
    )

    assert "no recharge of ours" in event.outcome
    assert Recharge.objects.get().due_at is None


# --- Out of credits -------------------------------------------------------------------------------


def test_running_out_of_credits_is_mailed_once(known, now):
    event = work(receive(OUT, now, threshold=0, remaining_balance=0), now)
    InboundWebhook.objects.run_now(now)
    work(event, now)

    [message] = mails_sent(now)
    assert (message.to, message.subject) == (["alice@example.com"], "You are out of credits")
    assert "http://localhost:8000/billing/" in message.body
    assert is_sync_due(now)


def test_no_mail_when_a_recharge_will_come(known, now):
    AutoRecharge.objects.create(
        customer=known, enabled=True, threshold_credits=25_000, recharge_to_credits=200_000
    )

    assert work(receive(OUT, now), now).outcome == "no mail: a payment is on its way"
    assert not OutboundMail.objects.exists()


def test_an_alert_that_is_ahead_of_us_waits_a_minute_before_it_is_dropped(known, wallet, now):
    event = work(receive(OUT, now), now)
    assert event.processed_at is None

    work(event, now + timedelta(seconds=61))

    assert InboundWebhook.objects.get().outcome == "no mail: there are credits"
    assert not OutboundMail.objects.exists()


def test_an_expiry_seen_a_moment_after_the_alert_is_mailed(known, wallet, now):
    event = work(receive(OUT, now), now)

    Wallet.objects.update(balance=0)
    work(event, now + timedelta(seconds=16))

    assert len(mails_sent(now + timedelta(seconds=16))) == 1


# --- Credits that end -----------------------------------------------------------------------------


def ending(wallet, now, **fields) -> InboundWebhook:
    wallet.grants.update(segment_id="segment-1", ends_at=now + timedelta(days=3))
    asked = {"segment_id": "segment-1", "offset_id": "offset-1", "offset_duration": "-P3D"}
    return receive("commit.segment.end", now, flat=True, **(asked | fields))


def test_credits_that_end_in_three_days_are_announced_once(known, wallet, now):
    event = work(ending(wallet, now), now)
    InboundWebhook.objects.run_now(now)
    work(event, now)

    [message] = mails_sent(now)
    assert message.to == ["alice@example.com"]
    assert "500 of your credits (Test credits)" in message.body
    assert f"{now + timedelta(days=3):%B %Y}" in message.body


@pytest.mark.parametrize("change", [{"remaining": 0}, {"segment_id": "another"}])
def test_nothing_is_announced_when_nothing_would_be_lost(known, wallet, now, change):
    event = ending(wallet, now)
    wallet.grants.update(**change)

    assert work(event, now).outcome == "no mail: nothing left to lose"
    assert not OutboundMail.objects.exists()


def test_somebody_elses_segment_is_not_announced(known, bob, wallet, now):
    event = ending(wallet, now)
    wallet.grants.update(wallet=Wallet.objects.create(customer=bob))

    work(event, now)

    assert not OutboundMail.objects.exists()


def test_a_mail_server_that_is_down_has_the_mail_tried_again(known, now, monkeypatch):
    def down(*args, **kwargs):
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr("mails.transport.get_connection", down)
        event = work(receive(OUT, now), now)
        assert mails_sent(now) == []
    assert (event.processed_at, event.attempts) == (now, 0)
    assert OutboundMail.objects.get().attempts == 1

    assert len(mails_sent(now + timedelta(seconds=5))) == 1


# --- Invoices and reports -------------------------------------------------------------------------


def test_an_invoice_event_names_its_recharge(known, now):
    work(initiate(now), now)

    event = work(receive("invoice.finalized", now, event_id="e2", invoice_id="invoice-1"), now)

    assert event.outcome == f"invoice invoice-1 of recharge {Recharge.objects.get().pk}"


def test_a_billing_error_is_logged_for_operators(known, now, caplog):
    with caplog.at_level(logging.ERROR):
        work(
            receive("invoice.billing_provider_error", now, billing_provider_error="no address"), now
        )

    assert "invoice.billing_provider_error: no address" in caplog.text


def test_every_handler_survives_an_event_without_fields(known, now):
    for number, event_type in enumerate(handlers.table()):
        payload = {
            "id": f"bare-{number}",
            "type": event_type.replace("*", "something"),
            "customer_id": "customer-1",
        }
        event = store(source=InboundWebhook.Source.METRONOME, payload=payload, now=now)[0]
        try:
            handlers.process(event, now)
        except (handlers.Rejected, Snooze):
            continue


# --- With Metronome -------------------------------------------------------------------------------


def test_every_webhook_of_metronome_is_understood(stage, webhooks, alice):
    establish(stage, alice)
    stage.drain()
    stage.advance(seconds=5)
    stage.drain()

    events = InboundWebhook.objects.filter(source="metronome")
    assert {"contract.create", "contract.start"} <= {event.type for event in events}
    assert all(event.processed_at and not event.dead_at for event in events)
    assert not [event for event in events if event.outcome.startswith("ignored")]


def test_credits_about_to_end_at_metronome_are_mailed(stage, webhooks, alice):
    establish(stage, alice)
    stage.drain()

    stage.advance(days=56, hours=23)
    stage.drain()
    assert not mail.outbox
    stage.advance(hours=2)
    stage.drain()

    assert [message.subject for message in mail.outbox] == ["Some of your credits expire soon"]

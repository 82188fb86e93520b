"""Invoices are read from Metronome: drafts and final ones, and joined with what paid them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.inbox.handlers import record_invoice
from billing.metronome import MetronomeUnavailable
from billing.models import InboundWebhook, Invoice, InvoiceReading, Paper, Payment
from billing.payments import requests as payments
from billing.sync import contracts, invoices
from billing.tests.money_stage import burn, establish

pytestmark = pytest.mark.django_db


def buy(stage, customer, cents: int = 1_000) -> Payment:
    """Credits that a charge paid: granted at Metronome with an invoice, which is final now."""
    now = stage.now()
    grant_id = contracts.grant(
        customer,
        key=f"bought-{cents}",
        name="Top-up",
        credits=cents * 40,
        starts_at=now,
        ends_at=now + timedelta(days=60),
        priority=30,
        paid_cents=cents,
        now=now,
    )
    payment = Payment.objects.create(
        customer=customer,
        kind="pack",
        state="charged",
        amount_cents=cents,
        gateway="stripe",
        created_at=now,
    )
    payments.mark_granted(payment, grant_id=grant_id, now=now)
    stage.sandbox.tick()
    return payment


def read(stage, customer) -> InvoiceReading:
    stage.drain()
    return InvoiceReading.objects.get(customer=customer)


def test_a_purchase_has_an_invoice_joined_with_its_charge(stage, alice):
    establish(stage, alice)
    payment = buy(stage, alice)
    reading = read(stage, alice)

    invoice = Invoice.objects.get(payment=payment)
    assert (invoice.status, invoice.total_cents, invoice.kind) == ("finalized", 1_000, "scheduled")
    assert [(line["name"], line["unit"], line["total"]) for line in invoice.lines] == [
        ("Top-up", "USD", "1000")
    ]
    assert Paper.objects.get(invoice=invoice).content["lines"][0]["cents"] == 1_000
    assert (reading.read_at, reading.last_error) == (stage.now(), "")


def test_the_draft_of_a_month_says_what_was_used(stage, alice):
    establish(stage, alice)
    burn(stage, alice, 1_200)
    invoices.run_now(alice.pk, stage.now())
    read(stage, alice)

    invoice = Invoice.objects.get(kind="usage")
    assert (invoice.status, invoice.payment, invoice.total_cents) == ("draft", None, 0)
    assert {line["unit"] for line in invoice.lines} == {"credits"}
    assert "-1200" in [line["total"] for line in invoice.lines]
    assert not Paper.objects.exists()


def test_a_month_that_ends_is_final_after_a_day_and_is_read_again(stage, alice):
    establish(stage, alice)
    burn(stage, alice, 1_200)
    stage.advance(days=40)
    read(stage, alice)

    assert set(Invoice.objects.values_list("status", flat=True)) >= {"finalized", "draft"}


def test_a_webhook_has_all_of_them_read_again(stage, alice):
    establish(stage, alice)
    read(stage, alice)
    event = InboundWebhook(
        source="metronome",
        event_id="e",
        type="invoice.finalized",
        customer_ref=alice.metronome_id,
        payload={"properties": {"invoice_id": "i"}},
        received_at=stage.now(),
    )

    assert record_invoice(event, stage.now()) == "invoice i"
    row = InvoiceReading.objects.get()
    assert (row.due_at, row.is_whole) == (stage.now(), False)


def test_the_page_has_old_knowledge_renewed_and_new_left_alone(stage, alice):
    establish(stage, alice)
    assert invoices.look(alice, stage.now()) is None
    stage.drain()
    assert invoices.look(alice, stage.now()) == stage.now()
    assert InvoiceReading.objects.get().due_at > stage.now() + timedelta(hours=5)

    before = stage.now()
    stage.advance(minutes=5)
    assert invoices.look(alice, stage.now()) == before
    assert InvoiceReading.objects.get().due_at == stage.now()


def test_while_metronome_is_away_what_was_known_stays(stage, alice, monkeypatch):
    establish(stage, alice)
    buy(stage, alice)
    known = read(stage, alice).read_at
    stage.advance(minutes=10)

    def away(**_):
        raise MetronomeUnavailable("away")

    monkeypatch.setattr("billing.metronome.invoices", away)
    invoices.look(alice, stage.now())
    reading = read(stage, alice)

    assert reading.read_at == known and "away" in reading.last_error
    assert Invoice.objects.exclude(payment=None).count() == 1
    assert invoices.look(alice, stage.now()) == known


def test_who_is_not_at_metronome_yet_waits(alice, now):
    assert invoices.look(alice, now) is None
    assert not InvoiceReading.objects.exists()


def test_reading_twice_stores_everything_once(stage, alice):
    establish(stage, alice)
    buy(stage, alice)
    stage.drain()
    reading = InvoiceReading.objects.get()

    invoices.read(reading, stage.now())
    invoices.read(reading, stage.now())
    assert Invoice.objects.exclude(payment=None).count() == 1
    assert Paper.objects.filter(kind="invoice").count() == 1

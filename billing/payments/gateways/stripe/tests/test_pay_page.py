"""Opening Stripe's page for a payment, against answers that a test has written down."""

from __future__ import annotations

import pytest

from billing.models import GatewayCustomer, Payment, PaymentAttempt
from billing.payments.gateways import GatewayUnavailable
from billing.payments.gateways.stripe import pay_page

pytestmark = pytest.mark.django_db
OPEN = "POST /v1/checkout/sessions"
SESSION = {"id": "cs_1", "object": "checkout.session", "status": "open", "url": "https://pay"}
BUSY = {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}


@pytest.fixture
def attempt(alice, now, monkeypatch):
    monkeypatch.setattr(pay_page, "WAIT_SECONDS", 0.01)
    GatewayCustomer.objects.create(customer=alice, gateway="stripe", reference="cus_1")
    payment = Payment.objects.create(
        customer=alice,
        kind="pack",
        state="at_page",
        amount_cents=2_500,
        gateway="stripe",
        created_at=now,
    )
    made = PaymentAttempt(
        payment=payment,
        number=1,
        key="key-1",
        amount_cents=2_500,
        currency="USD",
        is_at_page=True,
        created_at=now,
    )
    made.parameters = pay_page.parameters(
        made,
        description="Vocalis top-up",
        done_url="https://us/done",
        cancel_url="https://us/left",
        keeps_card=True,
    )
    made.save()
    return made


def test_what_is_sent_is_the_amount_shown_in_its_currency(stripe, attempt):
    stripe.will(OPEN, SESSION)

    assert pay_page.open(attempt) == ("cs_1", "https://pay")

    sent = stripe.sent()
    assert sent["line_items[0][price_data][unit_amount]"] == "2500"
    assert sent["line_items[0][price_data][currency]"] == "usd"
    assert sent["adaptive_pricing[enabled]"] == "false"
    assert sent["payment_intent_data[setup_future_usage]"] == "off_session"
    assert stripe.headers()["Idempotency-Key"] == "key-1"


def test_the_second_of_a_double_click_waits_for_the_first(stripe, attempt):
    stripe.will(OPEN, BUSY, status=409)
    stripe.will(OPEN, SESSION)

    assert pay_page.open(attempt) == ("cs_1", "https://pay")
    assert stripe.calls == [OPEN, OPEN]


def test_the_second_of_a_double_click_does_not_wait_for_ever(stripe, attempt):
    stripe.will(OPEN, BUSY, status=409)

    with pytest.raises(GatewayUnavailable):
        pay_page.open(attempt)
    assert len(stripe.calls) == 1 + pay_page.WAITS


def test_a_page_that_is_closed_has_no_address(stripe, attempt):
    stripe.will(OPEN, SESSION | {"status": "expired", "url": None})

    assert pay_page.open(attempt) == ("cs_1", "")


def test_closing_what_was_paid_meanwhile_reads_it(stripe, attempt):
    charge = {"id": "ch_1", "object": "charge", "receipt_url": "https://receipt"}
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 2_500,
        "currency": "usd",
        "latest_charge": charge,
        "payment_method": None,
    }
    done = {**SESSION, "status": "complete", "payment_intent": intent}
    stripe.fails("POST /v1/checkout/sessions/cs_1/expire", 400)
    stripe.will("GET /v1/checkout/sessions/cs_1", done)

    visit = pay_page.close("cs_1")

    assert (visit.state, visit.amount_cents, visit.currency) == ("done", 2_500, "USD")
    assert visit.charge.receipt_url == "https://receipt"

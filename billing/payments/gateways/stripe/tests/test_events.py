"""What Stripe tells of payments, what it could not tell, and what our key may do."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection

from billing.inbox import handlers, stripe_money_back, sweep
from billing.models import (
    EventSweep,
    GatewayCustomer,
    InboundWebhook,
    Payment,
    PaymentAttempt,
    Refund,
)
from billing.payments import processing
from billing.payments.gateways.stripe import events
from billing.tests.meanwhile import Meanwhile
from jobs.errors import Unavailable
from jobs.models import due

from .test_charges import intent, refund

pytestmark = pytest.mark.django_db
Outcome = PaymentAttempt.Outcome
STATEMENTS_MAX = 60  # more than it takes to read one event


@pytest.fixture
def attempt(alice, now, stripe) -> PaymentAttempt:
    """A payment whose charge was sent, and whose answer got lost."""
    GatewayCustomer.objects.create(customer=alice, gateway="stripe", reference="cus_1")
    payment = Payment.objects.create(
        customer=alice,
        kind="recharge",
        amount_cents=4_500,
        gateway="stripe",
        state="charging",
        created_at=now,
    )
    return PaymentAttempt.objects.create(
        payment=payment,
        number=1,
        key=f"vocalis-payment-{payment.pk}-1",
        method_reference="pm_1",
        amount_cents=4_500,
        currency="USD",
        parameters={"customer": "cus_1", "metadata": {}},
        created_at=now,
        first_sent_at=now,
    )


def happens(kind: str, found: dict, now, *, event_id: str = "evt_1") -> str:
    event = InboundWebhook.objects.create(
        source="stripe",
        event_id=event_id,
        type=kind,
        payload={"id": event_id, "type": kind, "data": {"object": found}},
        received_at=now,
    )
    handlers.process(event, now)
    event.refresh_from_db()
    return event.outcome


def ours(attempt, status: str = "succeeded") -> dict:
    metadata = {"vocalis_payment": str(attempt.payment_id), "attempt": str(attempt.number)}
    return intent(status, metadata=metadata)


# --- Payments -------------------------------------------------------------------------------------


def test_an_intent_whose_answer_got_lost_is_known_by_its_metadata(attempt, now):
    assert "is looked at" in happens("payment_intent.succeeded", ours(attempt), now)

    attempt.refresh_from_db()
    attempt.payment.refresh_from_db()
    assert attempt.gateway_reference == "pi_1"
    assert attempt.payment.due_at == now
    assert attempt.payment.state == "charging", "the event itself is not believed"


def test_one_that_is_known_by_its_id_needs_no_metadata(attempt, now):
    PaymentAttempt.objects.update(gateway_reference="pi_1", outcome=Outcome.WAITING)
    Payment.objects.update(state="requires_action")

    assert "is looked at" in happens("payment_intent.payment_failed", intent(), now)


@pytest.mark.parametrize("state", ["charged", "failed"])
def test_money_taken_for_an_attempt_that_had_ended_is_paid_back_once(stripe, attempt, now, state):
    """Stripe completes a charge after trouble of its own, when another one has paid already."""
    PaymentAttempt.objects.update(outcome=Outcome.NEVER)
    Payment.objects.update(state=state, attempt_number=2)
    stripe.will("GET /v1/payment_intents/pi_1", intent())
    stripe.will("POST /v1/refunds", refund())

    for number in range(2):
        told = happens("payment_intent.succeeded", ours(attempt), now, event_id=f"evt_{number}")
        assert told.startswith("paid back")

    keys = {headers["Idempotency-Key"] for what, _, headers in stripe.asked if "refunds" in what}
    assert keys == {f"vocalis-refund-{attempt.key}"}
    assert stripe.sent()["amount"] == "4500"
    attempt.payment.refresh_from_db()
    assert attempt.payment.state == state


def test_what_was_paid_as_it_should_be_stays_paid(stripe, attempt, now):
    PaymentAttempt.objects.update(outcome=Outcome.PAID, gateway_reference="pi_1")
    Payment.objects.update(state="charged")

    assert happens("payment_intent.succeeded", ours(attempt), now).endswith("is charged")
    assert stripe.calls == []


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_charges_while_its_event_is_read_is_not_paid_back(stripe, attempt, now):
    """The event comes before Stripe has answered the worker, who goes on between any two statements
    of the one that reads it."""
    stripe.will("POST /v1/payment_intents", intent())
    stripe.will("GET /v1/payment_intents/pi_1", intent())
    stripe.will("POST /v1/refunds", refund())
    as_sent = {"outcome": Outcome.OPEN, "gateway_reference": ""}

    for number in range(1, STATEMENTS_MAX):
        PaymentAttempt.objects.update(**as_sent)
        Payment.objects.update(state="charging", due_at=now)
        worker = Meanwhile(number, partial(charge, now))
        with connection.execute_wrapper(worker):
            told = happens("payment_intent.succeeded", ours(attempt), now, event_id=f"evt_{number}")
        if not worker.is_done:
            break
        attempt.refresh_from_db()
        assert (attempt.outcome, attempt.payment.state) == (Outcome.PAID, "charged"), told
        assert "paid back" not in told and attempt.refund_reference == ""
    assert number > 5 and not worker.is_done
    assert not [what for what in stripe.calls if "refunds" in what]


def charge(now) -> None:
    with suppress(processing.NeverGranted):  # the fixture's payment is for nothing
        processing.advance(Payment.objects.get(), now)


def test_an_intent_of_a_failed_payment_that_was_not_paid_stays_so(stripe, attempt, now):
    PaymentAttempt.objects.update(outcome=Outcome.DECLINED, gateway_reference="pi_1")
    Payment.objects.update(state="failed")
    error = {"code": "card_declined"}
    stripe.will(
        "GET /v1/payment_intents/pi_1", intent("requires_payment_method", last_payment_error=error)
    )

    assert happens("payment_intent.succeeded", ours(attempt), now).endswith("is failed")
    assert not [what for what in stripe.calls if "refunds" in what]


def test_a_refund_that_the_bank_refused_later_is_looked_at_again(attempt, now):
    Payment.objects.update(state="refunded", settled_at=now)
    made = Refund.objects.create(
        payment=attempt.payment,
        customer=attempt.payment.customer,
        state="paid_back",
        amount_cents=4_900,
        reference="re_1",
        reason="Asked for.",
        created_at=now,
    )

    assert "looked at again" in happens("refund.failed", refund("failed"), now)

    made.refresh_from_db()
    assert (made.state, made.due_at) == ("taken_back", now)
    assert Payment.objects.get().state == "refunding"
    assert "already" in happens("refund.updated", refund("failed"), now, event_id="evt_2")
    assert "refund of payment" in happens("refund.updated", refund(), now, event_id="evt_3")


def test_money_of_an_ended_attempt_that_cannot_be_paid_back_needs_a_person(attempt, now):
    PaymentAttempt.objects.update(refund_reference="re_1")
    assert "refund of payment" in happens("refund.updated", refund(), now)
    with pytest.raises(stripe_money_back.RefundRefused, match="another way"):
        happens("refund.failed", refund("failed"), now, event_id="evt_2")


# --- Events that did not arrive -------------------------------------------------------------------


def event(number: int) -> dict:
    found = {"id": f"pi_{number}", "object": "payment_intent"}
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": found},
    }


def page(*numbers: int, more: bool = False) -> dict:
    return {"object": "list", "data": [event(number) for number in numbers], "has_more": more}


def test_what_could_not_be_delivered_is_fetched_once(stripe, now):
    sweep.make_rows(now)
    sweep.make_rows(now)
    row = EventSweep.objects.get()
    stripe.will("GET /v1/events", page(1, 2, more=True), page(3), page(3))

    assert sweep.sweep(row, now) == now + timedelta(hours=1)

    assert stripe.sent(0)["delivery_success"] == "false"
    assert stripe.sent(0)["created[gte]"] == str(int((now - timedelta(days=30)).timestamp()))
    assert stripe.sent(1)["starting_after"] == "evt_2"
    stored = InboundWebhook.objects.filter(source="stripe", due_at=now)
    assert sorted(stored.values_list("event_id", flat=True)) == ["evt_1", "evt_2", "evt_3"]

    row.refresh_from_db()
    later = now + timedelta(hours=1)
    sweep.sweep(row, later)
    assert stripe.sent()["created[gte]"] == str(int((now - timedelta(days=4)).timestamp()))
    assert InboundWebhook.objects.count() == 3


def test_an_event_that_cannot_be_stored_keeps_no_other_waiting(stripe, now):
    row = EventSweep.objects.create(source="stripe", **due(now))
    bad = event(1) | {"data": {"object": {"id": "nul \x00"}}}
    stripe.will("GET /v1/events", {"object": "list", "data": [bad, event(2)], "has_more": False})

    sweep.sweep(row, now)

    assert InboundWebhook.objects.get().event_id == "evt_2"


# --- Rights of the key ----------------------------------------------------------------------------

READ = [
    "/v1/customers",
    "/v1/checkout/sessions",
    "/v1/setup_intents",
    "/v1/payment_intents",
    "/v1/refunds",
    "/v1/charges",
    "/v1/disputes",
    "/v1/events",
    "/v1/radar/early_fraud_warnings",
]


def test_a_key_that_lacks_rights_is_told_by_their_names(stripe):
    for path in READ:
        if path in ("/v1/refunds", "/v1/disputes"):
            stripe.fails(f"GET {path}", 403, message="This key lacks a right.")
        else:
            stripe.will(f"GET {path}", {"object": "list", "data": [], "has_more": False})

    assert events.refused_rights() == ["Refunds", "Disputes"]
    assert sorted(stripe.calls) == sorted(f"GET {path}" for path in READ), "nothing is written"


def test_without_an_answer_nothing_is_said_about_rights(stripe):
    for path in READ:
        stripe.fails(f"GET {path}", 401, message="Invalid API Key provided")

    with pytest.raises(Unavailable, match="STRIPE_SECRET_KEY"):
        events.refused_rights()

"""What is asked of Stripe for a payment, and what its answers mean, by the unmodified SDK."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import (
    GatewayCustomer,
    Payment,
    PaymentAttempt,
    PaymentMethod,
    Refund,
    Subscription,
)
from billing.payments import processing, requests
from billing.payments.gateways import GatewayUnavailable
from billing.refunds import flow
from jobs.errors import Rejected

pytestmark = pytest.mark.django_db
State, Outcome = Payment.State, PaymentAttempt.Outcome
CREATE = "POST /v1/payment_intents"
LIST = "GET /v1/payment_intents"
ONE = "/v1/payment_intents/pi_1"


def intent(status: str = "succeeded", **fields) -> dict:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "metadata": {},
        "latest_charge": {"id": "ch_1", "object": "charge", "receipt_url": "https://pay/r"},
    } | fields


@pytest.fixture
def payment(alice, now, stripe) -> Payment:
    PaymentMethod.objects.create(
        customer=alice, gateway="stripe", reference="pm_1", label="Visa", fingerprint="fp_1"
    )
    GatewayCustomer.objects.create(customer=alice, gateway="stripe", reference="cus_1")
    row = Subscription.objects.create(customer=alice, plan="creator", key="form-1", created_at=now)
    return requests.request_plan_payment(subscription=row, period=0, amount_cents=4_900, now=now)


def advance(payment, now) -> Payment:
    processing.advance(Payment.objects.get(pk=payment.pk), now)
    payment.refresh_from_db()
    return payment


def attempts() -> list[tuple[int, str, str]]:
    rows = PaymentAttempt.objects.order_by("number")
    return list(rows.values_list("number", "outcome", "gateway_reference"))


# --- Paid -----------------------------------------------------------------------------------------


def test_a_payment_is_one_intent_of_its_amount_off_session(stripe, payment, now):
    stripe.will(CREATE, intent())

    assert advance(payment, now).state == State.CHARGED

    assert stripe.sent() == {
        "amount": "4900",
        "currency": "usd",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "confirm": "true",
        "off_session": "true",
        "error_on_requires_action": "true",
        "allowed_payment_method_types[0]": "card",
        "description": "Vocalis Creator plan",
        "metadata[vocalis_payment]": str(payment.pk),
        "metadata[attempt]": "1",
        "payment_method_options[card][stored_credential_usage]": "recurring",
        "expand[0]": "latest_charge",
    }
    headers = stripe.headers()
    assert headers["Idempotency-Key"] == f"vocalis-payment-{payment.pk}-1"
    assert headers["Stripe-Version"] == "2026-10-28.endive"
    assert headers["Authorization"] == "Bearer rk_test_123"
    assert "telemetry" not in str(headers).lower()
    assert payment.gateway_reference == "pi_1"
    assert PaymentAttempt.objects.get().receipt_url == "https://pay/r"


def test_nothing_is_sent_twice_by_the_sdk_itself(stripe, payment, now):
    stripe.will(CREATE, {"error": {"message": "sorry"}}, status=500)

    with pytest.raises(GatewayUnavailable):
        advance(payment, now)

    assert stripe.calls == [CREATE]


def test_what_the_bank_has_not_decided_is_read_again(stripe, payment, now):
    stripe.will(CREATE, intent("processing", latest_charge=None))
    assert advance(payment, now).state == State.CHARGING
    stripe.will(f"GET {ONE}", intent())

    assert advance(payment, now + timedelta(minutes=5)).state == State.CHARGED
    assert stripe.calls == [CREATE, f"GET {ONE}"]


# --- Answers that are lost ------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 409, 429])
def test_where_nothing_is_known_the_same_is_sent_again(stripe, payment, now, status):
    stripe.will(CREATE, {"error": {"code": "lock_timeout"}}, status=status)
    stripe.will(CREATE, intent())
    with pytest.raises(GatewayUnavailable):
        advance(payment, now)

    assert advance(payment, now + timedelta(hours=19)).state == State.CHARGED

    assert stripe.calls == [CREATE, CREATE]
    assert stripe.sent(0) == stripe.sent(1)
    assert stripe.headers(0)["Idempotency-Key"] == stripe.headers(1)["Idempotency-Key"]


@pytest.mark.parametrize("answer", [{"error": {}}, b"<html>", b"null", b"[]"])
def test_after_an_error_of_stripes_own_the_intent_is_looked_for_first(stripe, payment, now, answer):
    stripe.will(CREATE, answer, status=500 if answer == {"error": {}} else 200)
    ours = {"vocalis_payment": str(payment.pk), "attempt": "1"}
    pages = [
        {"object": "list", "data": [intent(id="pi_8")], "has_more": True},
        {"object": "list", "data": [intent(metadata=ours | {"x": "y"})], "has_more": False},
    ]
    stripe.will(LIST, *pages)
    with pytest.raises(GatewayUnavailable):
        advance(payment, now)

    assert advance(payment, now + timedelta(seconds=9)).state == State.CHARGED

    assert stripe.calls == [CREATE, LIST, LIST]
    assert stripe.sent(1)["customer"] == "cus_1"
    assert stripe.sent(1)["created[gte]"] == str(int(now.timestamp()) - 300)
    assert stripe.sent(2)["starting_after"] == "pi_8"


def test_an_intent_that_stripe_stored_without_confirming_it_is_confirmed(stripe, payment, now):
    stripe.fails(CREATE, 500)
    ours = {"vocalis_payment": str(payment.pk), "attempt": "1"}
    unfinished = intent("requires_confirmation", metadata=ours, latest_charge=None)
    stripe.will(LIST, {"object": "list", "data": [unfinished], "has_more": False})
    stripe.will(f"POST {ONE}/confirm", intent())
    with pytest.raises(GatewayUnavailable):
        advance(payment, now)

    assert advance(payment, now).state == State.CHARGED
    assert stripe.sent()["off_session"] == "true"


def test_a_day_later_one_that_stripe_does_not_know_is_another_attempt(stripe, payment, now):
    stripe.will(CREATE, {}, status=0)
    stripe.will(CREATE, intent())
    stripe.will(LIST, {"object": "list", "data": [], "has_more": False})
    with pytest.raises(GatewayUnavailable):
        advance(payment, now)

    assert advance(payment, now + timedelta(days=1)).state == State.CHARGED

    assert stripe.calls == [CREATE, LIST, CREATE]
    assert stripe.headers()["Idempotency-Key"] == f"vocalis-payment-{payment.pk}-2"
    assert attempts() == [(1, Outcome.NEVER, ""), (2, Outcome.PAID, "pi_1")]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_rests_all_payments_and_fails_none(stripe, payment, now, status):
    stripe.fails(CREATE, status, message="Invalid API Key provided: rk_test_***")

    with pytest.raises(GatewayUnavailable, match="STRIPE_SECRET_KEY") as caught:
        advance(payment, now)
    assert caught.value.pause_seconds


@pytest.mark.parametrize(
    "error",
    [
        {"type": "idempotency_error", "message": "Keys for idempotent requests"},
        {"code": "parameter_unknown", "param": "x"},
        {"code": "amount_too_small"},
        {"code": "payment_method_types_no_longer_supported", "param": "payment_method_types"},
    ],
)
def test_a_request_that_stripe_refuses_needs_a_person(stripe, payment, now, error):
    stripe.fails(CREATE, 400, **error)

    with pytest.raises(Rejected):
        advance(payment, now)
    payment.refresh_from_db()
    assert payment.state == State.CHARGING


# --- Declined -------------------------------------------------------------------------------------


def test_a_decline_fails_the_payment_in_stripes_words(stripe, payment, now):
    stripe.declines(
        CREATE,
        code="card_declined",
        decline_code="insufficient_funds",
        message="Your card has insufficient funds.",
    )

    advance(payment, now)

    assert (payment.state, payment.decline) == (State.FAILED, "later")
    assert payment.failure == "Your card has insufficient funds."
    assert attempts() == [(1, Outcome.DECLINED, "pi_1")]


@pytest.mark.parametrize(
    "error",
    [
        {"code": "resource_missing", "param": "payment_method"},
        {"code": "resource_missing", "param": "customer"},
        {"message": "This PaymentMethod was detached and may not be used again."},
    ],
)
def test_a_card_that_is_gone_there_needs_another_one(stripe, payment, now, error):
    stripe.fails(CREATE, 400, **error)

    advance(payment, now)

    assert (payment.state, payment.decline) == (State.FAILED, "new_card")
    assert "Add it again" in payment.failure


def test_without_a_card_nothing_is_sent(stripe, payment, now):
    PaymentMethod.objects.all().delete()

    assert advance(payment, now).failure == "There is no card to charge."
    assert stripe.calls == [] and attempts() == []


# --- Confirmed by the customer --------------------------------------------------------------------

WANTED = {"code": "authentication_required", "decline_code": "authentication_required"}
RETURN = "https://vocalis.example/back"


def wait(stripe, payment, now) -> Payment:
    stripe.declines(CREATE, **WANTED)
    stripe.will(f"GET {ONE}", unpaid())
    return advance(payment, now)


def redirect(**fields) -> dict:
    action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://hooks/3ds"}}
    return intent("requires_action", next_action=action, latest_charge=None, **fields)


def unpaid(code: str = "authentication_required") -> dict:
    return intent("requires_payment_method", latest_charge=None, last_payment_error={"code": code})


def test_where_the_bank_wants_a_confirmation_the_same_intent_waits_for_the_customer(
    stripe, payment, now
):
    wait(stripe, payment, now)

    assert (payment.state, payment.failure) == (State.REQUIRES_ACTION, "")
    assert attempts() == [(1, Outcome.WAITING, "pi_1")]


def test_the_customer_is_led_to_the_bank_and_the_same_intent_is_paid(stripe, payment, now):
    wait(stripe, payment, now)
    stripe.will(f"POST {ONE}/confirm", redirect())

    assert requests.confirmation_url(payment, return_url=RETURN) == "https://hooks/3ds"
    assert stripe.sent() == {"payment_method": "pm_1", "return_url": RETURN}

    stripe.answers[f"GET {ONE}"] = [(200, redirect())]
    assert requests.confirmation_url(payment, return_url=RETURN) == "https://hooks/3ds"
    assert stripe.calls.count(f"POST {ONE}/confirm") == 1, "a second click leads to the same page"

    stripe.answers[f"GET {ONE}"] = [(200, intent())]
    assert requests.confirmation_url(payment, return_url=RETURN) is None
    assert advance(payment, now).state == State.CHARGED
    assert attempts() == [(1, Outcome.PAID, "pi_1")]


def test_a_confirmation_that_went_wrong_may_be_tried_again(stripe, payment, now):
    wait(stripe, payment, now)
    stripe.answers[f"GET {ONE}"] = [(200, unpaid("payment_intent_authentication_failure"))]

    assert advance(payment, now + timedelta(hours=1)).state == State.REQUIRES_ACTION


@pytest.mark.parametrize(
    "status, state", [("canceled", State.FAILED), ("succeeded", State.CHARGED)]
)
def test_what_is_called_off_is_cancelled_unless_it_was_paid_by_then(
    stripe, payment, now, status, state
):
    wait(stripe, payment, now)
    requests.call_off(payment, failure="You called it off.", now=now)
    stripe.answers[f"GET {ONE}"] = [(200, unpaid()), (200, intent(status))]
    stripe.fails(f"POST {ONE}/cancel", 400, code="payment_intent_unexpected_state")

    assert advance(payment, now).state == state


# --- Refunds --------------------------------------------------------------------------------------


def refund_of(payment, now) -> Refund:
    made, _ = Refund.objects.get_or_create(
        payment=payment,
        customer=payment.customer,
        amount_cents=4_900,
        reason="Asked for.",
        created_at=now,
    )
    flow.advance(made, now)
    made.refresh_from_db()
    return made


def refund(status: str = "succeeded", **fields) -> dict:
    return {"id": "re_1", "object": "refund", "status": status} | fields


@pytest.fixture
def charged(stripe, payment, now) -> Payment:
    stripe.will(CREATE, intent())
    return advance(payment, now)


def test_a_refund_names_the_charge_the_amount_and_a_key(stripe, charged, now):
    stripe.will("POST /v1/refunds", refund("pending"))

    made = refund_of(charged, now)

    assert (made.state, made.reference) == (Refund.State.PAID_BACK, "re_1")
    assert (stripe.sent()["payment_intent"], stripe.sent()["amount"]) == ("pi_1", "4900")
    assert stripe.headers()["Idempotency-Key"] == f"vocalis-refund-{made.pk}-1"
    assert stripe.sent()["metadata[vocalis_refund]"] == f"vocalis-refund-{made.pk}-1"


def test_what_somebody_has_refunded_at_stripe_comes_before_a_person(stripe, charged, now):
    stripe.fails("POST /v1/refunds", 400, code="charge_already_refunded")
    made = refund(metadata={})
    stripe.will("GET /v1/refunds", {"object": "list", "data": [made], "has_more": False})

    made = refund_of(charged, now)

    assert made.state == Refund.State.REFUSED
    assert made.failure.startswith("The whole charge was refunded at Stripe already")


def test_what_is_disputed_is_left_to_the_dispute(stripe, charged, now):
    stripe.fails("POST /v1/refunds", 400, code="charge_disputed")
    stripe.will("GET /v1/refunds", {"object": "list", "data": [], "has_more": False})

    made = refund_of(charged, now)

    assert made.state == Refund.State.CALLED_OFF
    assert made.failure == "Left to the dispute: the customer disputes the charge at the bank."


def test_a_refund_that_the_bank_refuses_comes_back(stripe, charged, now):
    stripe.will("POST /v1/refunds", refund("failed", failure_reason="lost_or_stolen_card"))

    made = refund_of(charged, now)

    assert made.state == Refund.State.REFUSED
    assert made.failure == "The bank refused it: lost or stolen card."

from __future__ import annotations

import json

import pytest

from billing.models import (
    CreditGrant,
    Payment,
    PaymentAttempt,
    PaymentMethod,
    Subscription,
)
from billing.payments import processing, requests
from billing.refunds import flow
from billing.tests.stripe_stage import (
    DECLINED,
    OTHER_GOOD,
    charged,
    charges,
    have_card,
    refunded,
    save_card,
)
from notifications import endpoints
from notifications.models import OutboundWebhook

State = Payment.State


# --- Plan payments --------------------------------------------------------------------------------


@pytest.fixture
def subscription(alice, now, stripe_box) -> Subscription:
    have_card(alice)
    return Subscription.objects.create(customer=alice, plan="creator", key="form-1", created_at=now)


def pay(subscription, now, *, period: int = 0) -> Payment:
    payment = requests.request_plan_payment(
        subscription=subscription, period=period, amount_cents=4_900, now=now
    )
    processing.advance(payment, now)
    payment.refresh_from_db()
    return payment


def test_a_plan_payment_is_asked_for_once_a_period(subscription, now):
    first = requests.request_plan_payment(
        subscription=subscription, period=0, amount_cents=4_900, now=now
    )
    again = requests.request_plan_payment(
        subscription=subscription, period=0, amount_cents=4_900, now=now
    )
    next_period = requests.request_plan_payment(
        subscription=subscription, period=1, amount_cents=4_900, now=now
    )

    assert first == again != next_period


def test_a_plan_payment_stops_once_charged_and_has_the_subscription_looked_at(subscription, now):
    payment = pay(subscription, now)

    assert payment.state == State.CHARGED
    subscription.refresh_from_db()
    assert subscription.due_at == now
    assert charged() == [4_900]
    assert subscription.customer.payment_method.label == "Visa •••• 4242"


def test_a_declined_plan_payment_fails_in_words(subscription, now):
    save_card(subscription.customer, DECLINED, now)

    payment = pay(subscription, now)

    assert (payment.state, payment.failure) == (State.FAILED, "Your card was declined.")
    assert payment.settled_at == now
    subscription.refresh_from_db()
    assert subscription.due_at == now


def test_a_granted_plan_payment_is_settled(subscription, wallet, now):
    payment = pay(subscription, now)
    grant = CreditGrant.objects.get()

    for _ in range(2):
        requests.mark_granted(payment, grant_id=grant.pk, now=now)

    payment.refresh_from_db()
    assert (payment.state, payment.grant, payment.due_at, payment.settled_at) == (
        State.CHARGED,
        grant,
        None,
        now,
    )
    assert not Payment.objects.open().exists()
    with pytest.raises(requests.NotRefundable):
        requests.request_refund(payment, reason="asked for", now=now)


def test_an_uncharged_payment_is_never_marked_granted(subscription, wallet, now):
    payment = requests.request_plan_payment(
        subscription=subscription, period=0, amount_cents=4_900, now=now
    )

    requests.mark_granted(payment, grant_id=CreditGrant.objects.get().pk, now=now)

    payment.refresh_from_db()
    assert (payment.state, payment.grant) == (State.INITIATED, None)


def test_a_charged_plan_that_can_never_be_granted_asks_for_a_person(subscription, now):
    payment = pay(subscription, now)
    Subscription.objects.update(state=Subscription.State.FAILED)

    with pytest.raises(processing.NeverGranted, match="refund"):
        processing.advance(payment, now)


def test_such_a_payment_can_be_refunded_once(subscription, now):
    payment = pay(subscription, now)
    with pytest.raises(requests.NotRefundable):
        requests.request_refund(payment, reason="asked for", now=now)
    Subscription.objects.update(state=Subscription.State.ENDED)

    requests.request_refund(payment, reason="The plan could not be set up.", now=now)
    with pytest.raises(requests.NotRefundable):
        requests.request_refund(payment, reason="again", now=now)
    processing.ADVANCE.run(now)
    assert Payment.objects.get().state == State.REFUNDING
    flow.ADVANCE.run(now)

    payment.refresh_from_db()
    assert (payment.state, payment.failure) == (State.REFUNDED, "The plan could not be set up.")
    assert payment.due_at is None
    assert (charged(), refunded()) == ([4_900], [4_900])


# --- The card -------------------------------------------------------------------------------------


def test_without_a_card_a_payment_fails_and_asks_for_one(subscription, now):
    PaymentMethod.objects.all().delete()

    payment = pay(subscription, now)

    assert (payment.state, payment.failure) == (State.FAILED, "There is no card to charge.")
    assert payment.decline == Payment.Decline.NEW_CARD
    assert charges() == []


def test_the_card_that_was_saved_last_is_charged(subscription, now):
    save_card(subscription.customer, DECLINED, now)
    method = save_card(subscription.customer, OTHER_GOOD, now)

    assert pay(subscription, now).state == State.CHARGED
    [made] = charges()
    assert made["payment_method"] == method.reference == PaymentMethod.objects.get().reference
    assert PaymentAttempt.objects.get().label == "Mastercard •••• 4444"


# --- What the customer's programs are told --------------------------------------------------------


def told() -> list[dict]:
    return [json.loads(body) for body in OutboundWebhook.objects.values_list("body", flat=True)]


def test_a_payment_that_fails_is_told_to_the_customers_programs_once(subscription, now):
    endpoints.create(subscription.customer, "https://a.example", ["payment.failed"], now)
    save_card(subscription.customer, DECLINED, now)

    payment = pay(subscription, now)
    processing.advance(payment, now)

    [event] = told()
    assert event["type"] == "payment.failed"
    assert event["data"] == {
        "payment": str(payment.pk),
        "kind": "plan",
        "amount_cents": 4_900,
        "currency": "USD",
        "failure": "Your card was declined.",
    }


def test_a_payment_that_succeeds_is_not(subscription, now):
    endpoints.create(subscription.customer, "https://a.example", ["payment.failed"], now)

    assert pay(subscription, now).state == State.CHARGED and told() == []


def test_a_payment_called_off_before_it_is_charged_is_told_with_the_reason(subscription, now):
    endpoints.create(subscription.customer, "https://a.example", ["payment.failed"], now)
    payment = requests.request_plan_payment(
        subscription=subscription, period=0, amount_cents=4_900, now=now
    )
    for _ in range(2):
        requests.call_off(payment, failure="You changed your mind.", now=now)

    assert [event["data"]["failure"] for event in told()] == ["You changed your mind."]


def test_a_worker_overtaken_at_a_failure_tells_nothing(subscription, now):
    """Its event is written in the transaction that moves the payment, and goes with it."""
    endpoints.create(subscription.customer, "https://a.example", ["payment.failed"], now)
    payment = requests.request_plan_payment(
        subscription=subscription, period=0, amount_cents=4_900, now=now
    )
    Payment.objects.filter(pk=payment.pk).update(state=State.CHARGED)
    with pytest.raises(processing.Snooze):
        processing._fail(payment, "too late", now)

    assert told() == []

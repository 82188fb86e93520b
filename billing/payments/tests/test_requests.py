from __future__ import annotations

import pytest

from billing.models import ChargeAtTestGateway, CreditGrant, Payment, Subscription
from billing.payments import cards, processing, requests
from billing.payments.gateways import gateway
from billing.payments.gateways.test import DECLINING_CARD, GOOD_CARD

State = Payment.State


# --- What may be asked for ------------------------------------------------------------------------------------------


def ask(customer, now, **changed) -> Payment:
    asked = {
        "workflow_id": "workflow-1", "invoice_id": "invoice-1", "invoice_total": 4_500, "currency": "USD",
    } | changed  # fmt: skip
    return requests.request_recharge(customer=customer, now=now, **asked)


@pytest.mark.parametrize(
    ("total", "cents"),
    [(4_500, 4_500), (4_375.025, 4_375), ("4375.025", 4_375), (4_375.5, 4_376), (4_376.5, 4_377), (0.5, 1)],
)
def test_an_invoice_total_is_rounded_half_up_and_kept_as_sent(alice, now, total, cents):
    payment = ask(alice, now, invoice_total=total)

    assert (payment.amount_cents, payment.invoice_total) == (cents, str(total))


@pytest.mark.parametrize(
    "total",
    [None, "", "much", 0, 0.4, -1, -4_500, True, [], {}, "NaN", "Infinity"]
    + ["1e99", "1e999999999", 10**30, float("inf"), "1" * 50],
)
def test_an_amount_nobody_can_charge_is_refused(alice, now, total):
    with pytest.raises(requests.InvoiceTotalInvalid):
        ask(alice, now, invoice_total=total)
    assert not Payment.objects.exists()


def test_another_currency_is_refused(alice, now):
    with pytest.raises(requests.InvoiceTotalInvalid, match="only USD"):
        ask(alice, now, currency="EUR")


def test_the_same_workflow_asked_twice_is_one_payment(alice, now):
    assert ask(alice, now).pk == ask(alice, now).pk


def test_a_second_recharge_waits_for_the_first(alice, now):
    first = ask(alice, now)
    with pytest.raises(requests.RechargeUnderWay):
        ask(alice, now, workflow_id="workflow-2")

    Payment.objects.filter(pk=first.pk).update(state=State.FAILED)

    assert ask(alice, now, workflow_id="workflow-2").pk != first.pk


# --- Plan payments --------------------------------------------------------------------------------------------------


@pytest.fixture
def subscription(alice, now) -> Subscription:
    return Subscription.objects.create(customer=alice, plan="creator", key="form-1", created_at=now)


def pay(subscription, now, *, period: int = 0) -> Payment:
    payment = requests.request_plan_payment(subscription=subscription, period=period, amount_cents=4_900, now=now)
    processing.advance(payment, now)
    payment.refresh_from_db()
    return payment


def test_a_plan_payment_is_asked_for_once_a_period(subscription, now):
    first = requests.request_plan_payment(subscription=subscription, period=0, amount_cents=4_900, now=now)
    again = requests.request_plan_payment(subscription=subscription, period=0, amount_cents=4_900, now=now)
    next_period = requests.request_plan_payment(subscription=subscription, period=1, amount_cents=4_900, now=now)

    assert first == again != next_period


def test_a_plan_payment_stops_once_charged_and_has_the_subscription_looked_at(subscription, now):
    payment = pay(subscription, now)

    assert payment.state == State.CHARGED
    subscription.refresh_from_db()
    assert subscription.due_at == now
    assert ChargeAtTestGateway.objects.get().amount_cents == 4_900
    assert subscription.customer.payment_method.label == "Test card •••• 4242"


def test_a_declined_plan_payment_fails_in_words(subscription, now):
    cards.choose(customer_id=subscription.customer_id, reference=DECLINING_CARD.reference)

    payment = pay(subscription, now)

    assert (payment.state, payment.failure) == (State.FAILED, "The card was declined.")
    assert payment.settled_at == now
    subscription.refresh_from_db()
    assert subscription.due_at == now


def test_a_granted_plan_payment_is_settled(subscription, wallet, now):
    payment = pay(subscription, now)
    grant = CreditGrant.objects.get()

    for _ in range(2):
        requests.mark_granted(payment, grant_id=grant.pk, now=now)

    payment.refresh_from_db()
    assert (payment.state, payment.grant, payment.due_at, payment.settled_at) == (State.GRANTED, grant, None, now)


def test_an_uncharged_payment_is_never_marked_granted(subscription, wallet, now):
    payment = requests.request_plan_payment(subscription=subscription, period=0, amount_cents=4_900, now=now)

    requests.mark_granted(payment, grant_id=CreditGrant.objects.get().pk, now=now)

    payment.refresh_from_db()
    assert payment.state == State.INITIATED


def test_a_charged_plan_that_can_never_be_granted_asks_for_a_person(subscription, now):
    payment = pay(subscription, now)
    Subscription.objects.update(state=Subscription.State.FAILED)

    with pytest.raises(processing.PlanNeverGranted, match="refund"):
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

    payment.refresh_from_db()
    assert (payment.state, payment.failure) == (State.REFUNDED, "The plan could not be set up.")
    assert payment.due_at is None
    assert ChargeAtTestGateway.objects.get().refunded_at


# --- The test gateway -----------------------------------------------------------------------------------------------


def charge(key: str, reference: str = GOOD_CARD.reference):
    return gateway("test").charge(
        key=key, amount_cents=100, currency="USD", method_reference=reference, description="Test"
    )


def test_one_key_is_one_charge(db):
    assert charge("a") == charge("a") != charge("b")
    assert gateway().find(key="a") == charge("a")
    assert gateway().find(key="c") is None
    assert ChargeAtTestGateway.objects.count() == 2


def test_a_declined_charge_leaves_nothing_behind(db):
    with pytest.raises(processing.GatewayDeclined, match="declined"):
        charge("a", DECLINING_CARD.reference)
    assert gateway().find(key="a") is None


def test_only_a_card_of_the_gateway_can_be_chosen(alice):
    with pytest.raises(cards.UnknownCard):
        cards.choose(customer_id=alice.pk, reference="card-of-somebody")

"""What is sent to a gateway is stored first, repeated exactly, and looked up when it is old."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import Payment, PaymentAttempt, PaymentMethod, Subscription
from billing.payments import attempts, processing, requests
from billing.payments.gateways import CardGone, Charge, ChargeState, GatewayDeclined
from billing.payments.gateways import GatewayUnavailable as Unavailable
from billing.payments.gateways.stripe.charges import StripeGateway
from billing.tests.stripe_stage import DECLINED, GOOD, charges, have_card, key_of, save_card

pytestmark = pytest.mark.django_db
State, Outcome = Payment.State, PaymentAttempt.Outcome


@pytest.fixture
def payment(alice, now, stripe_box) -> Payment:
    have_card(alice)
    row = Subscription.objects.create(customer=alice, plan="creator", key="form-1", created_at=now)
    return requests.request_plan_payment(subscription=row, period=0, amount_cents=4_900, now=now)


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """What the gateway is asked, in order; the troubles in `script` come first."""
    seen: list[str] = []
    for name in ("charge", "find"):
        real = getattr(StripeGateway, name)

        def ask(self, attempt, real=real, name=name):
            seen.append(name)
            return real(self, attempt)

        monkeypatch.setattr(StripeGateway, name, ask)
    return seen


def use(number, payment, now) -> PaymentMethod:
    return save_card(payment.customer, number, now)


def lose_answers(monkeypatch, *, is_doubtful: bool = False, times: int = 1) -> list[dict]:
    """The gateway charges, and its answer is lost; what it was sent."""
    real, sent = StripeGateway.charge, []

    def charge(self, attempt):
        answer = real(self, attempt)
        sent.append(attempt.parameters | {"key": attempt.key})
        if len(sent) <= times:
            raise Unavailable("no answer", is_doubtful=is_doubtful)
        return answer

    monkeypatch.setattr(StripeGateway, "charge", charge)
    return sent


def test_what_is_sent_is_stored_before_it_is_sent(payment, now, monkeypatch):
    stored = []

    def charge(self, attempt):
        row = PaymentAttempt.objects.get()
        stored.append((row.key, row.first_sent_at, row.parameters, row.fingerprint))
        raise Unavailable("no answer")

    monkeypatch.setattr(StripeGateway, "charge", charge)
    with pytest.raises(Unavailable):
        processing.advance(payment, now)

    [(key, sent_at, parameters, fingerprint)] = stored
    assert (key, sent_at) == (f"vocalis-payment-{payment.pk}-1", now)
    method = PaymentMethod.objects.get()
    assert fingerprint == method.fingerprint
    assert parameters["payment_method"] == method.reference
    assert (parameters["amount"], parameters["currency"]) == (4_900, "usd")
    assert parameters["description"] == "Vocalis Creator plan"
    assert parameters["metadata"] == {"vocalis_payment": str(payment.pk), "attempt": "1"}


def test_a_repetition_sends_the_same_whatever_has_changed_here(payment, now, monkeypatch):
    sent = lose_answers(monkeypatch)
    with pytest.raises(Unavailable):
        processing.advance(payment, now)
    first = PaymentMethod.objects.get().reference
    use(DECLINED, payment, now)
    Subscription.objects.update(plan="pro")

    processing.advance(Payment.objects.get(), now + timedelta(hours=19))

    assert sent[0] == sent[1]
    assert Payment.objects.get().state == State.CHARGED
    assert [one["payment_method"] for one in charges()] == [first]
    assert PaymentAttempt.objects.get().outcome == Outcome.PAID


def test_after_twenty_hours_it_is_looked_up_and_not_sent_again(payment, now, monkeypatch, calls):
    lose_answers(monkeypatch, times=9)
    with pytest.raises(Unavailable):
        processing.advance(payment, now)
    calls.clear()

    processing.advance(Payment.objects.get(), now + timedelta(hours=20))

    assert calls == ["find"]
    assert Payment.objects.get().state == State.CHARGED


def test_one_the_gateway_does_not_know_by_then_gets_another_number_and_key(
    payment, now, monkeypatch, calls
):
    def refuse(self, attempt):
        raise Unavailable("no connection")

    with monkeypatch.context() as patched:
        patched.setattr(StripeGateway, "charge", refuse)
        with pytest.raises(Unavailable):
            processing.advance(payment, now)
    calls.clear()

    processing.advance(Payment.objects.get(), now + timedelta(hours=20))

    assert calls == ["find", "charge"]
    rows = PaymentAttempt.objects.order_by("number").values_list("number", "outcome")
    assert list(rows) == [(1, Outcome.NEVER), (2, Outcome.PAID)]
    assert [key_of(one) for one in charges()] == [f"vocalis-payment-{payment.pk}-2"]


def test_after_an_error_of_the_gateways_own_it_is_looked_up_first(payment, now, monkeypatch, calls):
    lose_answers(monkeypatch, is_doubtful=True)
    with pytest.raises(Unavailable):
        processing.advance(payment, now)
    assert PaymentAttempt.objects.get().is_doubtful
    calls.clear()

    processing.advance(Payment.objects.get(), now + timedelta(seconds=5))

    assert calls == ["find"]
    assert Payment.objects.get().state == State.CHARGED


def test_if_it_is_not_found_then_the_same_is_sent_under_the_same_key(
    payment, now, monkeypatch, calls
):
    def fail(self, attempt):
        raise Unavailable("error 500", is_doubtful=True)

    with monkeypatch.context() as patched:
        patched.setattr(StripeGateway, "charge", fail)
        with pytest.raises(Unavailable):
            processing.advance(payment, now)
    calls.clear()

    processing.advance(Payment.objects.get(), now + timedelta(seconds=5))

    assert calls == ["find", "charge"]
    assert [key_of(one) for one in charges()] == [f"vocalis-payment-{payment.pk}-1"]


def test_a_decline_is_on_the_attempt_and_on_the_payment(payment, now):
    use(DECLINED, payment, now)

    processing.advance(payment, now)

    attempt = PaymentAttempt.objects.get()
    assert (attempt.outcome, attempt.message) == (Outcome.DECLINED, "Your card was declined.")
    assert (attempt.decline, payment.decline) == ("later", "later")


def test_a_card_replaced_while_it_was_declined_does_not_fail_the_payment(payment, now, monkeypatch):
    """The new one is charged, under a key of its own."""
    real = StripeGateway.charge

    def replaced_meanwhile(self, attempt):
        use(GOOD, payment, now)
        return real(self, attempt)

    use(DECLINED, payment, now)
    monkeypatch.setattr(StripeGateway, "charge", replaced_meanwhile)

    processing.advance(payment, now)

    assert Payment.objects.get().state == State.CHARGED
    rows = PaymentAttempt.objects.order_by("number").values_list("label", "outcome")
    assert list(rows) == [
        ("Visa •••• 0341", Outcome.DECLINED),
        ("Visa •••• 4242", Outcome.PAID),
    ]


@pytest.mark.parametrize(
    "declined, numbers",
    [(GatewayDeclined("No."), [1]), (CardGone("Removed."), [1, 2])],
    ids=["declined", "gone"],
)
def test_the_same_card_added_again_is_charged_only_if_the_old_reference_was_gone(
    payment, now, monkeypatch, declined, numbers
):
    """What one card declined is not tried again because its number was typed in again."""
    use(GOOD, payment, now)
    method = PaymentMethod.objects.get()

    def charge(self, attempt):
        if attempt.number > 1:
            return Charge("charge-2", ChargeState.PAID)
        type(method).objects.update(reference="card-again", fingerprint=method.fingerprint)
        raise declined

    monkeypatch.setattr(StripeGateway, "charge", charge)
    processing.advance(payment, now)

    assert list(PaymentAttempt.objects.values_list("number", flat=True).order_by("number")) == (
        numbers
    )


def test_a_charge_the_bank_has_not_decided_on_is_asked_for_again(payment, now, monkeypatch):
    monkeypatch.setattr(
        StripeGateway, "charge", lambda self, attempt: Charge("charge-9", ChargeState.PENDING)
    )
    again_at = processing.advance(payment, now)
    assert again_at == now + timedelta(seconds=processing.PENDING_CHECK_SECONDS)
    assert (payment.state, PaymentAttempt.objects.get().gateway_reference) == (
        State.CHARGING,
        "charge-9",
    )

    monkeypatch.setattr(
        StripeGateway, "find", lambda self, attempt: Charge("charge-9", ChargeState.PAID)
    )
    processing.advance(Payment.objects.get(), again_at)

    assert Payment.objects.get().gateway_reference == "charge-9"


def test_two_workers_store_one_attempt(payment, now):
    use(GOOD, payment, now)
    first = attempts.prepare(payment, StripeGateway(), now)
    use(DECLINED, payment, now)

    assert attempts.prepare(payment, StripeGateway(), now) == first


def test_no_lease_ends_before_the_calls_that_are_made_under_it():
    """Finding, cancelling and charging take half a minute each at worst."""
    assert processing.ADVANCE.lease_seconds > 3 * (5 + 25)

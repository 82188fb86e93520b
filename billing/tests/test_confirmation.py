"""A payment that the customer's bank wants confirmed (card 3184): for plans, renewals and
recharges, to whatever end.
"""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
import time_machine
from django.core import mail

from billing import metronome, recharge
from billing.models import (
    AutoRecharge,
    CreditGrant,
    Payment,
    PaymentAttempt,
    Recharge,
    Subscription,
)
from billing.pages import delays
from billing.payments import processing
from billing.payments import requests as payments
from billing.payments.gateways.stripe.charges import StripeGateway
from billing.subscriptions import choose
from billing.tests import stripe_stage
from billing.tests.money_stage import (
    Killed,
    agree,
    balance,
    drain_killed,
    pass_time,
    run_to_low,
    select,
)
from billing.tests.stripe_stage import CONFIRMED, DECLINED, GOOD, answer_bank, save_card
from conftest import make_customer
from mails.models import OutboundMail
from notifications.models import Banner

pytestmark = pytest.mark.django_db
State = Payment.State
PAID, WAITING, CANCELLED = "succeeded", "requires_payment_method", "canceled"  # at Stripe


def use(customer, card, stage) -> None:
    save_card(customer, card, stage.now())


def wait_for_confirmation(stage, customer, plan="creator") -> Payment:
    """A plan is chosen and its payment waits."""
    use(customer, CONFIRMED, stage)
    select(customer, plan, stage.now())
    stage.drain()
    payment = Payment.objects.get(customer=customer)
    assert payment.state == State.REQUIRES_ACTION
    return payment


def wait_in_renewal(stage, customer) -> Payment:
    """A month of a plan is over, and the payment for the next one waits."""
    select(customer, "creator", stage.now())
    stage.drain()
    use(customer, CONFIRMED, stage)
    mail.outbox.clear()
    pass_time(stage, days=32)
    payment = Payment.objects.get(customer=customer, period=1)
    assert payment.state == State.REQUIRES_ACTION
    return payment


def wait_in_recharge(stage, customer) -> Payment:
    use(customer, CONFIRMED, stage)
    run_to_low(stage, customer)
    stage.drain()
    payment = Payment.objects.get(customer=customer)
    assert (payment.state, payment.recharge.state) == (State.REQUIRES_ACTION, Recharge.State.PAYING)
    return payment


def confirm(payment, stage) -> bool:
    """At the bank, who tells us. Returns whether there was something to confirm."""
    payment.refresh_from_db()
    done = payments.is_unconfirmed(payment)
    if done:
        answer_bank(stage, payment)
    payments.check_confirmation(payment, now=stage.now())
    stage.drain()
    payment.refresh_from_db()
    return done


def charges() -> list[tuple[str, str]]:
    """The last digits of the card, and the state at Stripe, the oldest first."""
    made = {one["id"]: one["status"] for one in stripe_stage.charges()}
    attempts = PaymentAttempt.objects.order_by("created_at", "number")
    tried = attempts.values_list("label", "gateway_reference")
    return [(label[-4:], made[reference]) for label, reference in tried if reference]


# --- Confirmed ------------------------------------------------------------------------------------


def test_a_plan_waits_for_the_confirmation_and_then_the_same_charge_is_paid(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    assert payment.confirm_by_at == stage.now() + timedelta(days=7)
    assert charges() == [("3184", WAITING)]
    assert choose.current_plan(alice) is None
    assert not CreditGrant.objects.exists()

    assert confirm(payment, stage)
    assert not confirm(payment, stage), "a double click"

    assert charges() == [("3184", PAID)]
    assert (payment.state, payment.grant.granted, payment.failure) == (State.CHARGED, 250_000, "")
    assert agree(alice) == 250_000
    assert choose.current_plan(alice).plan == "creator"
    subjects = [message.subject for message in mail.outbox]
    assert subjects == [
        "Your bank wants you to confirm a payment",
        "Receipt: $49.00 for your Creator plan",
    ]


def test_nothing_is_tried_again_meanwhile_and_it_is_looked_at_once_an_hour(
    stage, alice, monkeypatch
):
    payment = wait_for_confirmation(stage, alice)
    asked = []
    real = StripeGateway.find
    monkeypatch.setattr(
        StripeGateway, "find", lambda self, attempt: (asked.append(attempt), real(self, attempt))[1]
    )
    for _ in range(6 * 24):
        pass_time(stage, minutes=10)

    assert 23 <= len(asked) <= 25
    assert charges() == [("3184", WAITING)]
    payment.refresh_from_db()
    assert (payment.state, payment.attempts, payment.last_error) == (State.REQUIRES_ACTION, 0, "")
    row = Subscription.objects.get()
    assert (row.state, row.last_error, row.dead_at) == ("requested", "", None)


def test_a_confirmation_nobody_told_us_of_is_found_within_the_hour(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    answer_bank(stage, payment)

    pass_time(stage, minutes=59)
    assert Payment.objects.get().state == State.REQUIRES_ACTION
    pass_time(stage, minutes=2)

    assert agree(alice) == 250_000


def test_a_renewal_is_told_once_and_granted_when_confirmed(stage, alice):
    payment = wait_in_renewal(stage, alice)
    [told] = OutboundMail.objects.filter(kind="payment.action_needed")
    assert payment.confirm_by_at == told.created_at + timedelta(days=7)
    assert told.data == {
        "payment": str(payment.pk),
        "what": "Creator plan",
        "amount_cents": 4_900,
        "confirm_by": payment.confirm_by_at.isoformat(),
    }
    pass_time(stage, hours=5)

    confirm(payment, stage)

    assert OutboundMail.objects.filter(kind="payment.action_needed").count() == 1
    assert agree(alice) == 250_000
    assert Subscription.objects.get().period == 1


def test_a_charge_sends_its_receipt_once(stage, alice):
    select(alice, "creator", stage.now())
    stage.drain()

    [told] = OutboundMail.objects.filter(kind="payment.received")
    assert told.data == {
        "payment": str(Payment.objects.get().pk),
        "kind": "plan",
        "what": "Creator plan",
        "amount_cents": 4_900,
        "currency": "USD",
        "credits": 250_000,
        "card": "Visa •••• 4242",
    }


def test_a_recharge_is_told_by_mail_once_and_granted_when_confirmed(stage, webhooks, alice):
    payment = wait_in_recharge(stage, alice)
    pass_time(stage, hours=5)
    [message] = mail.outbox
    assert "$45.00 for your automatic recharge" in message.body
    assert Banner.objects.get(kind="payment.action_needed").closed_at is None
    assert not AutoRecharge.objects.get().stuck_at

    confirm(payment, stage)

    assert Recharge.objects.get().state == Recharge.State.GRANTED
    assert Banner.objects.get(kind="payment.action_needed").closed_at == stage.now()
    assert agree(alice) == 200_000
    assert AutoRecharge.objects.get().enabled


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("point", [State.REQUIRES_ACTION, State.CHARGED])
def test_a_worker_killed_around_the_confirmation_charges_and_grants_once(
    stage, alice, monkeypatch, point, moment
):
    real_move, deaths = processing._move, []

    def deadly(payment, state, **fields):
        if state == point and not deaths:
            deaths.append(moment)
            if moment == "after":
                real_move(payment, state, **fields)
            raise Killed
        real_move(payment, state, **fields)

    monkeypatch.setattr(processing, "_move", deadly)
    use(alice, CONFIRMED, stage)
    select(alice, "creator", stage.now())
    died = drain_killed(stage)
    stage.drain()
    payment = Payment.objects.get()
    answer_bank(stage, payment)
    payments.check_confirmation(payment, now=stage.now())
    died = drain_killed(stage) or died
    stage.drain()

    assert died
    assert charges() == [("3184", PAID)]
    assert agree(alice) == 250_000


# --- Not confirmed --------------------------------------------------------------------------------


def pass_a_week(stage) -> None:
    pass_time(stage, days=6, hours=23)
    assert Payment.objects.filter(state=State.REQUIRES_ACTION).exists()
    pass_time(stage, hours=1)


def test_a_plan_not_confirmed_within_a_week_does_not_begin(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    pass_a_week(stage)

    payment.refresh_from_db()
    assert (payment.state, payment.failure) == (
        State.FAILED,
        "It was not confirmed with your bank within 7 days.",
    )
    assert payment.settled_at == stage.now()
    assert Subscription.objects.get().state == "failed"
    assert charges() == [("3184", CANCELLED)]
    assert not confirm(payment, stage), "too late"
    assert not CreditGrant.objects.exists()


def test_a_renewal_not_confirmed_within_a_week_ends_the_plan_and_says_so(stage, alice):
    wait_in_renewal(stage, alice)
    pass_a_week(stage)

    row = Subscription.objects.get()
    failure = (
        "The payment for the next month failed: It was not confirmed with your bank within 7 days."
    )
    assert (row.state, row.failure) == ("ended", failure)
    assert charges()[1:] == [("3184", CANCELLED)]
    assert agree(alice) == 0


def test_a_recharge_not_confirmed_within_a_week_is_released_as_failed_and_auto_recharge_off(
    stage, webhooks, alice
):
    wait_in_recharge(stage, alice)
    pass_a_week(stage)
    stage.drain()

    row, setting = Recharge.objects.get(), AutoRecharge.objects.get()
    assert (row.state, row.failure) == (Recharge.State.FAILED, processing.NOT_CONFIRMED)
    assert (setting.enabled, setting.failure) == (False, processing.NOT_CONFIRMED)
    found = metronome.recharge_configuration(
        customer_id=alice.metronome_id, contract_id=alice.contract.metronome_id
    )
    assert not found.enabled
    assert charges() == [("3184", CANCELLED)]
    assert mail.outbox[-1].subject == "Your automatic recharge failed"
    assert balance(alice) == 20_000


def test_one_that_is_confirmed_at_the_last_moment_is_charged(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    stage.advance(days=6, hours=23, minutes=59)
    answer_bank(stage, payment)
    pass_time(stage, minutes=2)

    assert agree(alice) == 250_000


# --- Called off -----------------------------------------------------------------------------------


def test_a_plan_that_is_called_off_does_not_begin_and_another_may_be_chosen(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    with pytest.raises(choose.ChangeUnderWay, match="confirm it or call it off"):
        select(alice, "pro", stage.now(), key="form-2")

    payments.call_off(payment, failure="You called it off.", now=stage.now())
    stage.drain()

    assert Subscription.objects.get().failure == "The payment failed: You called it off."
    assert charges() == [("3184", CANCELLED)]
    use(alice, GOOD, stage)
    select(alice, "pro", stage.now(), key="form-2")
    stage.drain()
    assert agree(alice) == 1_000_000


def test_a_confirmation_that_comes_before_the_calling_off_wins(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    payments.call_off(payment, failure="You called it off.", now=stage.now())
    assert answer_bank(stage, payment)
    stage.drain()

    payment.refresh_from_db()
    assert (payment.state, payment.failure) == (State.CHARGED, "")
    assert agree(alice) == 250_000


@pytest.mark.parametrize("wanted", ["called off", "another card"])
def test_a_confirmation_between_looking_and_cancelling_wins(stage, alice, monkeypatch, wanted):
    payment = wait_for_confirmation(stage, alice)
    real = StripeGateway.cancel

    def overtaken(self, attempt):
        assert answer_bank(stage, payment)
        return real(self, attempt)

    monkeypatch.setattr(StripeGateway, "cancel", overtaken)
    if wanted == "called off":
        payments.call_off(payment, failure="You called it off.", now=stage.now())
    else:
        use(alice, GOOD, stage)
    stage.drain()

    assert charges() == [("3184", PAID)]
    assert agree(alice) == 250_000


@pytest.mark.parametrize("wanted", ["called off", "another card"])
def test_a_worker_killed_right_after_cancelling_goes_on(stage, alice, monkeypatch, wanted):
    payment = wait_for_confirmation(stage, alice)
    real, deaths = StripeGateway.cancel, []

    def deadly(self, attempt):
        charge = real(self, attempt)
        if not deaths:
            deaths.append(attempt)
            raise Killed
        return charge

    monkeypatch.setattr(StripeGateway, "cancel", deadly)
    if wanted == "called off":
        payments.call_off(payment, failure="You called it off.", now=stage.now())
    else:
        use(alice, GOOD, stage)

    assert drain_killed(stage)
    stage.drain()

    cancelled = [("3184", CANCELLED)]
    assert charges() == cancelled + ([] if wanted == "called off" else [("4242", PAID)])
    assert Payment.objects.get().state == (
        State.FAILED if wanted == "called off" else State.CHARGED
    )


def test_switching_auto_recharge_off_calls_its_payment_off(stage, webhooks, alice):
    wait_in_recharge(stage, alice)

    recharge.save_settings(
        customer=alice,
        enabled=False,
        threshold_credits=25_000,
        recharge_to_credits=200_000,
        now=stage.now(),
    )
    stage.drain()

    assert Recharge.objects.get().state == Recharge.State.FAILED
    assert charges() == [("3184", CANCELLED)]
    assert AutoRecharge.objects.get().failure == ""


def test_a_payment_nobody_waits_for_any_more_is_called_off(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    Subscription.objects.update(state="ended", ended_at=stage.now())
    pass_time(stage, hours=1)

    payment.refresh_from_db()
    assert (payment.state, payment.failure) == (State.FAILED, processing.NOBODY_WAITS)
    assert charges() == [("3184", CANCELLED)]


def test_while_a_renewal_waits_no_other_plan_begins_and_calling_it_off_ends_the_plan(stage, alice):
    renewal = wait_in_renewal(stage, alice)
    with pytest.raises(choose.ChangeUnderWay, match="call it off under Billing"):
        choose.cancel(customer=alice, now=stage.now())
    with pytest.raises(choose.ChangeUnderWay, match="call it off under Billing"):
        select(alice, "pro", stage.now(), key="form-2")

    payments.call_off(renewal, failure="You called it off.", now=stage.now())
    stage.drain()
    assert choose.current_plan(alice) is None
    select(alice, "pro", stage.now(), key="form-2")
    stage.drain()
    confirm(Payment.objects.get(amount_cents=14_900), stage)

    renewal.refresh_from_db()
    assert renewal.state == State.FAILED
    assert choose.current_plan(alice).plan == "pro"
    assert agree(alice) == 1_000_000


# --- Another card ---------------------------------------------------------------------------------


def test_another_card_is_charged_under_a_key_of_its_own_once_the_waiting_charge_is_cancelled(
    stage, alice
):
    payment = wait_for_confirmation(stage, alice)
    use(alice, GOOD, stage)
    stage.drain()

    keys = [stripe_stage.key_of(one) for one in stripe_stage.charges()]
    assert keys == [f"vocalis-payment-{payment.pk}-1", f"vocalis-payment-{payment.pk}-2"]
    assert charges() == [("3184", CANCELLED), ("4242", PAID)]
    assert agree(alice) == 250_000


def test_another_card_that_is_declined_ends_it(stage, alice):
    wait_for_confirmation(stage, alice)
    use(alice, DECLINED, stage)
    stage.drain()

    assert Subscription.objects.get().failure == "The payment failed: Your card was declined."
    assert charges() == [("3184", CANCELLED), ("0341", "requires_payment_method")]
    assert stripe_stage.charged() == []


def test_a_card_that_wants_a_confirmation_again_gets_no_more_time(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    stage.advance(days=6)
    use(alice, GOOD, stage)
    # before a worker came by: nothing is charged to the other one
    use(alice, CONFIRMED, stage)
    stage.drain()
    assert charges() == [("3184", CANCELLED), ("3184", WAITING)]

    payment.refresh_from_db()
    assert payment.confirm_by_at == stage.now() + timedelta(days=1)


def test_a_worker_that_was_overtaken_by_another_card_changes_nothing(stage, alice):
    wait_for_confirmation(stage, alice)
    Payment.objects.update(state=State.CHARGING)
    slow = Payment.objects.get()
    Payment.objects.update(attempt_number=2)

    with pytest.raises(processing.Snooze):
        processing.advance(slow, stage.now())

    assert Payment.objects.get().state == State.CHARGING


def test_a_worker_that_has_not_seen_the_calling_off_charges_no_other_card(stage, alice):
    payment = wait_for_confirmation(stage, alice)
    save_card(alice, GOOD, stage.now())
    slow = Payment.objects.get()
    payments.call_off(payment, failure="You called it off.", now=stage.now())

    with pytest.raises(processing.Snooze):
        processing.advance(slow, stage.now())
    stage.drain()

    assert Payment.objects.get().state == State.FAILED
    assert charges() == [("3184", CANCELLED)]


# --- The page -------------------------------------------------------------------------------------


@pytest.fixture
def page(client, alice, stage):
    """Alice's browser, on the clock of the stage."""
    client.force_login(alice.user)
    with time_machine.travel(stage.now(), tick=False):
        yield client


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def form_of(answer, name: str) -> str:
    return re.search(rf'action="(/billing/payments/[0-9a-f-]+/{name}/)"', answer.content.decode())[
        1
    ]


def test_the_page_asks_for_the_confirmation_leads_to_the_bank_and_back(page, stage, alice):
    payment = wait_for_confirmation(stage, alice)
    answer = page.get("/billing/")
    shown = text(answer)
    assert (
        "Your bank wants you to confirm the payment of $49.00 for your Creator plan. "
        "Nothing is charged" in shown
    )
    assert "To be confirmed" in shown
    assert "being set up" not in shown.replace("Creator being set up", "")
    assert b"data-pending" not in answer.content
    assert "Your bank wants you to confirm a payment." in text(page.get("/billing/plans/"))

    bank = page.post(form_of(answer, "confirm"))
    assert bank.status_code == 303
    with httpx.Client(transport=stage.stripe.transport()) as browser:
        assert "a payment of $49.00" in browser.get(bank.url).text
        assert stripe_stage.charged() == []
        back = browser.post(bank.url, data={"answer": "pass"}).headers["location"]
        assert browser.post(bank.url, data={"answer": "pass"}).status_code == 404, "once"
    assert urlsplit(back).path == f"/billing/payments/{payment.pk}/confirmed/"
    assert page.get(back.removeprefix("http://testserver")).url == "/billing/"
    assert "We are asking your bank about the payment of $49.00." in text(page.get("/billing/"))
    old = form_of(answer, "confirm")  # of another tab
    assert "There is nothing to confirm any more." in text(page.post(old, follow=True))
    stage.drain()

    assert agree(alice) == 250_000
    assert "Your bank wants" not in text(page.get("/billing/"))


def test_the_page_calls_a_payment_off(page, stage, alice):
    wait_for_confirmation(stage, alice)
    address = form_of(page.get("/billing/"), "call-off")

    assert "is being called off" in text(page.post(address, follow=True))
    assert "There is nothing to confirm any more." in text(page.post(address, follow=True))
    stage.drain()

    assert "The payment failed: You called it off." in text(page.get("/billing/"))


def test_choosing_another_card_on_the_page_pays_at_once(page, stage, alice):
    wait_for_confirmation(stage, alice)
    checkout = page.post("/billing/card/new/").url
    with httpx.Client(transport=stage.stripe.transport()) as browser:
        card = {"number": GOOD, "expiry": "04 / 40", "cvc": "123", "name": "Alice"}
        back = browser.post(checkout, data=card).headers["location"]
    page.get(back.removeprefix("http://testserver"))
    stage.drain()
    assert charges() == [("3184", CANCELLED), ("4242", PAID)]

    assert agree(alice) == 250_000


@pytest.mark.parametrize("name", ["confirm", "call-off"])
def test_nobody_confirms_or_calls_off_what_is_another_customers(page, stage, alice, bob, name):
    payment = wait_for_confirmation(stage, bob)

    assert page.post(f"/billing/payments/{payment.pk}/{name}/").status_code == 404

    assert charges() == [("3184", WAITING)]
    payment.refresh_from_db()
    assert payment.failure == ""
    assert "Your bank wants" not in text(page.get("/billing/"))


def test_what_waits_for_the_customer_is_not_called_late(stage, webhooks, alice):
    wait_for_confirmation(stage, alice)
    other = make_customer("carol@example.com", "Carol")
    wait_in_recharge(stage, other)
    for customer in (alice, other):
        assert delays.late(customer, now=stage.now() + timedelta(days=1)) == {}

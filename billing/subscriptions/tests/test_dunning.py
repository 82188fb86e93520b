"""A renewal that is declined: tried three times, paid late, or the end of the plan."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import Payment, PaymentMethod, Subscription
from billing.payments.gateways.stripe.charges import StripeGateway
from billing.payments.requests import check_confirmation
from billing.subscriptions import choose, dunning, status
from billing.subscriptions.periods import months_after
from billing.tests.money_stage import Killed, agree, drain_killed, pass_time, select
from billing.tests.stripe_stage import (
    CONFIRMED,
    DECLINED,
    GOOD,
    answer_bank,
    charged,
    charges,
    decline_next,
    save_card,
)

pytestmark = pytest.mark.django_db
Decline = Payment.Decline
OTHER_DECLINED = "4000008260003178"  # at every charge too, once it is saved
CODES = {Decline.NEVER: "lost_card", Decline.NEW_CARD: "expired_card"}


@pytest.fixture
def declines(stage, monkeypatch):
    """What the bad cards' declines say, and all keys that were tried with any card."""
    says, tried = {"decline": Decline.LATER}, []
    real = StripeGateway.charge

    def charge(self, attempt):
        tried.append((attempt.key, attempt.method_reference))
        if attempt.label[-4:] in (DECLINED[-4:], OTHER_DECLINED[-4:]):
            decline_next(stage, CODES.get(says["decline"], "generic_decline"))
        return real(self, attempt)

    monkeypatch.setattr(StripeGateway, "charge", charge)
    says["tried"] = tried
    return says


@pytest.fixture
def told(monkeypatch):
    """What customers are told, once for each key."""
    events = {}

    def emit(customer_id, kind, key, data, now):
        events.setdefault((kind, key), data)

    for module in (dunning, choose):
        monkeypatch.setattr(module, "emit", emit)
    return events


def use(customer, card, stage) -> None:
    save_card(customer, card, stage.now())


def until(stage, moment) -> None:
    pass_time(stage, seconds=(moment - stage.now()).total_seconds())


def decline_renewal(stage, customer) -> Subscription:
    """A month of a plan is over, and the card is declined."""
    row = select(customer, "creator", stage.now())
    stage.drain()
    use(customer, DECLINED, stage)
    row.refresh_from_db()
    until(stage, row.period_end_at)
    row.refresh_from_db()
    return row


def test_it_is_tried_at_the_end_three_and_seven_days_later_and_then_the_plan_ends(
    stage, alice, declines, told
):
    row = decline_renewal(stage, alice)
    end_at = row.period_end_at
    assert (row.state, row.past_due_at, row.tries) == ("active", end_at, 1)
    moments = [(len(declines["tried"]), 0)]
    for hours in range(4, 8 * 24, 4):
        before = len(declines["tried"])
        until(stage, end_at + timedelta(hours=hours))
        if len(declines["tried"]) > before:
            moments.append((len(declines["tried"]), hours))

    assert moments == [(2, 0), (3, 72), (4, 168)]
    row.refresh_from_db()
    payment = Payment.objects.get(period=1)
    name = f"vocalis-payment-{payment.pk}"
    assert [key for key, _ in declines["tried"][1:]] == [f"{name}-{number}" for number in (1, 2, 3)]
    assert (row.state, row.ended_at) == ("ended", end_at + timedelta(days=7))
    assert row.failure == "The payment for the next month failed: Your card was declined."
    rows = [
        (data["attempt"], data["next_attempt_at"])
        for (kind, _), data in told.items()
        if kind == "renewal.declined"
    ]
    assert rows == [
        (1, (end_at + timedelta(days=3)).isoformat()),
        (2, (end_at + timedelta(days=7)).isoformat()),
        (3, None),
    ]
    assert told["plan.ended", str(row.pk)] == {"plan": "creator", "reason": "declined"}
    assert agree(alice) == 0


@pytest.mark.parametrize("days", [1, 5])
def test_paid_late_the_period_keeps_its_dates(stage, alice, declines, days):
    row = decline_renewal(stage, alice)
    end_at = row.period_end_at
    pass_time(stage, days=days)

    use(alice, GOOD, stage)
    stage.drain()

    row.refresh_from_db()
    assert (row.period, row.period_start_at) == (1, end_at)
    assert row.period_end_at == months_after(row.anchor_at, 2)
    assert (row.past_due_at, row.tries) == (None, 0)
    assert agree(alice) == 250_000
    paid = charged()
    assert list(paid) == [4_900, 4_900]


@pytest.mark.parametrize("decline", [Decline.NEVER, Decline.NEW_CARD])
def test_a_card_that_must_not_be_charged_again_is_not_tried_again(
    stage, alice, declines, told, decline
):
    declines["decline"] = decline
    row = decline_renewal(stage, alice)
    tried = len(declines["tried"])
    use(alice, OTHER_DECLINED, stage)
    stage.drain()
    assert len(declines["tried"]) == tried + 1, "another card is tried at once"
    for card in (DECLINED, OTHER_DECLINED):
        use(alice, card, stage)
        stage.drain()
        with pytest.raises(dunning.CardRefused):
            dunning.pay_now(customer=alice, tried=2, now=stage.now())

    for _ in range(8):
        pass_time(stage, days=1)

    row.refresh_from_db()
    assert len(declines["tried"]) == tried + 1
    assert row.state == "ended"
    assert len([kind for kind, _ in told if kind == "renewal.declined"]) == 2


def test_the_same_card_saved_anew_is_no_other_card(stage, alice, declines):
    declines["decline"] = Decline.NEVER
    decline_renewal(stage, alice)
    before = PaymentMethod.objects.get()
    use(alice, DECLINED, stage)
    again = PaymentMethod.objects.get()
    assert (again.reference == before.reference, again.fingerprint) == (False, before.fingerprint)
    stage.drain()
    assert Payment.objects.get(period=1).attempt_number == 1


def test_a_card_that_was_refused_is_not_charged_by_going_back_to_it(stage, alice, declines):
    declines["decline"] = Decline.NEVER
    decline_renewal(stage, alice)
    use(alice, CONFIRMED, stage)
    stage.drain()
    payment = Payment.objects.get(period=1)
    assert payment.state == "requires_action"
    use(alice, DECLINED, stage)
    stage.drain()
    payment.refresh_from_db()
    assert payment.state == "requires_action", "the bank may still confirm the other one"

    Payment.objects.filter(pk=payment.pk).update(state="charging", attempt_number=6)
    tried = len(declines["tried"])
    Payment.objects.filter(pk=payment.pk).run_now(stage.now())
    stage.drain()
    payment.refresh_from_db()
    assert (payment.failure, len(declines["tried"])) == ("This card cannot be charged.", tried)


def test_pay_now_is_one_try_however_often_it_is_pressed(stage, alice, declines):
    decline_renewal(stage, alice)
    for _ in range(2):
        dunning.pay_now(customer=alice, tried=1, now=stage.now())
    stage.drain()
    dunning.pay_now(customer=alice, tried=1, now=stage.now())
    stage.drain()

    assert Payment.objects.get(period=1).attempt_number == 2


def test_pay_now_stops_before_the_card_is_tried_too_often(stage, alice, declines):
    decline_renewal(stage, alice)
    for number in range(dunning.ASKED_TRIES_MAX):
        dunning.pay_now(customer=alice, tried=number + 1, now=stage.now())
        stage.drain()
    with pytest.raises(dunning.TriedTooOften):
        dunning.pay_now(customer=alice, tried=dunning.ASKED_TRIES_MAX + 1, now=stage.now())


def test_nothing_is_due_of_a_plan_that_is_paid(stage, alice):
    select(alice, "creator", stage.now())
    stage.drain()
    with pytest.raises(dunning.NothingDue):
        dunning.pay_now(customer=alice, tried=1, now=stage.now())


def test_a_worker_that_was_away_tries_once_and_counts_from_then(stage, alice, declines):
    row = select(alice, "creator", stage.now())
    stage.drain()
    use(alice, DECLINED, stage)
    pass_time(stage, days=40)
    stage.drain()

    row.refresh_from_db()
    assert (row.past_due_at, row.tries) == (stage.now(), 1)
    assert len(declines["tried"]) == 2
    assert dunning.ends_at(row) == stage.now() + timedelta(days=7)


def test_two_moments_that_passed_without_a_worker_are_one_try(stage, alice, declines):
    decline_renewal(stage, alice)
    pass_time(stage, days=9)
    stage.drain()
    assert len(declines["tried"]) == 3
    assert Subscription.objects.get().state == "ended"


def test_a_confirmation_within_seven_days_pays_the_same_charge_and_nothing_is_tried(
    stage, alice, declines
):
    row = decline_renewal(stage, alice)
    use(alice, CONFIRMED, stage)
    stage.drain()
    tried = len(declines["tried"])
    pass_time(stage, days=6)
    payment = Payment.objects.get(period=1)
    assert (payment.state, len(declines["tried"])) == ("requires_action", tried)
    assert status.shown(alice, stage.now()).state == "past_due"

    answer_bank(stage, payment)
    check_confirmation(payment, now=stage.now())
    stage.drain()

    row.refresh_from_db()
    assert (row.period, row.past_due_at) == (1, None)
    assert [one["status"] for one in charges()].count("succeeded") == len(charged()) == 2


def test_a_cancelled_plan_that_is_past_due_ends_at_once_and_is_not_tried(stage, alice, declines):
    decline_renewal(stage, alice)
    ended = choose.cancel(customer=alice, now=stage.now())
    assert not choose.current_plan(alice)
    tried = len(declines["tried"])
    for _ in range(8):
        pass_time(stage, days=1)
    assert len(declines["tried"]) == tried and ended.pk


def test_another_plan_begins_at_once_and_the_past_due_payment_is_tried_no_more(
    stage, alice, declines
):
    decline_renewal(stage, alice)
    use(alice, GOOD, stage)
    Payment.objects.filter(period=1).update(declined_card=PaymentMethod.objects.get().fingerprint)
    pro = select(alice, "pro", stage.now(), key="up")
    with pytest.raises(choose.ChangeUnderWay):
        dunning.pay_now(customer=alice, tried=1, now=stage.now())
    stage.drain()
    for _ in range(9):
        pass_time(stage, days=1)

    pro.refresh_from_db()
    assert (pro.state, pro.due_cents, pro.paid_back_cents) == ("active", 14_900, 0)
    amounts = charged()
    assert list(amounts) == [4_900, 14_900]


@pytest.mark.parametrize("step", ["try_again", "charge_name"])
def test_a_worker_killed_while_it_decides_tries_once(stage, alice, declines, monkeypatch, step):
    decline_renewal(stage, alice)
    real, owner = getattr(dunning.payments, step), dunning.payments

    def deadly(*arguments, **named):
        monkeypatch.setattr(owner, step, real)
        real(*arguments, **named)
        raise Killed

    stage.advance(days=3)
    monkeypatch.setattr(owner, step, deadly)
    assert drain_killed(stage)
    stage.drain()

    assert Payment.objects.get(period=1).attempt_number == 2
    assert Subscription.objects.get().tries == 2


def test_a_declined_trial_of_another_card_is_told_too(stage, alice, declines, told):
    decline_renewal(stage, alice)
    use(alice, OTHER_DECLINED, stage)
    stage.drain()
    attempts = [data["attempt"] for (kind, _), data in told.items() if kind == "renewal.declined"]
    assert attempts == [1, 2]

"""What the worker makes of a chosen plan, period after period."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail

from billing import hours, metronome, plans
from billing.models import CreditGrant, Drift, Payment, Subscription
from billing.subscriptions import choose as subscriptions
from billing.subscriptions import renew
from billing.subscriptions.periods import months_after
from billing.sync import contracts
from billing.tests.money_stage import Killed, agree, drain_killed, pass_time, refuse, select
from billing.tests.stripe_stage import DECLINED, GOOD, charged, save_card

pytestmark = pytest.mark.django_db


# --- The first period -----------------------------------------------------------------------------


def test_the_trial_grants_its_credits_for_fourteen_days(stage, alice):
    subscription = select(alice, "trial", stage.now())
    stage.drain()

    subscription.refresh_from_db()
    assert agree(alice) == 50_000
    assert subscription.state == "active"
    assert subscriptions.current_plan(alice) == subscription
    assert subscription.period_end_at - subscription.period_start_at == timedelta(days=14)
    assert not Payment.objects.exists()
    grant = CreditGrant.objects.get()
    assert (grant.key, grant.is_free, grant.priority) == (
        f"vocalis-trial-{alice.pk}",
        True,
        plans.PRIORITY_PLAN,
    )


def test_a_second_try_after_a_lost_answer_gives_the_period_of_the_first(stage, alice):
    subscription = select(alice, "trial", stage.now())
    stage.sandbox.faults.add("/v2/contracts/edit", "timeout_after")
    stage.drain()
    subscription.refresh_from_db()
    asked_at = subscription.anchor_at
    assert subscription.state == "requested" and asked_at

    pass_time(stage, hours=2)

    subscription.refresh_from_db()
    assert (subscription.state, subscription.anchor_at, subscription.period_start_at) == (
        "active",
        asked_at,
        asked_at,
    )
    assert agree(alice) == 50_000


@pytest.mark.parametrize(
    ("minutes", "state", "credits"), [(50, "active", 50_000), (90, "ended", 0)]
)
def test_a_plan_ends_with_its_credits_if_their_grant_was_heard_of_too_late(
    stage, alice, caplog, minutes, state, credits
):
    """The answer got lost, and then there was no worker for all of the period; its last hour counts
    to its end.
    """
    stage.advance(minutes=65 - stage.now().minute)
    subscription = select(alice, "trial", stage.now())
    stage.sandbox.faults.add("/v2/contracts/edit", "timeout_after")
    stage.drain()

    pass_time(stage, days=14, minutes=minutes)

    subscription.refresh_from_db()
    grant = CreditGrant.objects.get(wallet__customer=alice)
    assert (subscription.state, subscription.period_end_at) == (state, grant.ends_at)
    assert grant.ends_at == hours.ceil_hour(subscription.anchor_at + timedelta(days=14))
    assert ("had ended before we learned of their grant" in caplog.text) == (state == "ended")
    assert agree(alice) == credits


@pytest.mark.parametrize(
    ("plan", "credits", "cents"), [("creator", 250_000, 4_900), ("pro", 1_000_000, 14_900)]
)
def test_a_paid_plan_is_charged_once_and_then_granted(stage, alice, plan, credits, cents):
    subscription = select(alice, plan, stage.now())
    stage.drain()

    subscription.refresh_from_db()
    payment = Payment.objects.get()
    assert agree(alice) == credits
    assert (payment.state, payment.amount_cents, charged()) == ("charged", cents, [cents])
    assert (payment.due_at, payment.settled_at) == (None, stage.now())
    assert payment.grant.granted == credits
    assert subscription.period_end_at == months_after(subscription.anchor_at, 1)


def test_a_plan_chosen_before_the_customer_is_known_waits(stage, alice):
    stage.sandbox.faults.add("*", "status", status=503, times=None)
    subscription = select(alice, "trial", stage.now())
    for _ in range(5):
        pass_time(stage, seconds=30)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.attempts, subscription.dead_at) == (
        "requested",
        0,
        None,
    )

    stage.sandbox.faults.clear()
    for _ in range(3):
        pass_time(stage, minutes=2)
    assert agree(alice) == 50_000


@pytest.mark.parametrize("plan", ["trial", "creator"])
@pytest.mark.parametrize("call", ["create_contract", "add_grant"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_on_the_way_grants_once(stage, alice, monkeypatch, plan, call, when):
    real = getattr(metronome, call)

    def deadly(**arguments):
        monkeypatch.setattr(metronome, call, real)
        if when == "after":
            real(**arguments)
        raise Killed

    monkeypatch.setattr(metronome, call, deadly)
    select(alice, plan, stage.now())
    assert drain_killed(stage)
    stage.drain()
    pass_time(stage, minutes=3)

    assert agree(alice) == plans.PLANS[plan].credits
    assert CreditGrant.objects.count() == 1
    assert len(charged()) == (plan == "creator")


@pytest.mark.parametrize("step", ["mark_granted", "_begin_period", "wake_streams"])
def test_a_worker_killed_between_its_own_writes_grants_once(stage, alice, monkeypatch, step):
    owner = renew.payments if step == "mark_granted" else renew
    real = getattr(owner, step)

    def deadly(*arguments, **named):
        monkeypatch.setattr(owner, step, real)
        raise Killed

    monkeypatch.setattr(owner, step, deadly)
    subscription = select(alice, "creator", stage.now())
    assert drain_killed(stage)
    stage.drain()

    subscription.refresh_from_db()
    assert agree(alice) == 250_000
    assert subscription.state == "active" and not Payment.objects.open().exists()
    assert subscription.period_end_at == months_after(subscription.anchor_at, 1)


def test_a_month_begins_when_it_was_first_tried_to_grant_it(stage, alice, monkeypatch):
    real = metronome.add_grant
    monkeypatch.setattr(metronome, "add_grant", refuse(metronome.MetronomeUnavailable("down")))
    subscription = select(alice, "creator", stage.now())
    stage.drain()
    first_at = stage.now()
    monkeypatch.setattr(metronome, "add_grant", real)
    pass_time(stage, days=2)

    subscription.refresh_from_db()
    assert agree(alice) == 250_000
    assert subscription.anchor_at == subscription.period_start_at == first_at
    assert subscription.period_end_at == months_after(first_at, 1)


@pytest.mark.parametrize("kind", ["timeout_after", "error_after", "timeout_before"])
def test_lost_answers_grant_once(stage, alice, kind):
    stage.sandbox.faults.add("*", kind, every=3, times=6)
    select(alice, "creator", stage.now())
    for _ in range(12):
        pass_time(stage, minutes=2)
    assert agree(alice) == 250_000
    assert len(charged()) == CreditGrant.objects.count() == 1


def test_a_declined_card_fails_the_choice_and_another_may_follow(stage, alice):
    save_card(alice, DECLINED, stage.now())
    subscription = select(alice, "creator", stage.now())
    stage.drain()

    subscription.refresh_from_db()
    assert subscription.state == "failed"
    assert subscription.failure.startswith("The payment failed:")
    assert not mail.outbox  # they see it on the page they are on
    assert not CreditGrant.objects.exists()

    save_card(alice, GOOD, stage.now())
    again = select(alice, "creator", stage.now(), key="form-2")
    stage.drain()
    again.refresh_from_db()
    assert (again.state, agree(alice)) == ("active", 250_000)


@pytest.mark.parametrize("state", ["refunding", "refunded"])
def test_what_was_given_back_is_not_granted(stage, alice, state):
    select(alice, "creator", stage.now())
    Payment.objects.update(state=state)
    Subscription.objects.all().run_now(stage.now())
    renew.ADVANCE.run(stage.now())

    assert "waiting for the payment" in Subscription.objects.get().last_error
    assert not CreditGrant.objects.exists()


def test_a_refused_grant_keeps_the_choice_for_a_person(stage, alice, monkeypatch):
    def refuse(*args, **kwargs):
        raise metronome.MetronomeRejected("no such product")

    real = contracts.grant
    monkeypatch.setattr(contracts, "grant", refuse)
    subscription = select(alice, "creator", stage.now())
    stage.drain()
    subscription.refresh_from_db()
    assert subscription.state == "requested"
    assert subscription.dead_at == stage.now()

    monkeypatch.setattr(contracts, "grant", real)
    Subscription.objects.filter(pk=subscription.pk).run_now(stage.now())
    stage.drain()
    assert agree(alice) == 250_000
    assert Payment.objects.get().grant.granted == 250_000


# --- Period after period --------------------------------------------------------------------------


def test_the_trial_ends_and_its_credits_with_it(stage, alice):
    subscription = select(alice, "trial", stage.now())
    stage.drain()
    pass_time(stage, days=14, hours=1)

    subscription.refresh_from_db()
    assert (subscription.state, subscription.failure, subscription.due_at) == ("ended", "", None)
    assert subscription.ended_at == stage.now()
    assert agree(alice) == 0
    assert subscriptions.current_plan(alice) is None


def test_a_monthly_plan_renews_for_a_year(stage, alice):
    subscription = select(alice, "creator", stage.now())
    stage.drain()
    subscription.refresh_from_db()
    anchor_at = subscription.anchor_at
    for month in range(1, 13):
        pass_time(stage, seconds=(months_after(anchor_at, month) - stage.now()).total_seconds())
        pass_time(stage, hours=1)
        subscription.refresh_from_db()
        assert (subscription.period, subscription.state) == (month, "active")
        assert subscription.period_end_at == months_after(anchor_at, month + 1)
        assert agree(alice) == 250_000

    assert Payment.objects.exclude(grant=None).count() == len(charged()) == 13
    assert metronome.find_contract(customer_id=alice.metronome_id, name=f"vocalis:{alice.pk}")
    assert (
        len(list(metronome.client.client().v2.contracts.list(customer_id=alice.metronome_id))) == 1
    )
    assert not Drift.objects.filter(state="open").exists()


def test_months_without_a_worker_are_not_charged(stage, alice):
    subscription = select(alice, "creator", stage.now())
    stage.drain()
    pass_time(stage, days=100)

    subscription.refresh_from_db()
    assert subscription.period == 3
    assert subscription.period_start_at <= stage.now() < subscription.period_end_at
    assert Payment.objects.count() == 2
    assert agree(alice) == 250_000


def test_money_taken_for_a_month_that_passed_still_buys_a_month(stage, alice, monkeypatch):
    subscription = select(alice, "creator", stage.now())
    stage.drain()
    stage.advance(days=32)
    stage.sandbox.faults.add("/v2/contracts/edit", "status", status=503, times=None)
    stage.drain()
    assert Payment.objects.filter(state="charged", grant=None).count() == 1
    for _ in range(40):
        stage.advance(days=1)
    stage.sandbox.faults.clear()
    for _ in range(3):
        pass_time(stage, minutes=3)

    subscription.refresh_from_db()
    assert agree(alice) == 250_000
    assert subscription.period_end_at > stage.now() + timedelta(days=27)
    assert not Payment.objects.open().exists()


def test_changing_plans_ends_the_former_and_keeps_its_credits(stage, alice):
    trial = select(alice, "trial", stage.now())
    stage.drain()
    pass_time(stage, days=3)
    pro = select(alice, "pro", stage.now(), key="form-2")
    stage.drain()

    trial.refresh_from_db()
    assert (trial.state, trial.due_at) == ("ended", None)
    assert subscriptions.current_plan(alice) == pro
    assert agree(alice) == 1_050_000
    pass_time(stage, days=12)
    assert agree(alice) == 1_000_000


def test_a_change_at_the_end_of_a_month_is_not_charged_twice(stage, alice):
    creator = select(alice, "creator", stage.now())
    stage.drain()
    stage.advance(days=31)
    select(alice, "pro", stage.now(), key="form-2")
    for _ in range(4):
        stage.drain()
        stage.advance(seconds=30)

    creator.refresh_from_db()
    assert creator.state == "ended"
    assert subscriptions.current_plan(alice).plan == "pro"
    assert sorted(Payment.objects.values_list("amount_cents", flat=True)) == [4_900, 14_900]


def test_a_renewal_that_is_paid_is_granted_before_another_plan_can_be_chosen(stage, alice):
    creator = select(alice, "creator", stage.now())
    stage.drain()
    stage.advance(days=31)
    stage.sandbox.faults.add("/v2/contracts/edit", "status", status=503, times=None)
    stage.drain()
    assert Payment.objects.get(period=1).state == "charged"
    with pytest.raises(subscriptions.ChangeUnderWay):
        select(alice, "pro", stage.now(), key="form-2")
    stage.sandbox.faults.clear()
    for _ in range(3):
        pass_time(stage, minutes=2)
    creator.refresh_from_db()
    assert (creator.period, agree(alice)) == (1, 250_000)

    select(alice, "pro", stage.now(), key="form-2")
    stage.drain()

    assert subscriptions.current_plan(alice).plan == "pro"
    assert Payment.objects.exclude(grant=None).count() == 3 and not Payment.objects.open().exists()
    assert Payment.objects.latest("created_at").amount_cents < 14_900

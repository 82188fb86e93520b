"""Choosing a plan, and ending it."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
from django.db import connection

from billing.models import Payment, Subscription
from billing.subscriptions import choose as subscriptions
from billing.subscriptions.choose import ChangeUnderWay, NotSelectable, TrialUsed
from billing.tests.money_stage import agree, pass_time, select

pytestmark = pytest.mark.django_db


def test_the_same_form_twice_is_one_choice(stage, alice):
    first = select(alice, "creator", stage.now())
    stage.drain()
    assert select(alice, "creator", stage.now()) == first
    assert Subscription.objects.count() == Payment.objects.count() == 1


def test_the_live_plan_chosen_in_another_tab_is_one_choice(stage, alice):
    def tab(number):
        return subscriptions.select_plan(
            customer=alice, plan="trial", key=f"tab {number}", now=stage.now()
        )

    first = tab(1)
    assert tab(2) == first
    stage.drain()
    assert tab(3) == first
    stage.drain()
    assert agree(alice) == 50_000


def test_a_second_choice_waits_for_the_first(stage, alice):
    select(alice, "creator", stage.now())
    with pytest.raises(ChangeUnderWay, match="Creator"):
        select(alice, "pro", stage.now())
    assert Payment.objects.count() == 1


def test_the_trial_is_for_once_in_a_life(stage, alice, bob):
    select(alice, "trial", stage.now())
    stage.drain()
    pass_time(stage, days=15)
    with pytest.raises(TrialUsed):
        select(alice, "trial", stage.now(), key="again")
    assert select(bob, "trial", stage.now()).customer == bob


def test_a_paid_plan_is_not_swapped_for_the_trial(stage, alice):
    select(alice, "creator", stage.now())
    stage.drain()
    with pytest.raises(NotSelectable):
        select(alice, "trial", stage.now())


@pytest.mark.parametrize("plan", ["enterprise", "gold", "", "Trial"])
def test_what_is_no_plan_to_choose_is_refused(now, alice, card, plan):
    with pytest.raises(NotSelectable):
        select(alice, plan, now)
    assert not Subscription.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_tabs_at_once_give_one_subscription_and_one_payment(alice, card, now):
    barrier, results = Barrier(6), []

    def click(number):
        try:
            barrier.wait()
            results.append(
                select(alice, ("creator", "pro")[number % 2], now, key=f"tab {number}").plan
            )
        except ChangeUnderWay:
            results.append(None)
        finally:
            connection.close()

    threads = [Thread(target=click, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 6
    assert Subscription.objects.count() == Payment.objects.count() == 1


def test_ending_a_plan_stops_the_charges_and_leaves_it_until_its_period_ends(stage, alice):
    select(alice, "creator", stage.now())
    stage.drain()

    for _ in range(2):
        ended = subscriptions.cancel(customer=alice, now=stage.now())
        assert (ended.state, ended.next_plan) == ("active", "none")

    stage.drain()
    assert agree(alice) == 250_000
    pass_time(stage, days=40)
    ended.refresh_from_db()
    assert (ended.state, ended.due_at, ended.failure) == ("ended", None, "")
    assert Payment.objects.count() == 1
    assert agree(alice) == 0
    assert subscriptions.cancel(customer=alice, now=stage.now()) is None


def test_the_trial_ends_by_itself_and_cancelling_changes_nothing(stage, alice):
    select(alice, "trial", stage.now())
    stage.drain()
    row = subscriptions.cancel(customer=alice, now=stage.now())
    assert (row.state, row.next_plan) == ("active", "")


def test_a_plan_can_be_ended_at_once_for_an_account_that_is_closed(stage, alice):
    row = select(alice, "creator", stage.now())
    stage.drain()
    subscriptions.end_now(customer=alice, now=stage.now())
    row.refresh_from_db()
    assert (row.state, row.due_at) == ("ended", None)
    assert agree(alice) == 250_000


def test_a_plan_that_is_being_renewed_is_not_ended_meanwhile(stage, alice):
    select(alice, "creator", stage.now())
    stage.drain()
    current = subscriptions.current_plan(alice)
    subscriptions.payments.request_plan_payment(
        subscription=current, period=1, amount_cents=4_900, now=stage.now()
    )
    with pytest.raises(ChangeUnderWay):
        subscriptions.cancel(customer=alice, now=stage.now())

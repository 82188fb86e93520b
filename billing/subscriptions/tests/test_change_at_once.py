"""Changes of plan beside each other, beside renewals and beside requests, in threads."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection

from billing import ledger, plans
from billing.models import CreditGrant, Payment, Reservation, Subscription, Wallet
from billing.subscriptions import change, choose, dunning, renew
from conftest import fund
from jobs.errors import Snooze

pytestmark = pytest.mark.django_db(transaction=True)
CREDITS = 1_000_000


@pytest.fixture(autouse=True)
def studio(monkeypatch):
    dearest = replace(plans.PLANS["pro"], key="studio", name="Studio", price_cents=39_900)
    monkeypatch.setitem(plans.PLANS, "studio", dearest)


def begin(customer, now, *, days_left: float = 20) -> Subscription:
    """Pro in the middle of its period, with all its credits."""
    ends_at = now + timedelta(days=days_left)
    row = Subscription.objects.create(
        customer=customer,
        plan="pro",
        state="active",
        key="begun",
        anchor_at=ends_at - timedelta(days=30),
        period_start_at=ends_at - timedelta(days=30),
        period_end_at=ends_at,
        created_at=now,
    )
    fund(customer, CREDITS, now=now)
    CreditGrant.objects.update(key=change.grant_key(row, 0))
    return row


def at_once(*acts) -> list[object]:
    """What each act returned or raised, all begun in the same moment."""
    barrier, results = Barrier(len(acts)), [None] * len(acts)

    def run(number, act):
        try:
            barrier.wait()
            results[number] = act()
        except (choose.PlanRefused, Snooze, ledger.InsufficientCredits) as refused:
            results[number] = refused
        finally:
            connection.close()

    threads = [Thread(target=run, args=[number, act]) for number, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def chooser(customer, plan, key, now):
    shown = choose.preview_plan(customer=customer, plan=plan, now=now).shown
    return lambda: choose.select_plan(customer=customer, plan=plan, key=key, now=now, shown=shown)


def test_two_tabs_that_go_up_and_down_are_one_change_and_take_back_once(alice, card, now):
    begin(alice, now)
    acts = [chooser(alice, "studio", f"up {n}", now) for n in range(3)]
    acts += [chooser(alice, "creator", f"down {n}", now) for n in range(3)]

    at_once(*acts)

    row = Subscription.objects.get(state="requested")
    assert row.plan == "studio"
    assert row.taken_back_credits == 666_667
    assert Wallet.objects.get(customer=alice).balance == CREDITS - row.taken_back_credits


def test_an_upgrade_and_a_renewal_do_not_both_happen(alice, now):
    for number in range(4):
        Payment.objects.all().delete()
        Subscription.objects.filter(state="requested").delete()
        former = Subscription.objects.first() or begin(alice, now, days_left=-0.01)
        up = chooser(alice, "studio", f"up {number}", now)
        at_once(up, lambda former=former: renew.advance(former, now))

        renewed = Payment.objects.filter(subscription=former, period=1).exists()
        requested = Subscription.objects.filter(state="requested").exists()
        assert renewed != requested


def test_a_plan_is_not_ended_while_its_next_month_is_charged(alice, now):
    row = begin(alice, now, days_left=-0.01)
    at_once(
        lambda: choose.cancel(customer=alice, now=now),
        lambda: renew.advance(row, now),
    )
    row.refresh_from_db()
    assert Payment.objects.filter(period=1).exists() != (row.state == "ended")


def test_pay_now_and_the_worker_are_one_try(alice, card, now):
    row = begin(alice, now, days_left=-3)
    Subscription.objects.update(past_due_at=row.period_end_at, tries=1)
    payment = choose.payments.request_plan_payment(
        subscription=row, period=1, amount_cents=14_900, now=now
    )
    Payment.objects.update(state="failed", decline="later", declined_card=card.fingerprint)
    payment.refresh_from_db()
    row.refresh_from_db()

    def press():
        dunning.pay_now(customer=alice, tried=1, now=now)

    at_once(press, press, lambda: dunning.follow(row, payment, now))

    payment.refresh_from_db()
    assert (payment.state, payment.attempt_number) == ("initiated", 2)


def test_credits_reserved_in_the_moment_of_an_upgrade_are_not_taken_back(alice, card, now):
    begin(alice, now)
    wallet = Wallet.objects.get(customer=alice)

    def reserver(number):
        return lambda: ledger.reserve(
            wallet_id=wallet.pk, key=f"speech {number}", amount=70_000, now=now
        )

    results = at_once(
        chooser(alice, "studio", "up", now), *[reserver(number) for number in range(12)]
    )

    wallet.refresh_from_db()
    reserved = sum(Reservation.objects.open().values_list("amount", flat=True))
    grant = CreditGrant.objects.get()
    assert wallet.reserved == reserved <= wallet.balance == grant.remaining
    assert isinstance(results[0], Subscription | choose.NotAgreed)
    taken = 0 if isinstance(results[0], choose.NotAgreed) else 666_667
    assert wallet.balance == CREDITS - taken

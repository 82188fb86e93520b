"""Who may have the trial, what is told before its end, and what is off the first month then."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection

from accounts.models import User
from billing import plans
from billing.models import Subscription, TrialClaim
from billing.subscriptions import offers, reminders
from billing.subscriptions.choose import NotSelectable, PlanRefused
from billing.tests.money_stage import pass_time, select
from conftest import make_customer
from mails.models import OutboundMail

pytestmark = pytest.mark.django_db


def subscribe(customer, plan, now, *, ends_at=None, state="active"):
    return Subscription.objects.create(
        customer=customer,
        plan=plan,
        key=f"{plan}-{state}",
        state=state,
        created_at=now,
        anchor_at=now,
        period_start_at=now,
        period_end_at=ends_at,
    )


def test_the_trial_is_for_confirmed_addresses(alice, now, settings):
    settings.TRIAL_NEEDS_CONFIRMATION = True
    with pytest.raises(NotSelectable, match="Confirm your e-mail address first.*alice@example.com"):
        select(alice, "trial", now)
    assert not Subscription.objects.exists() and not TrialClaim.objects.exists()

    User.objects.update(email_confirmed_at=now)
    assert select(alice, "trial", now).plan == "trial"


def test_under_development_it_needs_no_confirmation(alice, now, settings):
    settings.TRIAL_NEEDS_CONFIRMATION = False
    assert select(alice, "trial", now).plan == "trial"


def test_a_paid_plan_needs_no_confirmation(stage, alice, settings):
    settings.TRIAL_NEEDS_CONFIRMATION = True
    assert select(alice, "creator", stage.now()).plan == "creator"


@pytest.mark.parametrize("email", ["alice+2@example.com", "alice@ｅｘａｍｐｌｅ.com"])
def test_one_mailbox_has_one_trial(alice, now, email):
    select(alice, "trial", now)
    again = make_customer("other@example.com", "A")
    User.objects.filter(pk=again.user_id).update(email=email)

    with pytest.raises(NotSelectable, match="this mailbox"):
        select(again, "trial", now)
    assert Subscription.objects.filter(plan="trial").count() == 1


def test_a_mailbox_stays_used_when_its_account_moves_on(alice, now):
    select(alice, "trial", now)
    User.objects.filter(pk=alice.user_id).update(email="elsewhere@example.com")
    again = make_customer("alice@example.org", "A")
    User.objects.filter(pk=again.user_id).update(email="alice@example.com")

    with pytest.raises(NotSelectable):
        select(again, "trial", now)


def test_there_is_no_trial_after_a_paid_plan(alice, now):
    subscribe(alice, "creator", now, state="ended")

    with pytest.raises(NotSelectable, match="before you have a plan"):
        select(alice, "trial", now)


def test_there_is_one_after_a_payment_that_was_declined(alice, now):
    failed = subscribe(alice, "creator", now, state="failed")
    Subscription.objects.filter(pk=failed.pk).update(anchor_at=None)

    assert select(alice, "trial", now).plan == "trial"


def test_the_page_says_what_is_in_the_way(client, alice, settings):
    settings.TRIAL_NEEDS_CONFIRMATION = True
    client.force_login(alice.user)
    page = client.get("/billing/plans/").text
    assert "Confirm alice@example.com first" in page and "Start the trial" not in page

    answer = client.post("/accounts/confirm/", {"next": "/billing/plans/"})
    assert answer.url == "/billing/plans/"
    assert OutboundMail.objects.get().kind == "account.confirm_address"


@pytest.mark.django_db(transaction=True)
def test_two_accounts_of_one_mailbox_at_once_have_one_trial(now):
    customers = [make_customer(f"one+{number}@example.com", "A") for number in range(4)]
    together, refused = Barrier(4), []

    def choose(customer):
        together.wait()
        try:
            select(customer, "trial", now)
        except PlanRefused as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=choose, args=[customer]) for customer in customers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 3
    assert Subscription.objects.count() == TrialClaim.objects.count() == 1


# --- Before the end -------------------------------------------------------------------------------


def test_the_end_of_a_trial_is_told_three_days_before_once(stage, alice):
    select(alice, "trial", stage.now())
    stage.drain()
    pass_time(stage, days=10, hours=23)
    assert not OutboundMail.objects.filter(kind="trial.ends_soon").exists()

    for _ in range(3):
        pass_time(stage, hours=1)

    told = OutboundMail.objects.get(kind="trial.ends_soon")
    trial = Subscription.objects.get()
    ends_at = trial.period_end_at.isoformat()
    assert told.data == {"ends_at": ends_at, "offer_percent": plans.TRIAL_OFFER_PERCENT}
    assert not OutboundMail.objects.filter(kind="credits.ending").exists()


def test_a_renewal_is_told_three_days_before_in_every_period(alice, now):
    row = subscribe(alice, "creator", now, ends_at=now + timedelta(days=3))
    for _ in range(2):
        assert reminders.remind_due(now) in (0, 1)
    next_end_at = now + timedelta(days=33)
    Subscription.objects.filter(pk=row.pk).update(period=1, period_end_at=next_end_at)
    assert reminders.remind_due(now + timedelta(days=29)) == 0
    assert reminders.remind_due(now + timedelta(days=30)) == 1

    told = OutboundMail.objects.filter(kind="plan.renews_soon").order_by("created_at")
    assert [one.data for one in told] == [
        {"plan": "creator", "at": (now + timedelta(days=days)).isoformat(), "amount_cents": 4_900}
        for days in (3, 33)
    ]


def test_a_worker_that_comes_too_late_tells_of_no_end_that_is_past(alice, now):
    subscribe(alice, "creator", now, ends_at=now + timedelta(days=3))
    assert reminders.remind_due(now + timedelta(days=3)) == 1
    assert reminders.remind_due(now + timedelta(days=3)) == 0

    assert not OutboundMail.objects.exists()


def test_an_ended_plan_is_told_of_no_more(alice, now):
    subscribe(alice, "creator", now, ends_at=now + timedelta(days=3), state="ended")

    assert reminders.remind_due(now) == 0


@pytest.mark.parametrize(
    "before, percent",
    [
        (timedelta(days=3, seconds=1), 0),
        (timedelta(days=3), 20),
        (timedelta(seconds=1), 20),
        (timedelta(0), 0),
        (timedelta(days=-1), 0),
    ],
)
def test_the_offer_holds_from_three_days_before_the_end_until_the_end(alice, now, before, percent):
    subscribe(alice, "trial", now, ends_at=now + timedelta(days=14))

    assert offers.percent_off(alice, now + timedelta(days=14) - before) == percent


def test_there_is_no_offer_without_a_trial_or_with_another_plan_before(alice, bob, now):
    soon = now + timedelta(days=1)
    subscribe(alice, "creator", now, ends_at=soon)
    subscribe(bob, "trial", now, ends_at=soon)
    subscribe(bob, "creator", now, state="ended")

    assert offers.percent_off(alice, now) == offers.percent_off(bob, now) == 0

"""Who may have the trial, what is told before its end, and what is off the first month then."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest
import time_machine
from django.db import connection

from accounts.models import User
from billing import plans
from billing.models import Payment, Subscription, TrialClaim
from billing.subscriptions import offers, reminders
from billing.subscriptions.choose import (
    NotAgreed,
    NotSelectable,
    PlanRefused,
    preview_plan,
    select_plan,
)
from billing.tests.money_stage import pass_time, select
from conftest import make_customer
from mails.models import OutboundMail
from mails.render import render

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_box")]


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
        assert reminders.remind(now) in (0, 1)
    next_end_at = now + timedelta(days=33)
    Subscription.objects.filter(pk=row.pk).update(period=1, period_end_at=next_end_at)
    assert reminders.remind(now + timedelta(days=29)) == 0
    assert reminders.remind(now + timedelta(days=30)) == 1

    told = OutboundMail.objects.filter(kind="plan.renews_soon").order_by("created_at")
    assert [one.data for one in told] == [
        {"plan": "creator", "at": (now + timedelta(days=days)).isoformat(), "amount_cents": 4_900}
        for days in (3, 33)
    ]


def test_a_worker_that_comes_too_late_tells_of_no_end_that_is_past(alice, now):
    subscribe(alice, "creator", now, ends_at=now + timedelta(days=3))
    assert reminders.remind(now + timedelta(days=3)) == 1
    assert reminders.remind(now + timedelta(days=3)) == 0

    assert not OutboundMail.objects.exists()


def test_an_ended_plan_is_told_of_no_more(alice, now):
    subscribe(alice, "creator", now, ends_at=now + timedelta(days=3), state="ended")

    assert reminders.remind(now) == 0


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


# --- Plans that change at the end -----------------------------------------------------------------


def test_a_plan_that_is_to_end_is_not_told_of_a_renewal_until_it_goes_on(alice, now):
    row = subscribe(alice, "creator", now, ends_at=now + timedelta(days=3))
    mine = Subscription.objects.filter(pk=row.pk)
    mine.update(next_plan=Subscription.NO_PLAN)
    assert reminders.remind(now) == 0

    mine.update(next_plan="")
    assert reminders.remind(now) == 1
    assert OutboundMail.objects.get().kind == "plan.renews_soon"


def test_a_plan_that_is_to_change_is_told_of_the_next_one_and_its_price(alice, now):
    end_at = now + timedelta(days=3)
    row = subscribe(alice, "pro", now, ends_at=end_at)
    Subscription.objects.filter(pk=row.pk).update(next_plan="creator")

    assert reminders.remind(now) == 1

    [told] = OutboundMail.objects.all()
    at = end_at.isoformat()
    assert told.data == {"plan": "creator", "at": at, "amount_cents": 4_900, "from": "pro"}
    content = render(told, to="alice@example.com")
    assert content.subject.startswith("Your Creator plan begins on ")
    assert "$49.00" in content.text and "Your Pro plan ends in three days" in content.text


def test_a_notice_that_comes_too_early_leaves_the_end_to_our_own_clock(alice, now):
    row = subscribe(alice, "trial", now, ends_at=now + timedelta(days=5))

    assert not reminders.remind_of(row, now)
    assert reminders.remind(now + timedelta(days=2)) == 1
    assert OutboundMail.objects.get().data["offer_percent"] == plans.TRIAL_OFFER_PERCENT


# --- The offer is what is shown and charged -------------------------------------------------------


def on_trial(stage, customer, *, days_left: float) -> Subscription:
    row = select(customer, "trial", stage.now())
    stage.drain()
    customer.refresh_from_db()
    row.refresh_from_db()
    pass_time(stage, days=14 - days_left)
    return row


@pytest.mark.parametrize(
    ("days_left", "off", "due"), [(3.1, 0, 4_900), (2.9, 980, 3_920), (0.1, 980, 3_920)]
)
def test_the_offer_is_off_what_is_shown_and_charged_once(stage, alice, days_left, off, due):
    on_trial(stage, alice, days_left=days_left)
    found = preview_plan(customer=alice, plan="creator", now=stage.now())
    assert (found.off_cents, found.due_cents, found.next_cents) == (off, due, 4_900)

    creator = select(alice, "creator", stage.now(), key="now")
    stage.drain()

    assert Payment.objects.get().amount_cents == due
    creator.refresh_from_db()
    assert (creator.state, creator.off_cents, creator.due_cents) == ("active", off, due)
    pass_time(stage, days=32)
    assert Payment.objects.get(period=1).amount_cents == 4_900


def test_what_was_shown_before_the_trial_ended_is_shown_anew_after_it(stage, alice):
    trial = on_trial(stage, alice, days_left=0.005)
    shown = preview_plan(customer=alice, plan="creator", now=stage.now()).shown
    assert shown.due_cents == 3_920
    pass_time(stage, seconds=(trial.period_end_at - stage.now()).total_seconds() + 1)

    with pytest.raises(NotAgreed) as refused:
        select_plan(customer=alice, plan="creator", key="k", now=stage.now(), shown=shown)

    assert refused.value.preview.due_cents == 4_900
    assert not Payment.objects.exists()


def test_an_upgrade_of_a_first_month_with_an_offer_pays_back_no_more_than_it_cost(stage, alice):
    on_trial(stage, alice, days_left=1)
    select(alice, "creator", stage.now(), key="first")
    stage.drain()

    found = preview_plan(customer=alice, plan="pro", now=stage.now())

    assert (found.former_cents, found.paid_back_cents) == (3_920, 3_920)
    assert (found.off_cents, found.due_cents) == (0, 14_900 - 3_920)


def test_the_pages_show_the_offer(client, stage, alice):
    client.force_login(alice.user)
    on_trial(stage, alice, days_left=2)
    with time_machine.travel(stage.now(), tick=False):
        page = client.get("/billing/plans/").text
        shown = client.get("/billing/plans/change/?plan=creator").text

    assert page.count("The first month costs 20 % less until your trial ends.") == 2
    assert 'data-due-cents="3920"' in shown and "−$9.80" in shown

"""A wallet that staff has frozen: nothing is sold or charged until it is unfrozen."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection

from billing import recharge as recharges
from billing.disputes import flow
from billing.models import AutoRecharge, Contract, Payment, Subscription, Wallet
from billing.packs import requests as packs
from billing.refunds.tests.test_concurrency import together
from billing.subscriptions import choose, dunning, renew
from billing.subscriptions.periods import months_after
from billing.tests.meanwhile import Meanwhile
from billing.tests.money_stage import agree, burn, save, select
from jobs.errors import Snooze
from mails.models import OutboundMail

pytestmark = pytest.mark.django_db
STATEMENTS_MAX = 60  # more than one renewal takes
DECLINED = "pm_card_chargeCustomerFail"


@pytest.fixture
def plan(bank, alice) -> Subscription:
    """A Creator plan, $49.00 for 250,000 credits, that nobody recharges yet."""
    bank.save_card(alice)
    select(alice, "creator", bank.now())
    bank.work()
    return Subscription.objects.get()


def until_its_end(bank, plan, **later) -> None:
    bank.advance(seconds=(plan.period_end_at - bank.now() + timedelta(**later)).total_seconds())
    plan.refresh_from_db()


def unfreeze(bank, alice) -> None:
    flow.unfreeze(alice.pk, bank.now())
    bank.work()


def test_nothing_is_sold(bank, alice, plan):
    flow.freeze(alice.pk, bank.now())

    with pytest.raises(choose.OnHold):
        select(alice, "pro", bank.now(), key="more")
    with pytest.raises(packs.PurchaseRefused, match="on hold"):
        packs.preview(customer=alice, amount_cents=2_500, now=bank.now())
    assert recharges.why_not_on(alice).startswith("Your credits are on hold")
    with pytest.raises(recharges.SettingsInvalid, match="on hold"):
        save(alice, bank.now(), threshold=25_000, to=200_000)
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("days", [1, 6])
def test_a_renewal_waits_and_keeps_its_dates(bank, alice, plan, days):
    flow.freeze(alice.pk, bank.now())
    until_its_end(bank, plan, days=days)
    assert (plan.state, plan.period, Payment.objects.count()) == ("active", 0, 1)
    end_at = plan.period_end_at

    unfreeze(bank, alice)

    plan.refresh_from_db()
    assert (plan.period, plan.period_start_at) == (1, end_at)
    assert plan.period_end_at == months_after(plan.anchor_at, 2)
    assert [row.amount_cents for row in Payment.objects.all()] == [4_900, 4_900]
    assert agree(alice) == 250_000


def test_a_plan_whose_renewal_waits_for_seven_days_ends(bank, alice, plan):
    flow.freeze(alice.pk, bank.now())
    until_its_end(bank, plan, days=7, minutes=1)

    assert plan.state == "ended"
    assert Payment.objects.count() == 1
    mail = OutboundMail.objects.get(kind="plan.ended")
    assert mail.data["reason"] == "on_hold"
    unfreeze(bank, alice)
    assert Payment.objects.count() == 1


def test_a_declined_renewal_is_not_tried_meanwhile(bank, alice, plan):
    bank.save_card(alice, DECLINED)
    until_its_end(bank, plan)
    due = dunning.due_payment(plan)
    assert due and (due.state, due.attempt_number) == ("failed", 1)
    flow.freeze(alice.pk, bank.now())

    bank.save_card(alice)  # another card, which would be charged at once
    with pytest.raises(choose.OnHold):
        dunning.pay_now(customer=alice, tried=1, now=bank.now())
    bank.advance(days=4)
    due.refresh_from_db()
    assert due.attempt_number == 1

    unfreeze(bank, alice)
    due.refresh_from_db()
    assert (due.state, due.attempt_number) == ("charged", 2)


def test_a_plan_that_is_not_paid_yet_is_called_off_and_its_credits_come_back(bank, alice, plan):
    select(alice, "pro", bank.now(), key="more")
    flow.freeze(alice.pk, bank.now())
    bank.work()

    failed = Subscription.objects.get(plan="pro")
    assert (failed.state, failed.failure) == ("failed", "Your credits are on hold.")
    assert Payment.objects.count() == 1
    assert agree(alice) == 250_000


def test_auto_recharge_pauses_at_metronome_and_goes_on_by_itself(bank, alice, plan):
    save(alice, bank.now(), threshold=25_000, to=200_000)
    bank.work()
    assert Contract.objects.get().recharge_enabled
    burn(bank.stage, alice, 220_000)
    flow.freeze(alice.pk, bank.now())
    bank.work()
    assert not Contract.objects.get().recharge_enabled
    AutoRecharge.objects.update(threshold_credits=100_000)  # the balance is below it now
    bank.advance(hours=2)
    row = AutoRecharge.objects.get()
    assert (row.enabled, row.stuck_at, row.failure) == (True, None, "")
    assert Payment.objects.count() == 1

    unfreeze(bank, alice)
    for _ in range(3):
        bank.advance(minutes=5)

    assert Contract.objects.get().recharge_enabled
    recharge = Payment.objects.get(kind="recharge")
    assert (recharge.state, recharge.amount_cents) == ("charged", 4_250)
    assert agree(alice) == 200_000


def test_a_recharge_that_was_asked_for_before_is_not_charged(bank, alice, plan):
    burn(bank.stage, alice, 240_000)
    save(alice, bank.now(), threshold=25_000, to=200_000)
    flow.freeze(alice.pk, bank.now())
    bank.work()

    assert not Payment.objects.filter(kind="recharge").exists()
    row = AutoRecharge.objects.get()
    assert (row.enabled, row.failure) == (False, recharges.ON_HOLD)
    assert OutboundMail.objects.filter(kind="recharge.declined").count() == 1


# --- In the same moment ---------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_renewal_that_a_freeze_overtakes_is_not_charged(bank, alice, plan):
    """Whichever statement of the renewal it comes before."""
    until = plan.period_end_at - bank.now() + timedelta(seconds=1)
    bank.stage.advance(seconds=until.total_seconds())
    now = bank.now()
    for number in range(1, STATEMENTS_MAX):
        before: list[int] = []
        staff = Meanwhile(number, lambda: before.append(frozen(alice, now)))  # noqa: B023
        with connection.execute_wrapper(staff), suppress(Snooze):
            renew.advance(Subscription.objects.get(), now)
        if not staff.is_done:
            break
        assert [Payment.objects.count()] == before, f"before statement {number}"
        if before == [2]:
            break
        flow.unfreeze(alice.pk, now)
    assert number > 3 and Payment.objects.count() == 2  # PostgreSQL takes five


def frozen(alice, now) -> int:
    """How many payments there were as staff froze the credits."""
    flow.freeze(alice.pk, now)
    return Payment.objects.count()


@pytest.mark.django_db(transaction=True)
def test_what_is_sold_while_staff_freezes_was_sold_before(bank, alice, plan):
    """In many threads, each of which has looked at the clock before or after the others."""
    first, base = Payment.objects.get(), bank.now()

    def act(number):
        now = base + timedelta(seconds=number)
        if number == 3:
            flow.freeze(alice.pk, now)
            return
        with suppress(packs.PurchaseRefused):
            packs.buy(
                customer=alice, amount_cents=2_500, shown_credits=100_000, key=f"{number}", now=now
            )

    together(act)

    frozen_at = Wallet.objects.get().frozen_at
    sold = Payment.objects.exclude(pk=first.pk).values_list("created_at", flat=True)
    assert frozen_at and all(at <= frozen_at for at in sold), sorted(sold)

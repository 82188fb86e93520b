"""Changing plans: what is charged, paid back and taken back, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from billing import ledger, metronome, plans
from billing.models import (
    CreditGrant,
    Drift,
    LedgerEntry,
    Payment,
    Subscription,
    Wallet,
)
from billing.subscriptions import change, choose, take_back
from billing.subscriptions.choose import ChangeUnderWay, NotAgreed
from billing.subscriptions.periods import months_after
from billing.sync import contracts
from billing.tests.money_stage import (
    Killed,
    agree,
    balance,
    burn,
    drain_killed,
    pass_time,
    refuse,
    remote_balance,
    select,
)
from billing.tests.stripe_stage import CONFIRMED, DECLINED, answer_bank, charged, save_card
from conftest import fund

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def studio(monkeypatch):
    """A third paid plan, so that there can be two upgrades in one period."""
    dearest = replace(
        plans.PLANS["pro"], key="studio", name="Studio", credits=3_000_000, price_cents=39_900
    )
    monkeypatch.setitem(plans.PLANS, "studio", dearest)


def begin(stage, customer, plan="creator") -> Subscription:
    """The plan, and its period of 30 days, so that shares are round."""
    row = select(customer, plan, stage.now(), key=f"begin-{plan}")
    stage.drain()
    customer.refresh_from_db()
    row.refresh_from_db()
    row.period_end_at = row.period_start_at + 30 * DAY
    row.save(update_fields=["period_end_at"])
    return row


def preview(customer, plan, stage) -> change.Preview:
    return choose.preview_plan(customer=customer, plan=plan, now=stage.now())


@pytest.mark.parametrize(
    ("days", "spent", "share", "paid_back", "taken_back", "due"),
    [
        (0, 0, Fraction(1), 4_900, 250_000, 10_000),
        (10, 137_500, Fraction(9, 20), 2_205, 112_500, 12_695),  # credits: 45 %
        (24, 0, Fraction(1, 5), 980, 50_000, 13_920),  # time: 20 %
        (10, 0, Fraction(2, 3), 3_266, 166_667, 11_634),  # 3266.67 down, 166666.67 up
        (1, 250_000, Fraction(0), 0, 0, 14_900),
        (1, 249_999, Fraction(1, 250_000), 0, 1, 14_900),  # 0.0196 cents down, one credit
    ],
)
def test_an_upgrade_pays_back_the_smaller_share(
    stage, alice, days, spent, share, paid_back, taken_back, due
):
    former = begin(stage, alice)
    if spent:
        burn(stage, alice, spent)
    pass_time(stage, seconds=(former.period_start_at + days * DAY - stage.now()).total_seconds())

    found = preview(alice, "pro", stage)

    assert min(found.time_share, found.credit_share) == share
    amounts = (found.due_cents, found.paid_back_cents, found.taken_back_credits)
    assert amounts == (due, paid_back, taken_back)
    assert (found.next_cents, found.next_at) == (14_900, months_after(stage.now(), 1))
    pro = select(alice, "pro", stage.now(), key="up")
    assert balance(alice) == 250_000 - spent - taken_back, "gone before anything is charged"
    stage.drain()

    pro.refresh_from_db()
    former.refresh_from_db()
    payment = Payment.objects.get(subscription=pro)
    assert (pro.state, former.state) == ("active", "ended")
    assert (payment.amount_cents, payment.state) == (due, "charged")
    assert pro.period_start_at == pro.anchor_at == stage.now()
    assert agree(alice) == 1_000_000 + 250_000 - spent - taken_back
    assert CreditGrant.objects.get(key=change.grant_key(former, 0)).reduced_to == (
        250_000 - taken_back if taken_back else None
    )
    pass_time(stage, minutes=5)
    assert not Drift.objects.exists()


def test_reserved_credits_count_as_spent_and_are_not_taken_back(stage, alice):
    begin(stage, alice)
    wallet = Wallet.objects.get(customer=alice)
    held = ledger.reserve(wallet_id=wallet.pk, key="speech", amount=150_000, now=stage.now())
    assert preview(alice, "pro", stage).taken_back_credits == 100_000  # 40 %

    select(alice, "pro", stage.now(), key="up")
    assert Wallet.objects.get(pk=wallet.pk).available == 0
    stage.drain()
    ledger.capture(reservation_id=held.id, now=stage.now())

    assert balance(alice) == 1_000_000
    assert Payment.objects.exclude(amount_cents=4_900).get().amount_cents == 14_900 - 1_960


def test_the_second_upgrade_of_a_period_pays_back_the_plan_and_not_the_reduced_charge(stage, alice):
    begin(stage, alice)
    select(alice, "pro", stage.now(), key="up")
    stage.drain()
    assert Payment.objects.exclude(amount_cents=4_900).get().amount_cents == 10_000

    found = preview(alice, "studio", stage)
    assert (found.paid_back_cents, found.due_cents) == (14_900, 25_000)
    select(alice, "studio", stage.now(), key="up")
    stage.drain()

    assert agree(alice) == 3_000_000
    assert sorted(charged()) == [4_900, 10_000, 25_000]


def test_below_fifty_cents_nothing_is_charged(stage, alice, monkeypatch):
    monkeypatch.setitem(
        plans.PLANS, "studio", replace(plans.PLANS["studio"], price_cents=4_949, credits=260_000)
    )
    begin(stage, alice)
    assert preview(alice, "studio", stage).due_cents == 0
    row = select(alice, "studio", stage.now(), key="up")
    stage.drain()

    row.refresh_from_db()
    assert (row.state, Payment.objects.count()) == ("active", 1)
    assert agree(alice) == 260_000


def test_from_the_trial_nothing_is_paid_back_and_its_credits_stay_until_day_fourteen(stage, alice):
    select(alice, "trial", stage.now())
    stage.drain()
    began_at = stage.now()
    pass_time(stage, days=3)
    found = preview(alice, "creator", stage)
    assert (found.due_cents, found.paid_back_cents, found.taken_back_credits) == (4_900, 0, 0)

    select(alice, "creator", stage.now(), key="up")
    stage.drain()

    assert agree(alice) == 300_000
    pass_time(stage, seconds=(began_at + 14 * DAY - stage.now()).total_seconds() - 60)
    assert agree(alice) == 300_000
    pass_time(stage, hours=1)
    assert agree(alice) == 250_000


def test_what_was_not_shown_is_not_charged(stage, alice):
    begin(stage, alice)
    now = stage.now()
    with pytest.raises(NotAgreed) as never:
        choose.select_plan(customer=alice, plan="pro", key="k", now=now)
    shown = never.value.preview.shown
    burn(stage, alice, 50_000)

    with pytest.raises(NotAgreed) as refused:
        choose.select_plan(customer=alice, plan="pro", key="k", now=now, shown=shown)

    assert refused.value.preview.due_cents == 14_900 - 3_920
    assert Payment.objects.count() == 1 and balance(alice) == 200_000
    fresh = refused.value.preview.shown
    choose.select_plan(customer=alice, plan="pro", key="k", now=now, shown=fresh)
    assert balance(alice) == 0


@pytest.mark.parametrize(("minutes", "holds"), [(14, True), (60, False)])
def test_an_amount_holds_for_a_quarter_of_an_hour(stage, alice, minutes, holds):
    begin(stage, alice)
    pass_time(stage, days=3)
    shown = preview(alice, "pro", stage).shown
    now = stage.now() + timedelta(minutes=minutes)
    if holds:
        row = choose.select_plan(customer=alice, plan="pro", key="k", now=now, shown=shown)
        assert row.due_cents == shown.due_cents
    else:
        with pytest.raises(NotAgreed):
            choose.select_plan(customer=alice, plan="pro", key="k", now=now, shown=shown)


def test_a_moment_of_the_future_is_not_believed(stage, alice):
    begin(stage, alice)
    pass_time(stage, days=3)
    now = stage.now()
    later = change.preview(customer=alice, plan=plans.PLANS["pro"], at=now + DAY, now=now).shown
    with pytest.raises(NotAgreed):
        choose.select_plan(customer=alice, plan="pro", key="k", now=now, shown=later)


@pytest.mark.parametrize("card", [DECLINED, CONFIRMED])
def test_an_upgrade_that_is_not_paid_gives_the_credits_back(stage, alice, card):
    former = begin(stage, alice)
    save_card(alice, card, stage.now())
    row = select(alice, "pro", stage.now(), key="up")
    stage.drain()
    if card is CONFIRMED:
        assert agree(alice) == 0, "taken back on both sides while the bank waits"
        pass_time(stage, days=7, minutes=1)
        pass_time(stage, minutes=2)

    row.refresh_from_db()
    former.refresh_from_db()
    assert (row.state, former.state) == ("failed", "active")
    assert agree(alice) == 250_000
    assert CreditGrant.objects.get().reduced_to is None
    assert preview(alice, "pro", stage).paid_back_cents > 0


def test_credits_of_a_grant_that_ended_meanwhile_expire_when_they_come_back(stage, alice):
    former = begin(stage, alice)
    pass_time(stage, seconds=(former.period_end_at - stage.now()).total_seconds() - 3 * 86_400)
    save_card(alice, CONFIRMED, stage.now())
    select(alice, "pro", stage.now(), key="up")
    stage.drain()
    pass_time(stage, days=7, minutes=1)
    pass_time(stage, minutes=2)

    kinds = LedgerEntry.objects.order_by("version").values_list("kind", flat=True)
    assert list(kinds)[:2] == ["grant", "grant_change"]
    assert balance(alice) == remote_balance(alice) == 0


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_worker_killed_while_metronome_takes_credits_back_does_it_once(
    stage, alice, monkeypatch, when, number
):
    """The first call takes back, the second one gives back what was not paid."""
    begin(stage, alice)
    save_card(alice, DECLINED, stage.now())
    calls, real = [], contracts.set_amount

    def deadly(grant, **arguments):
        calls.append(arguments)
        if len(calls) == number and when == "before":
            raise Killed
        real(grant, **arguments)
        if len(calls) == number:
            raise Killed

    monkeypatch.setattr(contracts, "set_amount", deadly)
    select(alice, "pro", stage.now(), key="up")
    assert drain_killed(stage)
    stage.drain()
    pass_time(stage, minutes=3)

    assert agree(alice) == 250_000


def test_a_slow_worker_does_not_take_back_what_was_given_back(stage, alice):
    begin(stage, alice)
    save_card(alice, DECLINED, stage.now())
    row = select(alice, "pro", stage.now(), key="up")
    slow = Subscription.objects.select_related("taken_from").get(pk=row.pk)
    stage.drain()
    assert agree(alice) == 250_000

    take_back.at_metronome(slow, stage.now())
    pass_time(stage, minutes=3)

    assert agree(alice) == 250_000


def test_nothing_is_charged_before_metronome_has_taken_the_credits_back(stage, alice, monkeypatch):
    begin(stage, alice)
    with monkeypatch.context() as patch:
        patch.setattr(metronome, "set_amount", refuse(metronome.MetronomeUnavailable("down")))
        select(alice, "pro", stage.now(), key="up")
        pass_time(stage, hours=2)
        assert Payment.objects.count() == 1
        assert balance(alice) == 0 and remote_balance(alice) == 250_000
        assert not Drift.objects.exists(), "explained by what is taken back"
    pass_time(stage, minutes=5)

    assert agree(alice) == 1_000_000


def test_a_choice_that_metronome_refuses_can_be_called_off(stage, alice, monkeypatch):
    begin(stage, alice)
    with monkeypatch.context() as patch:
        patch.setattr(metronome, "set_amount", refuse(metronome.MetronomeRejected("gone")))
        row = select(alice, "pro", stage.now(), key="up")
        stage.drain()
    row.refresh_from_db()
    assert row.dead_at and balance(alice) == 0

    assert choose.give_up(subscription=row, reason="It did not work.", now=stage.now())
    stage.drain()

    row.refresh_from_db()
    assert (row.state, row.failure) == ("failed", "It did not work.")
    assert agree(alice) == 250_000 and Payment.objects.count() == 1


# --- At the end of the period ---------------------------------------------------------------------


def end_of_period(stage, row) -> None:
    row.refresh_from_db()
    pass_time(stage, seconds=(row.period_end_at - stage.now()).total_seconds())


def test_a_downgrade_waits_for_the_end_and_keeps_the_anchor(stage, alice):
    pro = select(alice, "pro", stage.now(), key="one")
    stage.drain()
    pass_time(stage, days=2)
    found = preview(alice, "creator", stage)
    pro.refresh_from_db()
    amounts = (found.due_cents, found.paid_back_cents, found.taken_back_credits, found.next_cents)
    assert amounts == (0, 0, 0, 4_900) and found.next_at == pro.period_end_at

    assert select(alice, "creator", stage.now(), key="down") == pro
    assert select(alice, "creator", stage.now(), key="down again") == pro
    stage.drain()
    assert (choose.current_plan(alice).plan, agree(alice)) == ("pro", 1_000_000)

    end_of_period(stage, pro)
    stage.drain()
    creator = choose.current_plan(alice)
    assert (creator.plan, creator.anchor_at, creator.period) == ("creator", pro.anchor_at, 1)
    assert creator.period_start_at == pro.period_end_at
    assert charged() == [14_900, 4_900]
    pass_time(stage, hours=1)
    assert agree(alice) == 250_000


@pytest.mark.parametrize("first", ["cancel", "creator"])
def test_what_is_to_follow_is_called_off_by_choosing_the_same_plan(stage, alice, first):
    pro = select(alice, "pro", stage.now(), key="one")
    stage.drain()
    if first == "cancel":
        choose.cancel(customer=alice, now=stage.now())
    else:
        select(alice, first, stage.now(), key="down")
    pro.refresh_from_db()
    assert pro.next_plan

    again = choose.select_plan(customer=alice, plan="pro", key="back", now=stage.now())

    assert (again, again.next_plan) == (pro, "")
    end_of_period(stage, pro)
    stage.drain()
    pro.refresh_from_db()
    assert (pro.state, pro.period) == ("active", 1)
    assert Payment.objects.count() == 2


def test_an_upgrade_takes_the_place_of_what_was_to_follow(stage, alice):
    begin(stage, alice)
    choose.cancel(customer=alice, now=stage.now())
    select(alice, "pro", stage.now(), key="up")
    stage.drain()
    pass_time(stage, days=40)
    assert choose.current_plan(alice).plan == "pro"


def test_a_downgrade_whose_first_payment_is_declined_is_past_due(stage, alice):
    pro = select(alice, "pro", stage.now(), key="one")
    stage.drain()
    select(alice, "creator", stage.now(), key="down")
    save_card(alice, DECLINED, stage.now())
    end_of_period(stage, pro)
    stage.drain()

    creator = choose.current_plan(alice)
    assert (creator.plan, creator.tries, creator.first_period) == ("creator", 1, 1)
    assert creator.past_due_at == pro.period_end_at


def test_while_the_next_month_is_paid_nothing_is_changed(stage, alice):
    row = begin(stage, alice)
    choose.payments.request_plan_payment(
        subscription=row, period=1, amount_cents=4_900, now=stage.now()
    )
    for plan in ("pro", "studio"):
        with pytest.raises(ChangeUnderWay, match="just being paid"):
            choose.preview_plan(customer=alice, plan=plan, now=stage.now())
    with pytest.raises(ChangeUnderWay):
        choose.cancel(customer=alice, now=stage.now())


def test_a_renewal_waits_for_an_upgrade_and_does_not_happen_beside_it(stage, alice):
    former = begin(stage, alice)
    save_card(alice, CONFIRMED, stage.now())
    pass_time(stage, seconds=(former.period_end_at - stage.now()).total_seconds() - 3_600)
    row = select(alice, "pro", stage.now(), key="up")
    pass_time(stage, hours=2)
    assert not Payment.objects.filter(subscription=former, period=1).exists()

    payment = Payment.objects.get(subscription=row)
    answer_bank(stage, payment)
    choose.payments.check_confirmation(payment, now=stage.now())
    stage.drain()

    row.refresh_from_db()
    assert (row.state, row.period_start_at) == ("active", stage.now())
    assert Payment.objects.count() == 2


# Real months, worked out by hand: seconds of the period and left of it, credits left of 250,000.
@pytest.mark.parametrize(
    ("begins", "at", "left", "paid_back", "taken_back"),
    [
        # 29 days to 10 March of a leap year, 15 left: 4900 × 15/29 = 2534.48; 129,310.34 credits
        ("2028-02-10T12:00:00", "2028-02-24T12:00:00", 250_000, 2_534, 129_311),
        # 28 days of any other year, 14 left: a half
        ("2027-02-10T12:00:00", "2027-02-24T12:00:00", 250_000, 2_450, 125_000),
        # 29 days from a clamped 31 January, one second left of 2,505,600
        ("2028-01-31T23:59:59", "2028-02-29T23:59:58", 250_000, 0, 1),
        # 31 days, one second gone: 4900 × 2678399/2678400 = 4899.998; 249,999.9 credits
        ("2026-12-31T00:00:00", "2026-12-31T00:00:01", 250_000, 4_899, 250_000),
        # 30 days, 20 left; of the credits 83,333: 4900 × 83333/250000 = 1633.33, exactly these
        ("2026-04-30T06:30:00", "2026-05-10T06:30:00", 83_333, 1_633, 83_333),
        # the same with one credit more than two thirds: time counts, 3266.67 and 166,666.67
        ("2026-04-30T06:30:00", "2026-05-10T06:30:00", 166_668, 3_266, 166_667),
        # at the very end of its time a period is over: the new plan begins without it
        ("2026-04-30T06:30:00", "2026-05-30T06:30:00", 250_000, 0, 0),
    ],
)
def test_shares_of_real_months(alice, begins, at, left, paid_back, taken_back):
    begins_at = datetime.fromisoformat(begins).replace(tzinfo=UTC)
    at = datetime.fromisoformat(at).replace(tzinfo=UTC)
    row = Subscription(customer=alice, plan="creator", state="active", anchor_at=begins_at)
    row.period_start_at, row.period_end_at = begins_at, months_after(begins_at, 1)
    row.created_at = begins_at
    row.save()
    fund(alice, 250_000, begins_at, ends_at=row.period_end_at + DAY)
    grants = CreditGrant.objects.filter(wallet__customer=alice)
    grants.update(key=change.grant_key(row, 0), remaining=left)

    found = change.preview(customer=alice, plan=plans.PLANS["pro"], at=at, now=at)

    assert (found.paid_back_cents, found.taken_back_credits) == (paid_back, taken_back)
    assert found.due_cents == 14_900 - paid_back
    assert found.next_at == months_after(at, 1)

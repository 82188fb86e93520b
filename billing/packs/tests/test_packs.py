from __future__ import annotations

from datetime import timedelta

import pytest

from billing import plans
from billing.hours import ceil_hour, floor_hour
from billing.models import (
    Contract,
    CreditGrant,
    Payment,
    Purchase,
    Wallet,
)
from billing.packs import flow
from billing.packs import requests as packs
from billing.payments import processing
from billing.payments import requests as payments
from billing.sync import contracts, customers
from billing.tests.money_stage import Killed, balance, drain_killed, establish, remote_balance
from billing.tests.stripe_stage import CONFIRMED, DECLINED, answer_bank, charged, save_card

pytestmark = pytest.mark.usefixtures("card")
State = Purchase.State


def buy(customer, now, *, amount_cents=2_500, credits=100_000, key="form-1") -> Purchase:
    return packs.buy(
        customer=customer, amount_cents=amount_cents, shown_credits=credits, key=key, now=now
    )


def charged_cents() -> list[int]:
    return charged()


def assert_bought_once(customer, credits: int = 100_000) -> Purchase:
    purchase = Purchase.objects.get()
    assert (purchase.state, purchase.last_error, purchase.dead_at) == (State.GRANTED, "", None)
    assert purchase.payment.grant == purchase.grant
    assert charged_cents() == [purchase.amount_cents]
    customer.refresh_from_db()
    assert (balance(customer), remote_balance(customer)) == (credits, credits)
    return purchase


# --- Amounts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cents", "credits"),
    [
        (1_000, 40_000),
        (2_500, 100_000),
        (10_000, 400_000),
        (500, 20_000),
        (1_234, 49_360),
        (50_000, 2_000_000),
    ],
)
def test_packs_and_free_amounts_buy_4000_credits_a_dollar(alice, now, cents, credits):
    found = packs.preview(customer=alice, amount_cents=cents, now=now)

    assert (found.amount_cents, found.credits) == (cents, credits)
    assert (found.balance_after, found.valid_until_at) == (credits, now + timedelta(days=365))


@pytest.mark.parametrize("cents", [499, 50_001, 0, -2_500, 10**12])
def test_other_amounts_are_refused(alice, now, cents):
    with pytest.raises(packs.AmountInvalid, match=r"\$5 to \$500"):
        buy(alice, now, amount_cents=cents, credits=cents * 40)
    assert not Payment.objects.exists()


def test_a_pack_may_bring_a_bonus(alice, now, monkeypatch):
    monkeypatch.setattr(plans, "PACKS", (plans.Pack(2_500, 110_000),))

    assert packs.preview(customer=alice, amount_cents=2_500, now=now).credits == 110_000


# --- The whole path -------------------------------------------------------------------------------


def test_a_top_up_works_without_a_plan_and_makes_the_contract(stage, alice):
    customers.provision(alice, stage.now())
    assert not Contract.objects.exists()

    buy(alice, stage.now())
    stage.drain()

    purchase = assert_bought_once(alice)
    grant, payment = purchase.grant, purchase.payment
    assert (grant.name, grant.granted, grant.priority) == ("Top-up", 100_000, plans.PRIORITY_PACK)
    assert grant.starts_at == floor_hour(stage.now())
    assert grant.ends_at == ceil_hour(stage.now() + timedelta(days=365))
    assert (payment.kind, payment.state, payment.amount_cents) == ("pack", "charged", 2_500)
    assert purchase.settled_at == payment.settled_at == stage.now()


def test_a_customer_who_is_not_at_metronome_yet_gets_everything(stage, alice):
    buy(alice, stage.now())
    stage.drain()

    assert_bought_once(alice)


def test_a_top_up_comes_beside_what_there_is(stage, alice):
    establish(stage, alice, credits=30_000)

    buy(alice, stage.now())
    stage.drain()

    assert_bought_once(alice, credits=130_000)


def test_the_same_form_twice_buys_once_and_another_buys_again(stage, alice):
    first = buy(alice, stage.now())
    assert buy(alice, stage.now()).pk == first.pk
    stage.drain()
    assert buy(alice, stage.now()).state == State.GRANTED
    assert charged_cents() == [2_500]

    buy(alice, stage.now(), key="form-2")
    stage.drain()

    assert charged_cents() == [2_500, 2_500]
    assert balance(alice) == 200_000


def test_a_key_belongs_to_its_customer(stage, alice, bob):
    save_card(bob)
    buy(alice, stage.now())
    buy(bob, stage.now())

    assert Purchase.objects.filter(key="form-1").count() == 2


def test_only_what_was_shown_is_charged(alice, now):
    with pytest.raises(packs.NotShown, match="Nothing was charged"):
        buy(alice, now, credits=110_000)
    assert not Payment.objects.exists()


def test_a_declined_card_charges_and_grants_nothing(stage, alice):
    save_card(alice, DECLINED, stage.now())
    buy(alice, stage.now())
    stage.drain()

    purchase = Purchase.objects.get()
    assert (purchase.state, purchase.failure) == (State.FAILED, "Your card was declined.")
    assert (charged_cents(), purchase.due_at) == ([], None)
    assert not CreditGrant.objects.exists()


def test_a_payment_to_be_confirmed_is_granted_once_it_is(stage, alice):
    save_card(alice, CONFIRMED, stage.now())
    buy(alice, stage.now())
    stage.drain()
    payment = Payment.objects.get()
    assert (payment.state, Purchase.objects.get().state) == ("requires_action", State.REQUESTED)

    answer_bank(stage, payment)
    payments.check_confirmation(payment, now=stage.now())
    stage.drain()

    assert_bought_once(alice)


def test_an_unconfirmed_payment_is_called_off_after_a_week(stage, alice):
    save_card(alice, CONFIRMED, stage.now())
    buy(alice, stage.now())
    for _ in range(8):
        stage.drain()
        stage.advance(days=1)
    stage.drain()

    assert Purchase.objects.get().failure == processing.NOT_CONFIRMED


def test_credits_on_hold_buy_nothing(alice, wallet, now):
    Wallet.objects.update(frozen_at=now)

    with pytest.raises(packs.PurchaseRefused, match="on hold"):
        buy(alice, now)


def test_without_a_card_nothing_is_bought(alice, now, card):
    card.delete()
    with pytest.raises(packs.PurchaseRefused, match="Save a card"):
        buy(alice, now)


# --- Killed at any instruction --------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("owner", "point"),
    [
        (processing, Payment.State.CHARGING),
        (processing, Payment.State.CHARGED),
        (flow, State.CHARGED),
        (flow, State.GRANTED),
    ],
)
def test_a_worker_killed_around_a_move_loses_and_doubles_nothing(
    stage, alice, monkeypatch, owner, point, moment
):
    buy(alice, stage.now())
    real_move, deaths = owner._move, []

    def deadly(row, state, **fields):
        if state == point and not deaths:
            deaths.append(moment)
            if moment == "after":
                real_move(row, state, **fields)
            raise Killed
        real_move(row, state, **fields)

    monkeypatch.setattr(owner, "_move", deadly)

    assert drain_killed(stage)
    stage.drain()

    assert_bought_once(alice)


def test_a_worker_killed_after_the_grant_grants_once(stage, alice, monkeypatch):
    buy(alice, stage.now())
    real, deaths = contracts.grant, []

    def deadly(*args, **kwargs):
        granted = real(*args, **kwargs)
        if not deaths:
            deaths.append(1)
            raise Killed
        return granted

    monkeypatch.setattr(contracts, "grant", deadly)

    assert drain_killed(stage)
    stage.drain()

    assert_bought_once(alice)
    assert CreditGrant.objects.count() == 1


def test_an_outage_of_metronome_keeps_the_purchase_until_it_is_granted(stage, alice):
    stage.sandbox.faults.add("/v2/contracts/edit", "timeout_after", times=2)
    buy(alice, stage.now())
    for _ in range(8):
        stage.drain()
        stage.advance(seconds=121)
    stage.drain()

    assert_bought_once(alice)

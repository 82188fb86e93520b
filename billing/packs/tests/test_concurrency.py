from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import pytest
from django.db import close_old_connections, connection

from billing import recharge
from billing.models import (
    AutoRecharge,
    Contract,
    Payment,
    PaymentAttempt,
    Purchase,
    Recharge,
)
from billing.packs import requests as packs
from billing.payments.gateways import GatewayUnavailable
from billing.recharge import flow, limits
from billing.tests import till as tills
from billing.tests.money_stage import have_plan

saved_card = pytest.mark.usefixtures("card")
shop = tills.shop  # the fixture


def together(act, times: int = 8) -> list:
    def run(number):
        try:
            return act(number)
        finally:
            connection.close()

    close_old_connections()
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


@saved_card
@pytest.mark.django_db(transaction=True)
def test_one_form_sent_many_times_at_once_is_one_purchase(alice, now):
    made = together(
        lambda _: (
            packs.buy(customer=alice, amount_cents=1_000, shown_credits=40_000, key="k", now=now).pk
        )
    )

    assert len(set(made)) == 1
    assert (Purchase.objects.count(), Payment.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_one_form", [True, False])
def test_pages_for_paying_opened_many_times_at_once_are_one_that_can_be_paid(shop, is_one_form):
    """By a double click they are one; of as many tabs the last one counts."""

    def send(number):
        with suppress(GatewayUnavailable):  # told to press again, which leads to the same page
            packs.buy_at_page(
                customer=shop.customer,
                amount_cents=1_000,
                shown_credits=40_000,
                is_card_kept=True,
                key="k" if is_one_form else f"k-{number}",
                urls=lambda payment: ("http://testserver/done", "http://testserver/left"),
                now=shop.now(),
            )

    together(send, 4)

    assert Payment.objects.filter(failure="").count() == 1
    assert PaymentAttempt.objects.count() == Purchase.objects.count() == (1 if is_one_form else 4)
    shop.work()
    opened = [row for row in shop.box.world.store.sessions if row["status"] == "open"]
    assert len(opened) <= 1
    assert len(shop.box.world.store.sessions) <= (1 if is_one_form else 4)


@saved_card
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_one_form", [True, False])
def test_settings_that_charge_at_once_sent_many_times_at_once_are_one_recharge(
    alice, now, is_one_form
):
    """By a double click, or from as many tabs: those that come later charge nothing."""
    have_plan(alice, now)
    Contract.objects.create(customer=alice, metronome_id="contract", starts_at=now)
    one = uuid4()

    def send(_):
        try:
            recharge.save_settings(
                customer=alice,
                enabled=True,
                threshold_credits=20_000,
                recharge_to_credits=60_000,
                shown_cents=1_500,
                key=one if is_one_form else uuid4(),
                now=now,
            )
        except recharge.NotShown:
            return "not shown"
        return "saved"

    outcomes = together(send)

    assert Recharge.objects.get().amount_cents == 1_500
    assert outcomes.count("saved") == (8 if is_one_form else 1)
    assert AutoRecharge.objects.get().settings_version == 1


@saved_card
@pytest.mark.django_db(transaction=True)
def test_a_limit_lowered_while_a_recharge_asks_is_the_one_compared_with_or_comes_after(alice, now):
    """Whichever comes first, the recharge notes the limit that it was within."""
    have_plan(alice, now)
    AutoRecharge.objects.create(
        customer=alice,
        enabled=True,
        threshold_credits=20_000,
        recharge_to_credits=60_000,
        limit_cents=9_000,
    )
    row = Recharge.objects.create(
        customer=alice, workflow_id="w", invoice_total="4000", created_at=now, due_at=now
    )

    stale = [Recharge.objects.get(pk=row.pk) for _ in range(4)]

    def act(number):
        if number % 2:
            recharge.save_settings(
                customer=alice,
                enabled=True,
                threshold_credits=20_000,
                recharge_to_credits=60_000,
                limit_cents=2_000,
                now=now,
            )
            return None
        with suppress(flow.Snooze):  # the other one was first
            flow._ask_for_payment(stale[number], now)
        return None

    together(act, times=4)

    row.refresh_from_db()
    assert row.limit_cents in (2_000, 9_000)
    assert (row.payment is None) == (row.refusal == Recharge.Refusal.LIMIT)
    assert (row.payment is not None) == (row.month_cents <= row.limit_cents and row.month_cents > 0)
    assert Payment.objects.count() <= 1
    assert limits.this_month(alice.pk, AutoRecharge.objects.get(), now).limit_cents == 2_000

"""When a wallet is read from Metronome: every minute while it is busy, otherwise hourly."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import jobs
from billing.models import AutoRecharge, Contract, CreditGrant, Payment
from billing.subscriptions import choose as subscriptions
from billing.sync import customers, drift, schedule
from billing.tests.money_stage import burn, establish, spend_at_metronome, spend_in_ledger

pytestmark = pytest.mark.django_db


@pytest.fixture
def contract(stage, alice):
    """Alice with 30,000 credits on both sides and nothing in flight."""
    contract = establish(stage, alice)
    stage.advance(minutes=2)
    stage.drain()
    return contract


def due_in(contract, stage) -> float:
    contract.refresh_from_db()
    return (contract.due_at - stage.now()).total_seconds()


def test_a_quiet_wallet_is_read_hourly_and_a_busy_one_every_minute(stage, alice, contract):
    schedule.run_now(alice.pk, stage.now())
    stage.drain()
    assert due_in(contract, stage) == 3_600
    spend_in_ledger(alice, stage, 10)
    schedule.run_now(alice.pk, stage.now())
    stage.drain()
    assert due_in(contract, stage) == 60
    assert contract.synced_at == stage.now()


def test_overdue_usage_does_not_keep_a_wallet_busy(stage, alice, contract):
    spend_in_ledger(alice, stage, 10)
    stage.advance(seconds=drift.OVERDUE_SECONDS - 1)
    assert jobs.synchronise(contract, stage.now()) == stage.now() + timedelta(seconds=60)
    stage.advance(seconds=1)
    assert jobs.synchronise(contract, stage.now()) == stage.now() + timedelta(seconds=3_600)


@pytest.mark.parametrize("reason", ["acknowledged", "drift", "requested", "payment", "low"])
def test_a_busy_wallet_is_read_every_minute(stage, alice, contract, reason):
    if reason == "acknowledged":
        burn(stage, alice, 10)
    elif reason == "drift":
        spend_at_metronome(alice, stage, 10)
    elif reason == "low":
        AutoRecharge.objects.create(
            customer=alice, enabled=True, threshold_credits=30_000, recharge_to_credits=90_000
        )
    elif reason == "requested":
        subscriptions.select_plan(customer=alice, plan="trial", key="k", now=stage.now())
    else:
        Payment.objects.create(
            customer=alice,
            kind="recharge",
            amount_cents=100,
            gateway="stripe",
            created_at=stage.now(),
        )
    contract.refresh_from_db()
    again_at = jobs.synchronise(contract, stage.now())
    assert again_at == stage.now() + timedelta(seconds=60)


def test_soon_brings_the_hourly_read_forward(stage, alice, contract):
    schedule.run_now(alice.pk, stage.now())
    stage.drain()
    schedule.soon([alice.pk], now=stage.now())
    assert due_in(contract, stage) == 60
    schedule.run_now(alice.pk, stage.now())
    schedule.soon([alice.pk], now=stage.now())
    assert due_in(contract, stage) == 0


def test_soon_works_while_a_slow_read_is_ending(stage, alice, contract, monkeypatch):
    real = jobs._is_busy

    def slow(*args):
        busy = real(*args)
        # The lease ends sooner than BUSY_SECONDS from now.
        stage.sandbox.clock.advance(timedelta(seconds=70))
        schedule.soon([alice.pk], now=stage.now())
        return busy

    schedule.run_now(alice.pk, stage.now())
    monkeypatch.setattr(jobs, "_is_busy", slow)
    assert jobs.SYNCHRONISE.run(stage.now()) == 1
    assert due_in(contract, stage) == 60


def test_the_end_of_credits_brings_the_hourly_read_forward(stage, alice, contract):
    """The balance may be low now, and Metronome's recharge request may be lost."""
    ends_at = CreditGrant.objects.get().ends_at
    stage.advance(seconds=(ends_at - stage.now()).total_seconds() - 600)
    stage.drain()
    assert due_in(contract, stage) == 3_600
    stage.advance(minutes=10)
    stage.drain()
    assert due_in(contract, stage) == 60


def test_a_customer_without_contract_is_not_read(stage, alice):
    customers.provision(alice, stage.now())
    schedule.run_now(alice.pk, stage.now())
    stage.drain()
    assert not Contract.objects.exists()


def test_a_read_is_retried_after_an_outage(stage, alice, contract):
    stage.sandbox.faults.add("*", "status", status=500, times=None)
    schedule.run_now(alice.pk, stage.now())
    stage.drain()
    contract.refresh_from_db()
    assert (contract.attempts, contract.dead_at) == (1, None)
    stage.sandbox.faults.clear()
    stage.advance(minutes=3)
    stage.drain()
    contract.refresh_from_db()
    assert (contract.attempts, contract.last_error) == (0, "")

"""reconcile_balances: differences between wallet, Metronome and payments are named and repaired."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import ledger, metronome
from billing.models import Contract, CreditGrant, Drift, LedgerEntry, Payment, Recharge, Wallet
from billing.sync import reconcile
from billing.sync.drift import compare
from billing.tests.money_stage import balance, burn, establish, remote_balance
from billing.tests.operate import run
from conftest import fund

from .test_sync import add_by_hand, spend_at_metronome

pytestmark = pytest.mark.django_db


@pytest.fixture
def contract(stage, alice, monkeypatch):
    """Alice with 30,000 credits on both sides and nothing in flight.
    Commands use the stage's clock."""
    monkeypatch.setattr("operations.command.timezone.now", stage.now)
    contract = establish(stage, alice)
    stage.advance(minutes=2)
    stage.drain()
    return contract


def test_wallets_that_agree_are_counted_and_not_listed(contract, alice):
    assert run("reconcile_balances") == (0, "Summary: 1 agree.\n")


def test_usage_in_flight_is_no_difference(stage, contract, alice):
    wallet = Wallet.objects.get(customer=alice)
    reservation = ledger.reserve(wallet_id=wallet.id, key="k", amount=500, now=stage.now())
    ledger.capture(reservation_id=reservation.id, now=stage.now())

    assert run("reconcile_balances").code == 0

    stage.advance(hours=2)
    code, text = run("reconcile_balances")
    assert code == 1
    assert "500 credits of usage have not reached Metronome in an hour" in text


def test_credits_made_by_hand_are_named_and_mirrored_by_fix(contract, alice):
    add_by_hand(contract, 5_000)

    code, text = run("reconcile_balances")
    assert code == 1
    assert "alice@example.com: differ wallet 30,000, Metronome 35,000; difference +5,000" in text
    assert "“By hand” of 5,000 credits is not mirrored" in text
    assert balance(alice) == 30_000, "comparing changes nothing"

    code, text = run("reconcile_balances", "--fix")
    assert code == 0
    assert "1 repaired" in text
    assert balance(alice) == remote_balance(alice) == 35_000


def test_a_dry_run_of_fix_changes_nothing(contract, alice):
    add_by_hand(contract, 5_000)

    assert run("reconcile_balances", "--fix", "--dry-run").code == 1
    assert balance(alice) == 30_000
    assert not Drift.objects.exists()


def test_a_small_difference_is_repaired_once_it_has_stayed_the_same_for_a_minute(
    stage, contract, alice
):
    spend_at_metronome(alice, stage, 300)
    stage.advance(minutes=2)

    code, text = run("reconcile_balances", "--fix")
    assert code == 1
    assert "difference -300" in text
    assert reconcile.ABOUT_A_MINUTE in text

    stage.advance(minutes=2)
    code, text = run("reconcile_balances", "--fix")
    assert code == 0
    assert balance(alice) == remote_balance(alice) == 29_700
    assert LedgerEntry.objects.get(kind="adjustment").amount == -300


def test_a_large_difference_needs_a_named_operator(stage, contract, alice, staff):
    spend_at_metronome(alice, stage, 4_000)
    stage.advance(minutes=2)
    run("reconcile_balances", "--fix")
    first_seen_at = Drift.objects.get().first_seen_at
    stage.advance(minutes=30)
    stage.drain()

    code, text = run("reconcile_balances", "--fix")
    assert code == 1
    assert f"difference -4,000 since {first_seen_at:%Y-%m-%d %H:%M}" in text
    assert "too large to adjust without an operator's approval" in text
    assert balance(alice) == 30_000

    code, text = run("reconcile_balances", "--fix", "--by", staff.email)
    assert code == 0
    assert balance(alice) == remote_balance(alice) == 26_000
    assert Drift.objects.get().approved_by == staff


def test_a_dead_payment_is_named_and_retried(stage, contract, alice):
    payment = Payment.objects.create(
        customer=alice,
        kind="plan",
        state="charged",
        amount_cents=4_900,
        gateway="stripe",
        created_at=stage.now(),
        due_at=stage.now(),
        dead_at=stage.now(),
        last_error="NeverGranted: ended",
    )

    code, text = run("reconcile_balances")
    assert code == 1
    assert f"payment {payment.pk} of $49.00 was given up: NeverGranted: ended" in text

    code, text = run("reconcile_balances", "--fix")
    assert code == 1
    assert f"payment {payment.pk} of $49.00 is charged and not granted yet" in text
    payment.refresh_from_db()
    assert payment.dead_at is None


def test_a_recharge_that_was_given_up_is_named_and_tried_again(stage, contract, alice):
    recharge = Recharge.objects.create(
        customer=alice,
        state="released",
        workflow_id="w",
        invoice_total="4900",
        created_at=stage.now(),
        due_at=stage.now(),
        dead_at=stage.now(),
        last_error="MetronomeRejected: 400",
    )

    code, text = run("reconcile_balances")
    assert code == 1
    assert f"recharge {recharge.pk} of $49.00 was given up: MetronomeRejected: 400" in text

    run("reconcile_balances", "--fix")
    recharge.refresh_from_db()
    assert recharge.dead_at is None


def test_granted_payments_are_shown_beside_the_balances(stage, contract, alice):
    Payment.objects.create(
        customer=alice,
        kind="plan",
        state="charged",
        amount_cents=4_900,
        gateway="stripe",
        created_at=stage.now(),
        grant=CreditGrant.objects.get(),
    )

    account = reconcile.read_account(Wallet.objects.get(customer=alice), now=stage.now())

    assert account.agrees
    assert str(account) == "wallet 30,000, Metronome 30,000; paid $49.00"


def test_credits_without_a_contract_are_named(stage, bob):
    fund(bob, 500, stage.now())

    code, text = run("reconcile_balances", "--fix")

    assert code == 1
    assert "bob@example.com: differ wallet 500, Metronome no contract" in text
    assert "backfill_contracts" in text


def test_one_customer_can_be_selected(contract, alice, bob, now):
    fund(bob, 500, now)

    assert run("reconcile_balances", "--customer", "alice@example.com") == (
        0,
        "Summary: 1 agree.\n",
    )
    assert run("reconcile_balances", "--customer", "") == (1, "There is no customer .")


def test_a_contract_leased_by_a_worker_is_left_alone(stage, contract, alice):
    add_by_hand(contract, 5_000)
    until = stage.now() + timedelta(minutes=2)
    Contract.objects.update(lease="theirs", leased_until=until, due_at=until)

    assert run("reconcile_balances", "--fix").code == 1
    assert Contract.objects.get().lease == "theirs"
    assert balance(alice) == 30_000


def test_a_wallet_in_use_agrees_within_its_usage_in_flight(stage, contract, alice):
    burn(stage, alice, 1_000)

    account = reconcile.read_account(Wallet.objects.get(customer=alice), now=stage.now())

    assert account.agrees
    commits = metronome.commits(customer_id=alice.metronome_id)
    assert compare(Contract.objects.get(), now=stage.now(), commits=commits).is_quiet is False

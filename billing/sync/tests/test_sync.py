"""Grants are mirrored from Metronome, and differences are found and adjusted if they persist."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from billing import ledger, metronome
from billing.metronome import setup
from billing.models import AutoRecharge, Contract, CreditGrant, Drift, LedgerEntry, Wallet
from billing.sync import contracts
from billing.sync.drift import OVERDUE_SECONDS, approve_drift, check_drift, overdue
from billing.sync.grants import read_grants, unmirrored_segments
from billing.sync.schedule import run_now
from billing.tests.money_stage import (
    balance,
    burn,
    establish,
    remote_balance,
    spend_at_metronome,
    spend_in_ledger,
    switch_on,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def contract(stage, alice):
    """Alice with 30,000 credits on both sides and nothing in flight."""
    contract = establish(stage, alice)
    stage.advance(minutes=2)
    stage.drain()
    return contract


def check(contract, stage) -> Drift | None:
    contract.refresh_from_db()
    return check_drift(contract, now=stage.now(), commits=read_grants(contract, now=stage.now()))


def commits(customer):
    return metronome.commits(customer_id=customer.metronome_id)


def add_by_hand(contract, credits, *, days=30, **fields):
    """Add a credit as an operator does in Metronome's own pages, without a key of ours."""
    hour = contract.starts_at
    schedule = {
        "credit_type_id": metronome.credit_type_id(),
        "schedule_items": [
            {"amount": credits, "starting_at": hour, "ending_before": hour + timedelta(days=days)}
        ],
    }
    made = metronome.client.client().v2.contracts.edit(
        customer_id=contract.customer.metronome_id,
        contract_id=contract.metronome_id,
        add_credits=[
            {
                "product_id": metronome.credits_product_id(),
                "name": "By hand",
                "access_schedule": schedule,
            }
            | fields
        ],
    )
    return made.data.edit.add_credits[0].id


def edit(contract, **change):
    metronome.client.client().v2.contracts.edit(
        customer_id=contract.customer.metronome_id, contract_id=contract.metronome_id, **change
    )


# --- Grants ---------------------------------------------------------------------------------------


def test_credits_added_by_hand_are_mirrored(stage, alice, contract):
    remote_id = add_by_hand(contract, 5_000)
    read_grants(contract, now=stage.now())

    grant = CreditGrant.objects.get(remote_id=remote_id)
    assert (grant.name, grant.granted, grant.key, grant.priority) == ("By hand", 5_000, "", 100)
    assert balance(alice) == remote_balance(alice) == 35_000


def test_reading_again_writes_nothing(stage, alice, contract, django_assert_max_num_queries):
    version = Wallet.objects.get(customer=alice).version
    with django_assert_max_num_queries(4):
        read_grants(contract, now=stage.now())
    assert Wallet.objects.get(customer=alice).version == version


def test_every_page_is_mirrored(stage, alice, contract):
    stage.sandbox.world.settings.page_size = 1
    for number in range(4):
        add_by_hand(contract, 100 + number)
    read_grants(contract, now=stage.now())
    assert balance(alice) == remote_balance(alice) == 30_406


def test_a_grant_whose_amount_changes_at_metronome_follows(stage, alice, contract):
    remote_id = add_by_hand(contract, 5_000)
    for amount in (8_000, 2_000):
        (commit,) = [each for each in commits(alice) if each.id == remote_id]
        edit(
            contract,
            update_credits=[
                {
                    "credit_id": remote_id,
                    "access_schedule": {
                        "update_schedule_items": [{"id": commit.segments[0].id, "amount": amount}]
                    },
                }
            ],
        )
        read_grants(contract, now=stage.now())
        assert balance(alice) == remote_balance(alice) == 30_000 + amount


def test_an_archived_grant_is_taken_back(stage, alice, contract):
    remote_id = add_by_hand(contract, 5_000)
    read_grants(contract, now=stage.now())
    edit(contract, archive_credits=[{"id": remote_id}])

    stage.advance(minutes=11)
    read_grants(contract, now=stage.now())
    assert balance(alice) == remote_balance(alice) == 30_000
    assert CreditGrant.objects.get(remote_id=remote_id).remaining == 0
    read_grants(contract, now=stage.now())
    assert LedgerEntry.objects.filter(grant__remote_id=remote_id).count() == 2


def test_a_new_grant_that_is_not_listed_yet_is_not_taken_back(stage, alice, contract, monkeypatch):
    contracts.grant(
        alice,
        key="fresh",
        name="Fresh",
        credits=700,
        starts_at=stage.now(),
        ends_at=stage.now() + timedelta(days=9),
        priority=5,
        now=stage.now(),
    )
    listed = [commit for commit in commits(alice) if commit.description != "fresh"]
    monkeypatch.setattr(metronome, "commits", lambda **arguments: listed)
    read_grants(contract, now=stage.now())
    assert balance(alice) == 30_700


def test_an_answer_without_a_list_takes_nothing_back(stage, alice, contract):
    stage.advance(hours=1)
    stage.sandbox.faults.add(
        "/v1/contracts/customerBalances/list", "status", status=200, body={"message": "soon"}
    )
    with pytest.raises(metronome.MetronomeUnavailable):
        read_grants(contract, now=stage.now())
    assert balance(alice) == 30_000


def test_fractions_are_floored_and_are_no_drift(stage, alice, contract):
    add_by_hand(contract, 100.5)
    add_by_hand(contract, 100.75)
    read_grants(contract, now=stage.now())
    stage.advance(minutes=2)

    assert balance(alice) == 30_200
    assert metronome.net_balance(customer_id=alice.metronome_id) == Decimal("30201.25")
    assert check(contract, stage) is None
    burn(stage, alice, 30_150)
    stage.advance(minutes=2)
    assert check(contract, stage) is None


def test_a_priority_of_many_digits_is_mirrored_once(stage, alice, contract):
    add_by_hand(contract, 500, priority=1.23456)
    read_grants(contract, now=stage.now())
    assert unmirrored_segments(Wallet.objects.get().pk, commits(alice), now=stage.now()) == []


def test_a_grant_made_after_a_month_was_final_covers_nothing_of_it(stage, alice):
    """The complimentary grant was made in time and takes over from the lasting grant.
    The ending grant was not."""
    month = (stage.now() + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0)
    stage.sandbox.clock.move_to(month - timedelta(hours=2))
    contract = establish(stage, alice)
    burn(stage, alice, 20_000)
    stage.advance(hours=25)
    add_by_hand(contract, 5_000, priority=5)
    stage.advance(hours=1)
    contracts.grant(
        alice,
        key="ending",
        name="Ending",
        credits=15_000,
        starts_at=month - timedelta(hours=2),
        ends_at=stage.now() + timedelta(hours=2),
        priority=8,
        now=stage.now(),
    )

    read_grants(contract, now=stage.now())

    assert dict(CreditGrant.objects.values_list("name", "remaining")) == {
        "By hand": 0,
        "Test credits": 15_000,
        "Ending": 15_000,
    }
    assert balance(alice) == remote_balance(alice) == 30_000
    stage.advance(hours=2)
    stage.drain()
    assert balance(alice) == remote_balance(alice) == 15_000


def test_the_creation_time_of_a_grant_is_stored_once_metronome_returns_it(stage, alice, contract):
    CreditGrant.objects.update(made_at=None)  # Metronome's answer had no time
    stage.advance(minutes=5)

    read_grants(contract, now=stage.now())

    assert [commit.created_at for commit in commits(alice)] == [CreditGrant.objects.get().made_at]
    assert unmirrored_segments(Wallet.objects.get().pk, commits(alice), now=stage.now()) == []


# --- Drift ----------------------------------------------------------------------------------------


def test_agreement_is_no_drift(stage, alice, contract):
    assert check(contract, stage) is None
    assert not Drift.objects.exists()


@pytest.mark.parametrize("reported", [True, False])
def test_usage_in_flight_is_no_drift(stage, alice, contract, reported):
    """Captured, whether Metronome has it (its answer was lost) or not (not sent yet)."""
    spend_in_ledger(alice, stage, 400)
    if reported:
        spend_at_metronome(alice, stage, 400)
    assert check(contract, stage) is None


def test_acknowledged_usage_may_show_late(stage, alice, contract):
    spend_in_ledger(alice, stage, 400, acknowledged=True)
    assert check(contract, stage) is None
    stage.advance(seconds=61)
    assert check(contract, stage).difference == 400


def test_new_credits_may_show_late(stage, alice, contract, monkeypatch):
    contracts.grant(
        alice,
        key="fresh",
        name="Fresh",
        credits=700,
        starts_at=stage.now(),
        ends_at=stage.now() + timedelta(days=9),
        priority=5,
        now=stage.now(),
    )
    monkeypatch.setattr(metronome, "net_balance", lambda **arguments: Decimal(30_000))
    assert check(contract, stage) is None


def test_credits_taken_back_may_vanish_late(stage, alice, contract, monkeypatch):
    remote_id = add_by_hand(contract, 5_000)
    read_grants(contract, now=stage.now())
    stage.advance(minutes=11)
    edit(contract, archive_credits=[{"id": remote_id}])
    monkeypatch.setattr(metronome, "net_balance", lambda **arguments: Decimal(35_000))

    assert check(contract, stage) is None and balance(alice) == 30_000
    stage.advance(seconds=61)
    assert check(contract, stage).difference == 5_000


def test_credits_taken_back_as_soon_as_they_were_made_are_not_taken_twice(stage, alice, contract):
    """A missing grant may not be listed yet. Until it counts as gone, it explains a difference."""
    remote_id = add_by_hand(contract, 900)
    read_grants(contract, now=stage.now())
    edit(contract, archive_credits=[{"id": remote_id}])

    for _ in range(11):
        stage.advance(minutes=1)
        assert check(contract, stage) is None

    assert balance(alice) == remote_balance(alice) == 30_000
    kinds = LedgerEntry.objects.filter(wallet__customer=alice).values_list("kind", flat=True)
    assert sorted(kinds) == ["grant", "grant", "grant_change"]


def test_a_difference_of_a_thousand_that_persists_is_adjusted(stage, alice, contract):
    spend_at_metronome(alice, stage, 1_000)
    drift = check(contract, stage)
    assert (drift.difference, drift.state, drift.wallet_balance, drift.metronome_balance) == (
        -1_000,
        "open",
        30_000,
        29_000,
    )
    stage.advance(seconds=59)
    assert check(contract, stage).state == "open"
    assert balance(alice) == 30_000

    stage.advance(seconds=1)
    adjusted = check(contract, stage)
    assert (adjusted.pk, adjusted.state, adjusted.entry.amount) == (drift.pk, "adjusted", -1_000)
    assert adjusted.entry.kind == "adjustment"
    assert balance(alice) == remote_balance(alice) == 29_000
    assert check(contract, stage) is None


def test_an_adjustment_takes_the_credits_of_the_grant_that_has_fewer_at_metronome(
    stage, alice, contract
):
    """Otherwise they are missing again when a grant ends from which they were taken instead."""
    add_by_hand(contract, 500, days=1)
    check(contract, stage)
    plan = CreditGrant.objects.get(wallet__customer=alice, granted=30_000)
    metronome.client.client().v1.contracts.add_manual_balance_entry(
        id=plan.remote_id,
        customer_id=alice.metronome_id,
        segment_id=plan.segment_id,
        amount=-40,
        reason="by hand",
    )
    stage.advance(minutes=5)
    check(contract, stage)
    stage.advance(minutes=1)

    assert check(contract, stage).entry.amount == -40
    plan.refresh_from_db()
    assert plan.remaining == 29_960

    stage.advance(days=1)
    stage.drain()
    assert check(contract, stage) is None
    assert balance(alice) == remote_balance(alice) == 29_960


def test_credits_missing_in_the_ledger_are_added(stage, alice, contract):
    spend_in_ledger(alice, stage, 600, acknowledged=True)  # which Metronome never counted
    stage.advance(minutes=2)
    check(contract, stage)
    stage.advance(minutes=1)
    assert check(contract, stage).state == "adjusted"
    assert balance(alice) == remote_balance(alice) == 30_000


def test_a_difference_that_goes_away_is_closed_without_an_entry(stage, alice, contract):
    spend_at_metronome(alice, stage, 900)
    check(contract, stage)
    spend_in_ledger(alice, stage, 900, acknowledged=True)
    stage.advance(minutes=2)
    assert check(contract, stage) is None
    assert Drift.objects.get().state == "gone"
    assert not LedgerEntry.objects.filter(kind="adjustment").exists()


def test_a_difference_that_changes_must_persist_anew(stage, alice, contract):
    spend_at_metronome(alice, stage, 300)
    first = check(contract, stage)
    stage.advance(seconds=50)
    spend_at_metronome(alice, stage, 100, name="more")
    assert check(contract, stage).difference == -400
    stage.advance(seconds=50)
    drift = check(contract, stage)
    assert (drift.state, drift.first_seen_at) == ("open", first.first_seen_at)
    stage.advance(seconds=10)
    assert check(contract, stage).state == "adjusted"


def test_nothing_is_adjusted_while_usage_is_in_flight(stage, alice, contract):
    spend_at_metronome(alice, stage, 900)
    check(contract, stage)
    reservation_id = spend_in_ledger(alice, stage, 50)
    for _ in range(3):
        stage.advance(minutes=5)
        assert check(contract, stage).state == "open"
    spend_at_metronome(alice, stage, 50, name="reported")
    ledger.acknowledge(reservation_ids=[reservation_id], now=stage.now())
    stage.advance(seconds=61)
    assert check(contract, stage).same_since_at == stage.now()
    stage.advance(seconds=60)
    assert check(contract, stage).state == "adjusted"
    assert balance(alice) == remote_balance(alice) == 29_050


@pytest.mark.parametrize("reported", [True, False])
def test_usage_that_never_arrives_explains_its_credits_and_no_others(
    stage, alice, contract, reported
):
    """The event was given up, refused by Metronome or received without an answer."""
    spend_in_ledger(alice, stage, 400)
    if reported:
        spend_at_metronome(alice, stage, 400)
    stage.advance(seconds=OVERDUE_SECONDS)
    assert overdue(Wallet.objects.get().pk, now=stage.now()) == 400
    assert check(contract, stage) is None

    spend_at_metronome(alice, stage, 900, name="unknown")
    noted = check(contract, stage)
    # The smallest difference that is certain.
    assert noted.difference == (-900 if reported else -500)
    stage.advance(minutes=1)
    assert check(contract, stage).entry.amount == noted.difference
    assert check(contract, stage) is None


def test_overdue_usage_that_arrives_leaves_both_sides_equal(stage, alice, contract):
    reservation_id = spend_in_ledger(alice, stage, 400)
    stage.advance(seconds=OVERDUE_SECONDS)
    assert check(contract, stage) is None

    spend_at_metronome(alice, stage, 400)  # a person pressed Retry
    assert check(contract, stage) is None
    ledger.acknowledge(reservation_ids=[reservation_id], now=stage.now())
    for _ in range(3):
        stage.advance(minutes=1)
        assert check(contract, stage) is None
    assert balance(alice) == remote_balance(alice) == 29_600
    assert not Drift.objects.exists()


def test_a_large_difference_waits_for_approval(stage, alice, contract, staff):
    spend_at_metronome(alice, stage, 1_001)
    check(contract, stage)
    stage.advance(minutes=10)
    drift = check(contract, stage)
    assert (drift.state, balance(alice)) == ("open", 30_000)

    assert approve_drift(drift, user=staff, now=stage.now())
    stage.drain()
    drift.refresh_from_db()
    assert (drift.state, drift.approved_by, drift.entry.amount) == ("adjusted", staff, -1_001)
    assert balance(alice) == remote_balance(alice) == 28_999
    assert not approve_drift(drift, user=staff, now=stage.now())


def test_an_approval_is_for_one_difference_only(stage, alice, contract, staff):
    spend_at_metronome(alice, stage, 2_000)
    drift = check(contract, stage)
    approve_drift(drift, user=staff, now=stage.now())
    spend_at_metronome(alice, stage, 1, name="more")
    stage.advance(minutes=2)
    check(contract, stage)
    stage.advance(minutes=2)
    drift = check(contract, stage)
    assert (drift.state, drift.difference, drift.approved_by) == ("open", -2_001, None)


def test_an_approval_given_during_a_comparison_is_kept(stage, alice, contract, staff, monkeypatch):
    spend_at_metronome(alice, stage, 2_000)
    drift = check(contract, stage)

    real = Drift.save

    def approve_first(self, **options):
        Drift.objects.update(approved_by=staff)
        real(self, **options)

    monkeypatch.setattr(Drift, "save", approve_first)
    check(contract, stage)

    drift.refresh_from_db()
    assert drift.approved_by == staff


def test_what_is_reserved_cannot_be_adjusted_away(stage, alice, contract):
    wallet = Wallet.objects.get(customer=alice)
    ledger.reserve(wallet_id=wallet.id, key="k", amount=30_000, now=stage.now())
    spend_at_metronome(alice, stage, 500)
    check(contract, stage)
    stage.advance(minutes=2)
    drift = check(contract, stage)
    assert (drift.state, drift.entry, balance(alice)) == ("open", None, 30_000)
    stage.advance(minutes=9)
    stage.drain()
    check(contract, stage)
    assert balance(alice) == remote_balance(alice) == 29_500


def test_a_wallet_that_changes_during_the_comparison_is_not_judged(
    stage, alice, contract, monkeypatch
):
    real = metronome.net_balance

    def meanwhile(**arguments):
        remote = real(**arguments)
        spend_in_ledger(alice, stage, 10, key=f"meanwhile-{remote}")
        return remote - 500

    monkeypatch.setattr(metronome, "net_balance", meanwhile)
    assert check(contract, stage) is None
    assert not Drift.objects.exists()


def test_nothing_is_judged_around_the_end_of_a_grant(stage, alice, contract, monkeypatch):
    ends_at = CreditGrant.objects.get().ends_at
    stage.advance(seconds=(ends_at - stage.now()).total_seconds() - 10)
    monkeypatch.setattr(metronome, "net_balance", lambda **arguments: Decimal(0))
    assert check(contract, stage) is None


def test_nothing_is_judged_while_a_reservation_keeps_ended_credits(stage, alice, contract):
    grant = CreditGrant.objects.get()
    stage.advance(seconds=(grant.ends_at - stage.now()).total_seconds() - 10)
    ledger.reserve(wallet_id=grant.wallet_id, key="k", amount=100, now=stage.now())
    stage.advance(minutes=5)

    assert check(contract, stage) is None and not Drift.objects.exists()
    assert (balance(alice), remote_balance(alice)) == (100, 0)


def test_the_end_of_a_grant_leaves_both_sides_equal(stage, alice, contract):
    ends_at = CreditGrant.objects.get().ends_at
    stage.advance(seconds=(ends_at - stage.now()).total_seconds())
    stage.drain()
    assert balance(alice) == remote_balance(alice) == 0
    assert check(contract, stage) is None


def test_what_ended_long_ago_is_not_read_again(stage, alice, contract):
    stage.advance(days=61)
    assert [commit.name for commit in read_grants(contract, now=stage.now())] == ["Test credits"]
    stage.advance(days=7)
    stage.drain()
    contract.refresh_from_db()
    assert read_grants(contract, now=stage.now()) == []
    assert len(commits(alice)) == 1


def test_a_grant_that_ended_while_sync_was_down_is_read_however_long_ago(stage, alice, contract):
    """It may cover usage in the ledger, as it did at Metronome."""
    contract.refresh_from_db()
    add_by_hand(contract, 100, days=1)
    stage.advance(days=20)
    read_grants(contract, now=stage.now())
    assert CreditGrant.objects.filter(name="By hand").exists()


# --- Auto-recharge --------------------------------------------------------------------------------


def test_the_recharge_configuration_is_read_with_the_grants(stage, alice, contract):
    switch_on(stage, alice)
    Contract.objects.update(
        recharge_enabled=None, recharge_threshold_credits=None, recharge_to_credits=None
    )
    run_now(alice.pk, stage.now())
    stage.drain()
    contract.refresh_from_db()
    assert (contract.recharge_enabled, contract.recharge_threshold_credits) == (True, 25_000)
    assert contract.recharge_to_credits == 200_000


def test_a_recharge_metronome_switched_off_is_off_in_vocalis_too(stage, alice, contract):
    switch_on(stage, alice)
    edit(contract, update_prepaid_balance_threshold_configuration={"is_enabled": False})
    run_now(alice.pk, stage.now())
    stage.drain()
    settings = AutoRecharge.objects.get()
    assert (settings.enabled, settings.failure) == (False, "The last automatic payment failed.")


def test_credits_in_other_units_do_not_count(stage, alice, contract):
    apples = setup.create_pricing_unit(name="Apples")
    hour = contract.starts_at
    items = [{"amount": 5, "starting_at": hour, "ending_before": hour + timedelta(days=9)}]
    schedule = {"credit_type_id": apples, "schedule_items": items}
    edit(
        contract,
        add_credits=[{"product_id": metronome.credits_product_id(), "access_schedule": schedule}],
    )
    read_grants(contract, now=stage.now())
    assert balance(alice) == 30_000

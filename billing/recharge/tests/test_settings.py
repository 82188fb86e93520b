from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from billing import metronome, recharge
from billing.models import AutoRecharge, Contract, Recharge, Wallet
from billing.recharge.mirroring import MIRROR
from billing.sync import customers
from billing.tests.money_stage import (
    Killed,
    balance,
    burn,
    drain_killed,
    establish,
    refuse,
    remote_balance,
    run_to_low,
    save,
    switch_on,
)
from jobs import queue
from jobs.models import due
from jobs.worker import Worker

pytestmark = pytest.mark.usefixtures("card")


def at_metronome(customer) -> metronome.RechargeConfiguration | None:
    return metronome.recharge_configuration(
        customer_id=customer.metronome_id, contract_id=customer.contract.metronome_id
    )


# --- Settings -------------------------------------------------------------------------------------


def test_metronomes_own_minimums_are_accepted(alice, now):
    row = save(alice, now, threshold=20_000, to=60_000)

    assert (row.enabled, row.threshold_credits, row.recharge_to_credits, row.due_at) == (
        True,
        20_000,
        60_000,
        now,
    )


@pytest.mark.parametrize(
    ("threshold", "to", "field", "sentence"),
    [
        (19_999, 200_000, "threshold_credits", "at least 20,000 credits ($5)"),
        (
            20_000,
            59_999,
            "recharge_to_credits",
            "At least 60,000 credits: 40,000 ($10) above a threshold of 20,000",
        ),
        (25_000, 25_000, "recharge_to_credits", "At least 65,000"),
        (100_000, 50_000, "recharge_to_credits", "At least 140,000"),
        (-1, 200_000, "threshold_credits", "at least 20,000"),
        (20_000, 40_000_001, "recharge_to_credits", "At most 40,000,000 credits ($10,000)"),
    ],
)
def test_what_metronome_would_refuse_is_refused_in_words(
    alice, now, threshold, to, field, sentence
):
    with pytest.raises(recharge.SettingsInvalid) as refused:
        save(alice, now, threshold=threshold, to=to)

    assert sentence in refused.value.errors[field]
    assert not AutoRecharge.objects.exists()


def test_metronome_agrees_about_the_minimums(stage, alice):
    establish(stage, alice)
    for threshold, to in ((19_999, 200_000), (20_000, 59_999)):
        with pytest.raises(metronome.MetronomeRejected):
            metronome.set_recharge(
                customer_id=alice.metronome_id,
                contract_id=alice.contract.metronome_id,
                enabled=True,
                threshold_credits=threshold,
                recharge_to_credits=to,
            )

    switch_on(stage, alice, threshold=20_000, to=60_000)

    assert at_metronome(alice) == metronome.RechargeConfiguration(True, 20_000, 60_000)


def test_saving_again_forgets_a_failure_and_revives_a_dead_row(alice, now):
    save(alice, now)
    AutoRecharge.objects.update(
        enabled=False, failure="The card was declined.", dead_at=now, attempts=3, due_at=None
    )

    row = save(alice, now)

    row.refresh_from_db()
    assert (row.enabled, row.failure, row.dead_at, row.attempts, row.due_at) == (
        True,
        "",
        None,
        0,
        now,
    )


# --- The mirror -----------------------------------------------------------------------------------


def test_settings_are_mirrored_and_changed_and_switched_off(stage, alice):
    contract = establish(stage, alice)
    for wanted in (
        (True, 25_000, 200_000),
        (True, 30_000, 100_000),
        (False, 30_000, 100_000),
        (True, 20_000, 60_000),
    ):
        save(alice, stage.now(), enabled=wanted[0], threshold=wanted[1], to=wanted[2])
        stage.drain()

        assert at_metronome(alice) == metronome.RechargeConfiguration(*wanted)
        contract.refresh_from_db()
        assert (
            contract.recharge_enabled,
            contract.recharge_threshold_credits,
            contract.recharge_to_credits,
        ) == wanted
    assert AutoRecharge.objects.get().due_at is None


def test_settings_wait_for_the_first_plan(stage, alice):
    customers.provision(alice, stage.now())
    save(alice, stage.now())
    stage.drain()

    row = AutoRecharge.objects.get()
    assert (row.attempts, row.dead_at) == (0, None)
    assert "first plan" in row.last_error

    establish(stage, alice)
    stage.advance(seconds=61)
    stage.drain()

    assert at_metronome(alice).enabled


def test_switching_off_before_the_first_plan_leaves_nothing_due(alice, now):
    save(alice, now, enabled=False)

    Worker([MIRROR], clock=lambda: now).drain()

    assert AutoRecharge.objects.get().due_at is None


def test_what_is_mirrored_already_is_not_written_again(stage, alice, monkeypatch):
    establish(stage, alice)
    switch_on(stage, alice)
    monkeypatch.setattr(metronome, "set_recharge", refuse(AssertionError("written again")))

    AutoRecharge.objects.run_now(stage.now())
    stage.drain()

    assert AutoRecharge.objects.get().last_error == ""


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
def test_a_lost_answer_is_made_good(stage, alice, kind):
    establish(stage, alice)
    stage.sandbox.faults.add("/v2/contracts/edit", kind)

    switch_on(stage, alice)
    stage.advance(seconds=121)
    stage.drain()

    assert at_metronome(alice) == metronome.RechargeConfiguration(True, 25_000, 200_000)
    assert AutoRecharge.objects.get().last_error == ""


def test_a_change_made_while_the_mirror_is_at_work_is_mirrored_too(stage, alice, monkeypatch):
    establish(stage, alice)
    real, changed = metronome.set_recharge, []

    def slow(**wanted):
        real(**wanted)
        if not changed:
            changed.append(wanted)
            save(alice, stage.now(), threshold=40_000, to=90_000)

    monkeypatch.setattr(metronome, "set_recharge", slow)
    switch_on(stage, alice)

    assert at_metronome(alice) == metronome.RechargeConfiguration(True, 40_000, 90_000)


def test_a_worker_that_was_overtaken_does_not_leave_metronome_with_old_settings(
    stage, alice, monkeypatch
):
    """It stands still before its push until the customer has switched off and another worker has
    told Metronome so.
    """
    establish(stage, alice)
    real, overtaken = metronome.set_recharge, []

    def slow(**wanted):
        if not overtaken:
            overtaken.append(wanted)
            stage.advance(seconds=121)
            save(alice, stage.now(), enabled=False)
            Worker([MIRROR], clock=stage.now).drain()
            row = AutoRecharge.objects.get()
            assert (row.settings_version, row.applied_version) == (2, 2)
        real(**wanted)

    monkeypatch.setattr(metronome, "set_recharge", slow)
    switch_on(stage, alice)

    row = AutoRecharge.objects.get()
    assert (row.settings_version, row.applied_version, row.enabled) == (2, 2, False)
    assert not at_metronome(alice).enabled


def test_what_an_overtaken_worker_switched_on_before_it_died_is_switched_off_by_the_next_sync(
    stage, alice
):
    contract = establish(stage, alice)
    switch_on(stage, alice)
    save(alice, stage.now(), enabled=False)
    stage.drain()
    metronome.set_recharge(
        customer_id=alice.metronome_id,
        contract_id=alice.contract.metronome_id,
        enabled=True,
        threshold_credits=25_000,
        recharge_to_credits=200_000,
    )

    recharge.follow_metronome(contract, enabled=True, now=stage.now())
    stage.drain()

    assert not at_metronome(alice).enabled
    assert not AutoRecharge.objects.get().enabled


def test_every_change_raises_the_version_and_the_mirror_applies_it(stage, alice):
    def versions():
        return AutoRecharge.objects.values_list("settings_version", "applied_version").get()

    establish(stage, alice)
    save(alice, stage.now())
    assert versions() == (1, 0)
    stage.drain()
    assert versions() == (1, 1)
    recharge.switch_off(customer_id=alice.pk, failure="The card was declined.", now=stage.now())
    recharge.switch_off(customer_id=alice.pk, failure="Again.", now=stage.now())
    assert versions() == (2, 1)
    stage.drain()
    assert versions() == (2, 2)


# --- Switched off at Metronome --------------------------------------------------------------------


def switch_off_there(customer) -> None:
    metronome.set_recharge(
        customer_id=customer.metronome_id,
        contract_id=customer.contract.metronome_id,
        enabled=False,
        threshold_credits=25_000,
        recharge_to_credits=200_000,
    )


def test_a_recharge_that_metronome_switched_off_is_off_here(stage, alice):
    contract = establish(stage, alice)
    switch_on(stage, alice)
    switch_off_there(alice)

    recharge.follow_metronome(contract, enabled=False, now=stage.now())

    row = AutoRecharge.objects.get()
    assert (row.enabled, row.failure) == (False, "The last automatic payment failed.")
    assert row.applied_version == row.settings_version == 2


def test_a_worker_that_makes_metronome_look_again_is_not_taken_for_a_failed_payment(
    stage, alice, monkeypatch
):
    """A sync reads the switch while it is off for a moment, and writes when it is on again."""
    contract = establish(stage, alice, credits=20_000)
    end_a_pause(stage, alice)
    AutoRecharge.objects.update(low_since_at=stage.now() - timedelta(minutes=16))
    real = metronome.recharge_configuration

    def asked_while_off(**asked):
        with monkeypatch.context() as patch:
            patch.setattr(metronome, "recharge_configuration", real)
            switch_off_there(alice)
            found = real(**asked)
            recharge.mirror(AutoRecharge.objects.get(), stage.now())
        return found

    monkeypatch.setattr(metronome, "recharge_configuration", asked_while_off)
    recharge.follow_metronome(contract, enabled=False, now=stage.now())

    assert AutoRecharge.objects.get().stuck_at
    assert AutoRecharge.objects.get().enabled


def test_an_old_reading_does_not_undo_switching_on(stage, alice):
    contract = establish(stage, alice)
    switch_on(stage, alice)

    recharge.follow_metronome(contract, enabled=False, now=stage.now())
    assert AutoRecharge.objects.get().enabled

    switch_off_there(alice)
    save(alice, stage.now())
    recharge.follow_metronome(contract, enabled=False, now=stage.now())
    assert AutoRecharge.objects.get().enabled


def test_a_switch_that_is_still_being_mirrored_is_not_taken_for_a_failed_payment(stage, alice):
    contract = establish(stage, alice)
    switch_on(stage, alice)
    switch_off_there(alice)
    save(alice, stage.now())
    stage.sandbox.faults.add("/v2/contracts/edit", "status", status=500, times=None)
    stage.drain()
    assert AutoRecharge.objects.get().due_at > stage.now()  # backs off

    recharge.follow_metronome(contract, enabled=False, now=stage.now())

    assert AutoRecharge.objects.get().enabled


# --- The watch ------------------------------------------------------------------------------------


@pytest.fixture
def low(alice, now):
    """Alice's recharge is on and mirrored, and her balance is under the threshold with nothing
    under way.
    """
    AutoRecharge.objects.create(
        customer=alice, enabled=True, threshold_credits=25_000, recharge_to_credits=200_000
    )
    Wallet.objects.create(customer=alice, balance=20_000)
    return Contract.objects.create(customer=alice, metronome_id="contract-1", starts_at=now)


def watch(contract, now) -> AutoRecharge:
    recharge.track_low_balance(contract, now)
    return AutoRecharge.objects.get()


def test_a_low_balance_is_noticed_and_looked_at_a_quarter_of_an_hour_later(low, now):
    row = watch(low, now)
    assert (row.low_since_at, row.due_at) == (now, now + timedelta(minutes=15))

    row = watch(low, now + timedelta(minutes=5))
    assert (row.low_since_at, row.due_at) == (now, now + timedelta(minutes=15))


def test_a_low_balance_noticed_while_the_mirror_settles_is_looked_at_all_the_same(low, now):
    AutoRecharge.objects.update(due_at=now)
    claimed = queue.claim(AutoRecharge, now=now, limit=1, lease_seconds=120)
    watch(low, now)
    queue.complete(claimed)  # the mirror had found nothing low
    assert AutoRecharge.objects.get().due_at is None

    row = watch(low, now + timedelta(minutes=1))
    assert (row.low_since_at, row.due_at) == (now, now + timedelta(minutes=15))

    AutoRecharge.objects.update(due_at=None, stuck_at=now)
    assert watch(low, now + timedelta(minutes=20)).due_at is None


@pytest.mark.parametrize("balance", [25_001, 200_000])
def test_a_recovered_balance_is_forgotten(low, now, balance):
    watch(low, now)
    AutoRecharge.objects.update(stuck_at=now)
    Wallet.objects.update(balance=balance)

    row = watch(low, now + timedelta(minutes=1))

    assert (row.low_since_at, row.stuck_at) == (None, None)


def test_an_open_recharge_is_no_reason_to_worry(low, alice, now):
    Recharge.objects.create(customer=alice, workflow_id="w", invoice_total="1", created_at=now)

    assert watch(low, now).low_since_at is None


def test_a_recharge_that_is_off_is_not_watched(low, now):
    AutoRecharge.objects.update(enabled=False)

    assert watch(low, now).low_since_at is None


def test_the_balance_at_the_threshold_counts_as_low(low, now):
    Wallet.objects.update(balance=25_000)

    assert watch(low, now).low_since_at == now


@pytest.mark.parametrize("why", ["recovered", "under way"])
def test_the_quarter_of_an_hour_over_with_nothing_to_heal_is_the_end_of_the_watch(
    stage, alice, why
):
    establish(stage, alice)
    switch_on(stage, alice)
    if why == "under way":
        Wallet.objects.update(balance=20_000)
        Recharge.objects.create(
            customer=alice, workflow_id="w", invoice_total="1", created_at=stage.now()
        )
    since = stage.now() - timedelta(minutes=16)
    AutoRecharge.objects.update(low_since_at=since, due_at=stage.now())

    assert recharge.mirror(AutoRecharge.objects.get(), stage.now()) is None

    assert AutoRecharge.objects.get().low_since_at is None


def end_a_pause(stage, customer) -> None:
    """Switched on at a low balance, as when a limit's month is over: Metronome looks at once."""
    AutoRecharge.objects.create(
        customer=customer,
        enabled=True,
        threshold_credits=25_000,
        recharge_to_credits=200_000,
        settings_version=1,
        applied_version=1,
        paused_until_at=stage.now(),
        **due(stage.now()),
    )
    stage.drain()


def lose_external_initiate(stage, customer) -> None:
    """Metronome opened a recharge, and its webhook never came."""
    stage.sandbox.world.webhooks, kept = [], stage.sandbox.world.webhooks
    run_to_low(stage, customer)
    stage.sandbox.world.webhooks = kept


def pass_minutes(stage, minutes: int) -> None:
    for _ in range(minutes):
        stage.advance(minutes=1)
        stage.drain()


def test_a_lost_external_initiate_heals(stage, webhooks, alice, caplog):
    lose_external_initiate(stage, alice)
    with caplog.at_level(logging.ERROR, logger="billing.recharge"):
        pass_minutes(stage, 14)
        assert not Recharge.objects.exists()
        pass_minutes(stage, 4)

    assert caplog.text.count("no recharge came") == 1
    assert Recharge.objects.get().state == Recharge.State.GRANTED
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)
    row = AutoRecharge.objects.get()
    assert (row.enabled, row.low_since_at, row.stuck_at) == (True, None, None)


def test_one_that_gets_lost_right_when_recharge_is_switched_on_heals_as_soon(stage, alice):
    establish(stage, alice, credits=20_000)
    pass_minutes(stage, 5)
    assert Contract.objects.get().due_at - stage.now() > timedelta(minutes=50)

    end_a_pause(stage, alice)
    pass_minutes(stage, 14)
    assert not AutoRecharge.objects.get().stuck_at
    pass_minutes(stage, 1)

    assert AutoRecharge.objects.get().stuck_at == stage.now()


def test_it_is_toggled_once_only(stage, alice, monkeypatch):
    lose_external_initiate(stage, alice)
    real, pushed = metronome.set_recharge, []
    monkeypatch.setattr(
        metronome,
        "set_recharge",
        lambda **wanted: (pushed.append(wanted["enabled"]), real(**wanted)),
    )

    pass_minutes(stage, 60)
    AutoRecharge.objects.all().run_now(stage.now())  # and not when somebody presses Retry
    stage.drain()

    assert pushed == [False, True]
    assert AutoRecharge.objects.get().stuck_at


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("push", [False, True], ids=["off", "on"])
def test_a_worker_killed_while_toggling_leaves_it_on(
    stage, webhooks, alice, monkeypatch, push, moment
):
    lose_external_initiate(stage, alice)
    pass_minutes(stage, 14)
    real, deaths = metronome.set_recharge, []

    def deadly(**wanted):
        if deaths or wanted["enabled"] != push:
            return real(**wanted)
        deaths.append(moment)
        if moment == "after":
            real(**wanted)
        raise Killed

    monkeypatch.setattr(metronome, "set_recharge", deadly)
    died = False
    for _ in range(4):
        stage.advance(minutes=1)
        died = drain_killed(stage) or died
    stage.drain()
    pass_minutes(stage, 3)

    assert died
    assert at_metronome(alice).enabled
    assert AutoRecharge.objects.get().enabled
    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)


def test_spending_on_right_after_a_recharge_is_recharged_again(stage, webhooks, alice):
    run_to_low(stage, alice)
    stage.drain()
    burn(stage, alice, 200_000)
    stage.sandbox.tick()
    stage.drain()

    assert (balance(alice), remote_balance(alice)) == (200_000, 200_000)
    assert Recharge.objects.filter(state=Recharge.State.GRANTED).count() == 2

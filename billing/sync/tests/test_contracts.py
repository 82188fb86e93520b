"""A customer has one contract, and each grant is added to it once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection

from billing import hours, metronome
from billing.models import Contract, CreditGrant, LedgerEntry, Wallet
from billing.sync import contracts, customers
from billing.tests.money_stage import Killed, balance, establish, remote_balance
from jobs.errors import Snooze

pytestmark = pytest.mark.django_db


@pytest.fixture
def known(stage, alice):
    customers.provision(alice, stage.now())
    alice.refresh_from_db()
    return alice


def grant(customer, now, key="complimentary-1", **changes):
    details = {
        "name": "ComplimentaryGrant",
        "credits": 1_000,
        "starts_at": now,
        "ends_at": now + timedelta(days=30),
        "priority": 5,
    } | changes
    return contracts.grant(customer, key=key, now=now, **details)


def remote_contracts(customer):
    return list(metronome.client.client().v2.contracts.list(customer_id=customer.metronome_id))


def test_a_contract_waits_for_the_customer(stage, alice):
    with pytest.raises(Snooze):
        contracts.ensure(alice, now=stage.now())
    assert not Contract.objects.exists()


def test_the_contract_is_created_once_on_the_hour_without_an_end(stage, known):
    first = contracts.ensure(known, now=stage.now())
    stage.advance(hours=5)
    second = contracts.ensure(known, now=stage.now())

    (remote,) = remote_contracts(known)
    assert first.metronome_id == second.metronome_id == remote.id
    assert (remote.name, remote.ending_before) == (f"vocalis:{known.pk}", None)
    assert remote.starting_at == first.starts_at == hours.floor_hour(first.starts_at)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_around_the_contract_leaves_one(stage, known, monkeypatch, when):
    real = metronome.create_contract

    def deadly(**arguments):
        monkeypatch.undo()
        monkeypatch.setattr(metronome.client, "client", client)
        if when == "after":
            real(**arguments)
        raise Killed

    client = metronome.client.client
    monkeypatch.setattr(metronome, "create_contract", deadly)
    with pytest.raises(Killed):
        contracts.ensure(known, now=stage.now())
    stage.advance(hours=2)
    contract = contracts.ensure(known, now=stage.now())

    (remote,) = remote_contracts(known)
    assert contract.metronome_id == remote.id


def test_a_contract_whose_answer_was_lost_is_found_by_name_on_any_page(stage, known):
    stage.sandbox.world.settings.page_size = 1
    card_id, hour = metronome.rate_card_id(), hours.floor_hour(stage.now())
    for number in range(3):
        metronome.client.client().v1.contracts.create(
            customer_id=known.metronome_id,
            rate_card_id=card_id,
            starting_at=hour,
            name=f"by hand {number}",
        )
    stage.sandbox.faults.add("/v1/contracts/create", "timeout_after")
    with pytest.raises(metronome.MetronomeUnavailable):
        contracts.ensure(known, now=stage.now())

    contract = contracts.ensure(known, now=stage.now())
    names = {remote.id: remote.name for remote in remote_contracts(known)}
    assert names[contract.metronome_id] == f"vocalis:{known.pk}"
    assert len(names) == 4


def test_a_grant_is_added_to_both_balances_at_once(stage, known):
    grant_id = grant(known, stage.now())

    mirrored = CreditGrant.objects.get(pk=grant_id)
    assert (mirrored.granted, mirrored.key, mirrored.kind, mirrored.is_free) == (
        1_000,
        "complimentary-1",
        "credit",
        True,
    )
    assert (balance(known), remote_balance(known)) == (1_000, 1_000)


def test_a_grant_is_floored_to_the_hour_at_its_start_and_ceiled_at_its_end(stage, known):
    now = datetime.now(UTC).replace(minute=37, second=5, microsecond=0)
    mirrored = CreditGrant.objects.get(pk=grant(known, now, ends_at=now + timedelta(days=14)))
    assert mirrored.starts_at == now.replace(minute=0, second=0)
    assert mirrored.ends_at == now.replace(minute=0, second=0) + timedelta(days=14, hours=1)


def test_a_grant_does_not_start_before_the_contract(stage, known):
    contract = contracts.ensure(known, now=stage.now())
    grant(known, stage.now(), starts_at=stage.now() - timedelta(hours=3))
    assert CreditGrant.objects.get().starts_at == contract.starts_at


@pytest.mark.parametrize("kind", ["credit", "commit"])
def test_a_grant_is_dated_when_metronome_made_it_however_late_the_worker_is(stage, known, kind):
    began_at = stage.now()
    contracts.ensure(known, now=began_at)
    stage.advance(minutes=10)

    grant_id = grant(known, began_at, paid_cents=100 if kind == "commit" else None)

    (listed,) = metronome.commits(customer_id=known.metronome_id)
    assert listed.kind == kind
    assert CreditGrant.objects.get(pk=grant_id).made_at == listed.created_at == stage.now()


def test_full_hours_are_not_rounded():
    hour = datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert hours.floor_hour(hour) == hours.ceil_hour(hour) == hour


def test_a_paid_grant_is_a_commit_invoiced_in_cents(stage, known):
    mirrored = CreditGrant.objects.get(pk=grant(known, stage.now(), paid_cents=4_900))
    assert (mirrored.kind, mirrored.is_free) == ("commit", False)
    invoices = (
        metronome.client.client()
        .v1.customers.invoices.list(customer_id=known.metronome_id, type="SCHEDULED")
        .data
    )
    assert [invoice.total for invoice in invoices] == [4_900]


def test_the_same_key_again_gives_the_same_grant(stage, known):
    assert grant(known, stage.now()) == grant(known, stage.now(), credits=9)
    assert (balance(known), remote_balance(known)) == (1_000, 1_000)


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "error_after"])
def test_a_lost_answer_grants_once(stage, known, kind):
    contracts.ensure(known, now=stage.now())
    stage.sandbox.faults.add("/v2/contracts/edit", kind)
    with pytest.raises(metronome.MetronomeUnavailable):
        grant(known, stage.now())
    grant(known, stage.now())
    assert (balance(known), remote_balance(known)) == (1_000, 1_000)


def test_a_grant_whose_answer_was_lost_is_found_on_any_page(stage, known):
    stage.sandbox.world.settings.page_size = 1
    for number in range(4):
        grant(known, stage.now(), key=f"other-{number}")
    stage.sandbox.faults.add("/v2/contracts/edit", "timeout_after")
    with pytest.raises(metronome.MetronomeUnavailable):
        grant(known, stage.now(), key="wanted")

    mirrored = CreditGrant.objects.get(pk=grant(known, stage.now(), key="wanted"))
    assert mirrored.key == "wanted"
    assert (balance(known), remote_balance(known)) == (5_000, 5_000)


def test_a_worker_killed_after_the_call_grants_once(stage, known, monkeypatch):
    from billing.sync import grants

    real = grants.record
    monkeypatch.setattr(grants, "record", lambda *args, **kwargs: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        grant(known, stage.now())
    assert remote_balance(known) == 1_000

    monkeypatch.setattr(grants, "record", real)
    grant(known, stage.now())
    assert (balance(known), remote_balance(known)) == (1_000, 1_000)


def test_credits_that_are_added_but_not_listed_yet_are_retried(stage, known, monkeypatch):
    contract = establish(stage, known, credits=0)
    metronome.add_grant(
        customer_id=known.metronome_id,
        contract_id=contract.metronome_id,
        key="complimentary-1",
        name="ComplimentaryGrant",
        credits=1_000,
        starts_at=contract.starts_at,
        ends_at=contract.starts_at + timedelta(days=1),
        priority=5,
        invoiced_at=stage.now(),
    )
    real = metronome.commits
    monkeypatch.setattr(metronome, "commits", lambda **arguments: [])
    with pytest.raises(metronome.MetronomeUnavailable, match="not listed yet"):
        grant(known, stage.now())
    monkeypatch.setattr(metronome, "commits", real)
    assert CreditGrant.objects.get(pk=grant(known, stage.now())).granted == 1_000


def test_a_refused_grant_says_why_and_changes_nothing(stage, known):
    with pytest.raises(metronome.MetronomeRejected):
        grant(known, stage.now(), ends_at=stage.now() - timedelta(days=1))
    assert not LedgerEntry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_granting_at_once_grant_once(stage, alice):
    customers.provision(alice, stage.now())
    barrier, results = Barrier(2), []

    def work():
        try:
            barrier.wait()
            for _ in range(5):
                try:
                    results.append(grant(alice, stage.now()))
                    return
                except metronome.MetronomeUnavailable:
                    continue  # as the job would retry
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    alice.refresh_from_db()
    assert len(results) == 2
    assert len(set(results)) == 1
    assert Wallet.objects.get(customer=alice).balance == remote_balance(alice) == 1_000
    assert len(remote_contracts(alice)) == 1

"""Backfill creates what is missing at Metronome once, whatever fails on the way."""

from __future__ import annotations

from functools import partial

import pytest

from accounts.models import Customer, IngestAlias
from billing import metronome
from billing.management.commands import backfill_customers
from billing.models import Contract
from billing.subscriptions import choose as subscriptions
from billing.sync import contracts, customers
from billing.tests.money_stage import Killed, establish, refuse
from billing.tests.operate import run
from conftest import make_customer
from jobs.walk import walk
from operations import command

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    monkeypatch.setattr(command, "PATIENCE_SECONDS", ())


def at_metronome(customer):
    return metronome.find_customer(alias=customer.stable_alias)


def aliases_there(customer):
    return set(
        metronome.client.client()
        .v1.customers.retrieve(customer_id=customer.metronome_id)
        .data.ingest_aliases
    )


# --- backfill_customers ---------------------------------------------------------------------------


def test_missing_customers_are_created_with_their_aliases(stage, alice, bob):
    code, text = run("backfill_customers")

    assert code == 0
    assert "Summary: 2 created." in text
    for customer in (alice, bob):
        customer.refresh_from_db()
        assert customer.metronome_id == at_metronome(customer)
        assert aliases_there(customer) == set(customer.aliases.values_list("name", flat=True))
        assert (customer.due_at, customer.lease) == (None, None)


def test_a_customer_who_exists_at_metronome_is_linked(stage, alice):
    remote_id = metronome.create_customer(name="Alice", alias=alice.stable_alias)

    assert "1 linked" in run("backfill_customers").text
    alice.refresh_from_db()
    assert alice.metronome_id == remote_id


def test_a_second_run_has_nothing_to_do(stage, alice):
    run("backfill_customers")

    assert run("backfill_customers") == (0, "Summary: nothing to do.\n")


def test_a_dry_run_changes_nothing_on_either_side(stage, alice):
    code, text = run("backfill_customers", "--dry-run")

    assert code == 1
    assert "alice@example.com: would be created" in text
    assert at_metronome(alice) is None
    alice.refresh_from_db()
    assert alice.metronome_id is None


def test_a_dead_customer_row_is_processed_again(stage, alice, now):
    Customer.objects.filter(pk=alice.pk).update(dead_at=now, last_error="Rejected: 400", attempts=3)

    assert run("backfill_customers").code == 0
    alice.refresh_from_db()
    assert (alice.dead_at, alice.last_error) == (None, "")


def test_a_missing_stable_alias_is_created(stage, alice):
    stage.drain()
    IngestAlias.objects.filter(customer=alice, kind="stable").delete()

    assert "1 checked" in run("backfill_customers").text
    assert IngestAlias.objects.get(customer=alice, kind="stable").name == alice.stable_alias


def test_all_pushes_aliases_that_were_lost_at_metronome(stage, alice):
    stage.drain()
    alice.refresh_from_db()
    metronome.set_aliases(customer_id=alice.metronome_id, aliases=[alice.stable_alias])

    assert "nothing to do" in run("backfill_customers").text
    assert "1 checked" in run("backfill_customers", "--all").text
    assert "vocalis_alice@example.com" in aliases_there(alice)


def test_a_refused_customer_does_not_stop_the_others(stage, alice, bob, monkeypatch):
    create = metronome.create_customer

    def refusing(*, name, alias):
        if alias == alice.stable_alias:
            raise metronome.MetronomeRejected("400 no such name")
        return create(name=name, alias=alias)

    monkeypatch.setattr(metronome, "create_customer", refusing)
    code, text = run("backfill_customers")

    assert code == 1
    assert "alice@example.com: failed 400 no such name" in text
    assert "1 created, 1 failed" in text
    alice.refresh_from_db()
    assert alice.dead_at is not None


def test_an_outage_stops_the_run_and_the_next_run_continues(stage, alice, bob, monkeypatch):
    create = metronome.create_customer
    monkeypatch.setattr(
        metronome, "create_customer", refuse(metronome.MetronomeUnavailable("no answer"))
    )
    code, text = run("backfill_customers")
    monkeypatch.setattr(metronome, "create_customer", create)

    assert code == 1
    assert "no answer. Run it again to go on." in text
    assert run("backfill_customers").code == 0
    assert Customer.objects.exclude(metronome_id=None).count() == 2


def test_a_killed_run_leaves_one_customer(stage, alice, monkeypatch):
    push = customers._push_aliases
    monkeypatch.setattr(customers, "_push_aliases", refuse(Killed()))
    with pytest.raises(Killed):
        run("backfill_customers")
    monkeypatch.setattr(customers, "_push_aliases", push)

    assert "a worker is just at it" in run("backfill_customers").text
    stage.advance(minutes=3)
    stage.drain()
    alice.refresh_from_db()
    assert [row.id for row in stage.sandbox.world.store.customers] == [alice.metronome_id]


# --- backfill_contracts ---------------------------------------------------------------------------


def test_missing_contracts_are_created_for_customers_with_a_plan(stage, alice, bob):
    subscriptions.select_plan(customer=alice, plan="trial", key="k", now=stage.now())
    run("backfill_customers")

    code, text = run("backfill_contracts")

    assert code == 0
    assert "Summary: 1 created or found." in text
    assert Contract.objects.get().customer == alice
    assert "nothing to do" in run("backfill_contracts").text
    assert "1 created or found" in run("backfill_contracts", "--all").text


def test_an_unlinked_contract_is_found_by_its_name(stage, alice):
    contract = establish(stage, alice)
    subscriptions.select_plan(customer=alice, plan="trial", key="k", now=stage.now())
    Contract.objects.update(metronome_id=None)

    assert "would be linked" in run("backfill_contracts", "--dry-run").text
    assert run("backfill_contracts").code == 0
    assert Contract.objects.get().metronome_id == contract.metronome_id


def test_a_contract_waits_for_its_customer(stage, alice):
    subscriptions.select_plan(customer=alice, plan="trial", key="k", now=stage.now())

    code, text = run("backfill_contracts")

    assert code == 1
    assert "alice@example.com: waiting the customer is not at Metronome yet" in text


def test_many_customers_are_processed_in_chunks(stage, monkeypatch):
    monkeypatch.setattr(backfill_customers, "walk", partial(walk, chunk=2))
    for at in range(5):
        make_customer(f"c{at}@example.com", f"C{at}")

    assert "5 created" in run("backfill_customers").text
    assert contracts.Contract.objects.count() == 0

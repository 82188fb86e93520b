"""Each customer has one Metronome customer, whatever fails on the way."""

from __future__ import annotations

import pytest
from django.core import signing

from accounts import confirmation, profile
from accounts.models import Customer, IngestAlias
from billing import metronome
from billing.sync import customers
from billing.tests.money_stage import Killed, drain_killed
from jobs.worker import Worker, all_jobs

pytestmark = pytest.mark.django_db


def remote_customers():
    return list(metronome.client.client().v1.customers.list())


def email_alias(customer) -> IngestAlias:
    return IngestAlias.objects.get(customer=customer, kind="email")


def test_a_new_customer_is_created_with_both_aliases_the_stable_one_first(stage, alice):
    stage.drain()

    alice.refresh_from_db()
    (remote,) = remote_customers()
    assert (remote.id, remote.name) == (alice.metronome_id, "Alice Tester")
    assert remote.ingest_aliases == [alice.stable_alias, "vocalis_alice@example.com"]
    assert (alice.due_at, alice.last_error) == (None, "")
    assert {alias.pushed_at for alias in alice.aliases.all()} == {stage.now()}


def test_running_again_changes_nothing(stage, alice):
    for _ in range(3):
        Customer.objects.run_now(stage.now())
        stage.drain()
    assert len(remote_customers()) == 1


def test_a_customer_that_exists_is_found_and_not_created(stage, alice):
    metronome_id = metronome.create_customer(name="Made by hand", alias=alice.stable_alias)
    stage.drain()
    alice.refresh_from_db()
    assert alice.metronome_id == metronome_id
    assert len(remote_customers()) == 1


def test_a_new_name_is_pushed_to_metronome(stage, alice):
    stage.drain()
    profile.change(
        user=alice.user,
        first_name="A" * 80,
        last_name="B" * 100,
        email="alice@example.com",
        now=stage.now(),
    )
    stage.drain()

    (remote,) = remote_customers()
    assert remote.name == "A" * 80 + " " + "B" * 79
    assert Customer.objects.get().due_at is None


def test_a_name_changed_during_a_lost_call_is_pushed(stage, alice):
    stage.sandbox.faults.add("/v1/customers", "timeout_after", every=2)
    stage.drain()
    profile.change(
        user=alice.user,
        first_name="Alicia",
        last_name="T",
        email="alice@example.com",
        now=stage.now(),
    )
    stage.advance(minutes=3)
    stage.drain()

    assert [remote.name for remote in remote_customers()] == ["Alicia T"]


@pytest.mark.parametrize("call", ["find_customer", "create_customer", "set_aliases"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_around_any_call_leaves_one_customer(stage, alice, monkeypatch, call, when):
    real = getattr(metronome, call)

    def deadly(**arguments):
        monkeypatch.setattr(metronome, call, real)
        if when == "after":
            real(**arguments)
        raise Killed

    monkeypatch.setattr(metronome, call, deadly)
    assert drain_killed(stage)
    stage.drain()

    (remote,) = remote_customers()
    alice.refresh_from_db()
    assert alice.metronome_id == remote.id
    assert remote.ingest_aliases == [alice.stable_alias, "vocalis_alice@example.com"]


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "error_after"])
def test_a_lost_answer_leaves_one_customer(stage, alice, kind):
    stage.sandbox.faults.add("/v1/customers", kind, every=2, times=3)
    for _ in range(6):
        stage.drain()
        stage.advance(minutes=3)
    alice.refresh_from_db()
    assert [remote.id for remote in remote_customers()] == [alice.metronome_id]
    assert alice.due_at is None


def test_a_customer_a_concurrent_worker_created_is_used(stage, alice, monkeypatch):
    real = metronome.find_customer
    reads = []

    def read_then_lose(**arguments):
        reads.append(real(**arguments))
        if len(reads) == 1:
            metronome.create_customer(name="The other worker's", alias=alice.stable_alias)
            return None
        return real(**arguments)

    monkeypatch.setattr(metronome, "find_customer", read_then_lose)
    customers.provision(alice, stage.now())
    (remote,) = remote_customers()
    alice.refresh_from_db()
    assert (alice.metronome_id, remote.name) == (remote.id, "Alice Tester")


@pytest.mark.parametrize("is_answered", [True, False])
def test_what_a_worker_overwrites_after_its_lease_is_corrected(
    stage, alice, monkeypatch, is_answered
):
    stage.drain()
    Customer.objects.run_now(stage.now())
    real = metronome.set_aliases

    def late(**arguments):
        monkeypatch.setattr(metronome, "set_aliases", real)
        stage.advance(seconds=121)
        profile.change(
            user=alice.user,
            first_name="New",
            last_name="Name",
            email="new@example.com",
            now=stage.now(),
        )
        token = signing.dumps([alice.user_id, "new@example.com"], salt=confirmation.SALT)
        confirmation.confirm(token, stage.now())
        Worker(all_jobs(), clock=stage.now).drain()
        real(**arguments)
        if not is_answered:
            raise metronome.MetronomeUnavailable("no answer")

    monkeypatch.setattr(metronome, "set_aliases", late)
    stage.drain()
    stage.drain()

    (remote,) = remote_customers()
    assert [remote.name, *remote.ingest_aliases] == [
        "New Name",
        alice.stable_alias,
        "vocalis_new@example.com",
    ]
    assert Customer.objects.get().due_at is None


def test_an_email_alias_of_another_customer_is_noted_and_left_there(stage, alice):
    other = metronome.create_customer(name="Somebody else", alias="vocalis_alice@example.com")
    stage.drain()

    alice.refresh_from_db()
    assert other in email_alias(alice).conflict
    assert email_alias(alice).pushed_at is None
    aliases = {remote.id: remote.ingest_aliases for remote in remote_customers()}
    assert aliases == {
        other: ["vocalis_alice@example.com"],
        alice.metronome_id: [alice.stable_alias],
    }
    assert (alice.due_at, alice.dead_at) == (None, None)


def test_an_email_alias_metronome_refuses_is_noted_and_the_stable_one_pushed(stage, alice):
    stage.sandbox.faults.add("/v1/customers/", "status", status=409, body={"message": "taken"})
    stage.drain()

    alice.refresh_from_db()
    assert "taken" in email_alias(alice).conflict
    (remote,) = remote_customers()
    assert remote.ingest_aliases == [alice.stable_alias]
    assert alice.due_at is None


def test_a_resolved_conflict_is_cleared(stage, alice):
    other = metronome.create_customer(name="Somebody else", alias="vocalis_alice@example.com")
    stage.drain()
    metronome.set_aliases(customer_id=other, aliases=["their-own"])
    Customer.objects.filter(pk=alice.pk).run_now(stage.now())
    stage.drain()
    assert (email_alias(alice).conflict, email_alias(alice).pushed_at) == ("", stage.now())


def rename(customer, email, now):
    IngestAlias.objects.filter(customer=customer, kind="email").update(
        name=f"vocalis_{email}", pushed_at=None, conflict=""
    )
    Customer.objects.filter(pk=customer.pk).run_now(now)


def test_a_new_email_pushes_the_new_set(stage, alice):
    stage.drain()
    rename(alice, "alice@new.example", stage.now())
    stage.drain()
    (remote,) = remote_customers()
    assert remote.ingest_aliases == [alice.stable_alias, "vocalis_alice@new.example"]


def test_two_customers_may_swap_addresses(stage, alice, bob):
    stage.drain()
    rename(alice, "in-between", stage.now())
    rename(bob, "alice@example.com", stage.now())
    rename(alice, "bob@example.com", stage.now())
    for _ in range(3):
        stage.drain()
        stage.advance(seconds=5)

    aliases = {remote.ingest_aliases[0]: remote.ingest_aliases[1:] for remote in remote_customers()}
    assert aliases == {
        alice.stable_alias: ["vocalis_bob@example.com"],
        bob.stable_alias: ["vocalis_alice@example.com"],
    }
    assert not IngestAlias.objects.exclude(conflict="").exists()


def test_provisioning_is_retried_after_an_outage(stage, alice):
    stage.sandbox.faults.add("*", "status", status=503, times=None)
    stage.drain()
    alice.refresh_from_db()
    assert alice.metronome_id is None
    assert (alice.attempts, alice.dead_at) == (1, None)

    stage.sandbox.faults.clear()
    stage.advance(minutes=3)
    stage.drain()
    alice.refresh_from_db()
    assert alice.metronome_id

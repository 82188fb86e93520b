"""Credits a person gives: once, drawn first, and with a name and a reason to them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry

from billing import metronome
from billing.models import ComplimentaryGrant, CreditGrant, LedgerEntry
from billing.subscriptions import complimentary
from billing.sync import contracts
from billing.tests.money_stage import Killed, balance, establish, refuse, remote_balance
from billing.tests.operate import run
from conftest import make_customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def contract(stage, alice):
    return establish(stage, alice)


def test_a_complimentary_grant_arrives_on_both_sides_and_in_the_log(stage, alice, staff, contract):
    code, text = run(
        "grant_credits",
        "alice@example.com",
        5_000,
        "--reason",
        "Sorry for Tuesday",
        "--by",
        staff.email,
    )

    assert code == 0
    assert "granted 5,000 credits until" in text
    assert balance(alice) == remote_balance(alice) == 35_000
    grant = CreditGrant.objects.get(complimentarygrant__isnull=False)
    assert (grant.priority, grant.is_free, grant.kind, grant.name) == (
        5,
        True,
        "credit",
        "Complimentary credits",
    )
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (staff, str(alice.pk))
    assert "5,000 credits" in entry.change_message
    assert "Sorry for Tuesday" in entry.change_message
    assert LedgerEntry.objects.filter(kind="grant", grant=grant, amount=5_000).exists()


def test_the_same_command_twice_is_one_grant_and_a_key_makes_it_another(
    stage, alice, staff, contract
):
    command = ("grant_credits", "alice@example.com", 5_000, "--reason", "Sorry")
    run(*command)

    code, text = run(*command)
    assert code == 0
    assert "granted before" in text
    assert balance(alice) == 35_000
    assert "1 granted." in run(*command, "--key", "second").text
    assert balance(alice) == remote_balance(alice) == 40_000
    assert LogEntry.objects.count() == 2


def test_a_dry_run_gives_nothing(stage, alice, staff, contract):
    code, text = run("grant_credits", "alice@example.com", 5_000, "--reason", "Sorry", "--dry-run")

    assert code == 1
    assert "would be granted 5,000 credits" in text
    assert not ComplimentaryGrant.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_complimentary_grant_waits_out_an_outage_and_the_worker_makes_it(
    stage, alice, staff, contract, monkeypatch
):
    add_grant = metronome.add_grant
    monkeypatch.setattr(metronome, "add_grant", refuse(metronome.MetronomeUnavailable("no answer")))
    code, text = run("grant_credits", "alice@example.com", 5_000, "--reason", "Sorry")
    monkeypatch.setattr(metronome, "add_grant", add_grant)

    assert code == 1
    assert "waiting no answer; a worker goes on with it" in text
    stage.advance(minutes=1)
    stage.drain()
    assert balance(alice) == remote_balance(alice) == 35_000
    assert ComplimentaryGrant.objects.get().grant.granted == 5_000


def test_a_complimentary_grant_that_comes_after_its_own_end_lasts_as_long_as_it_was_to(
    stage, alice, staff, contract
):
    complimentary.give(
        customer=alice, credits=700, reason="r", by=staff, key="k-1", days=1, now=stage.now()
    )
    stage.advance(days=2)
    stage.drain()

    grant = ComplimentaryGrant.objects.get().grant
    assert grant.ends_at - stage.now() >= timedelta(days=1)
    assert balance(alice) == remote_balance(alice) == 30_700


def test_a_worker_killed_after_the_grant_gives_once(stage, alice, staff, contract, monkeypatch):
    complimentary_grant = complimentary.give(
        customer=alice, credits=700, reason="r", by=staff, key="k-1", now=stage.now()
    )
    record = contracts.grants.record
    monkeypatch.setattr(contracts.grants, "record", refuse(Killed()))
    with pytest.raises(Killed):
        stage.drain()
    monkeypatch.setattr(contracts.grants, "record", record)
    stage.advance(minutes=3)
    stage.drain()

    complimentary_grant.refresh_from_db()
    assert complimentary_grant.grant.key == "k-1"
    assert balance(alice) == remote_balance(alice) == 30_700


def test_a_complimentary_grant_makes_the_contract_of_one_who_has_none(stage, alice, staff):
    complimentary.give(
        customer=alice, credits=700, reason="r", by=staff, key="k-1", now=stage.now()
    )
    stage.advance(seconds=3)
    stage.drain()

    assert balance(alice) == 700
    assert ComplimentaryGrant.objects.get().due_at is None


def test_a_key_names_one_grant(stage, alice, staff, now):
    complimentary.give(customer=alice, credits=700, reason="r", by=staff, key="k-1", now=now)

    with pytest.raises(complimentary.GrantDiffers):
        complimentary.give(customer=alice, credits=800, reason="r", by=staff, key="k-1", now=now)
    with pytest.raises(ValueError, match="1 to 40,000,000"):
        complimentary.give(customer=alice, credits=0, reason="r", by=staff, key="k-2", now=now)
    with pytest.raises(ValueError, match="1 to 3,660 days"):
        complimentary.give(
            customer=alice, credits=1, reason="r", by=staff, key="k-2", days=3_661, now=now
        )


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("nobody@example.com", 5), "There is no customer nobody@example.com."),
        (("alice@example.com", 0), "Credits are 1 to 40,000,000, and days 1 to 3,660."),
        (("alice@example.com", 40_000_001), "Credits are 1 to 40,000,000, and days 1 to 3,660."),
        (
            ("alice@example.com", 5, "--days", 0),
            "Credits are 1 to 40,000,000, and days 1 to 3,660.",
        ),
        (
            ("alice@example.com", 5, "--days", 3_000_000),
            "Credits are 1 to 40,000,000, and days 1 to 3,660.",
        ),
        (
            ("alice@example.com", 5, "--by", "alice@example.com"),
            "alice@example.com is not a member of staff.",
        ),
        (("alice@example.com", 5, "--by", ""), " is not a member of staff."),
    ],
)
def test_what_makes_no_sense_is_refused(alice, staff, args, text):
    assert run("grant_credits", *args, "--reason", "Sorry") == (1, text)
    assert not ComplimentaryGrant.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", "...", "ok", "-- 1 --"])
def test_a_reason_must_say_something(alice, staff, reason):
    code, text = run("grant_credits", "alice@example.com", 5, f"--reason={reason}")

    assert (code, text) == (
        1,
        "Error: argument --reason: say why, in 3 letters at least; it is kept in the log",
    )
    assert not ComplimentaryGrant.objects.exists()


def test_with_several_superusers_the_giver_must_be_named(alice, staff):
    other = make_customer("other@example.com", "Other", is_staff=True, is_superuser=True)

    assert (
        "Say who decides it"
        in run("grant_credits", "alice@example.com", 5, "--reason", "Sorry").text
    )
    assert other.user.is_superuser


def test_a_customer_is_found_by_whatever_an_operator_has(alice, staff):
    type(alice).objects.filter(pk=alice.pk).update(metronome_id="m-1")

    for name in (
        "ALICE@example.com",
        alice.pk,
        "m-1",
        alice.stable_alias,
        "vocalis_alice@example.com",
    ):
        assert (
            "alice@example.com: would be"
            in run("grant_credits", name, 5, "--reason", "Sorry", "--dry-run").text
        )

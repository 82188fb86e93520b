"""A credit back is new credits, once; what was reported stays reported."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from billing import metronome
from billing.models import ComplimentaryGrant, CreditGrant, LedgerEntry
from billing.tests.money_stage import balance, establish, refuse, remote_balance
from billing.tests.operate import run
from usage import credit_back
from usage.models import Generation, UsageEvent
from usage.speech import speak

pytestmark = pytest.mark.django_db


@pytest.fixture
def generation(stage, alice):
    """Eleven credits' worth of speech, reported."""
    establish(stage, alice)
    made = speak.speak(
        customer=alice, text="Hello world", voice_id="standard-ava", key="k", now=stage.now()
    )
    stage.drain()
    return made


def test_a_credit_back_is_a_credit_of_its_own_on_both_sides(stage, alice, staff, generation):
    before = list(UsageEvent.objects.values())

    row = credit_back.credit_back(
        generation=generation, by=staff, reason="It stuttered", now=stage.now()
    )
    stage.drain()

    grant = CreditGrant.objects.get(key=f"vocalis-credit-back-{generation.pk}")
    assert (grant.priority, grant.granted, grant.kind, grant.name) == (
        5,
        11,
        "credit",
        "Credits back",
    )
    assert LedgerEntry.objects.filter(kind="grant", grant=grant, amount=11).exists()
    assert balance(alice) == remote_balance(alice) == 30_000
    assert list(UsageEvent.objects.values()) == before
    generation.refresh_from_db()
    assert generation.credit_back == row
    assert generation.credit_back.grant == grant
    assert (row.kind, row.reason, row.by) == ("credit_back", "It stuttered", staff)


def test_a_second_credit_back_is_the_first(stage, alice, staff, generation):
    first = credit_back.credit_back(
        generation=generation, by=staff, reason="It stuttered", now=stage.now()
    )
    stage.drain()

    again = credit_back.credit_back(
        generation=generation, by=staff, reason="Again", now=stage.now()
    )
    stage.drain()

    assert again == first
    assert ComplimentaryGrant.objects.get().reason == "It stuttered"
    assert balance(alice) == remote_balance(alice) == 30_000


@pytest.mark.parametrize("state", ["pending", "failed"])
def test_what_cost_nothing_is_not_credited_back(staff, alice, now, state):
    generation = Generation.objects.create(
        customer=alice,
        key="k",
        body_hash="h",
        text="x",
        voice="standard-ava",
        voice_name="Ava",
        voice_type="standard",
        characters=1,
        credits=1,
        state=state,
        created_at=now,
        taken_at=now,
    )

    with pytest.raises(credit_back.NotCreditable, match=state):
        credit_back.credit_back(generation=generation, by=staff, reason="r", now=now)
    assert not ComplimentaryGrant.objects.exists()


# --- credit_back_generation -----------------------------------------------------------------------


def test_the_command_credits_back_at_once_and_in_a_name(stage, alice, staff, generation):
    code, text = run(
        "credit_back_generation", generation.pk, "--reason", "It stuttered", "--by", staff.email
    )

    assert code == 0
    assert "alice@example.com: granted 11 credits until" in text
    assert balance(alice) == remote_balance(alice) == 30_000
    generation.refresh_from_db()
    assert (
        generation.credit_back.kind,
        generation.credit_back.by,
        generation.credit_back.grant.granted,
    ) == (
        "credit_back",
        staff,
        11,
    )
    assert LogEntry.objects.get().user == staff
    assert "It stuttered" in LogEntry.objects.get().change_message


def test_the_command_twice_credits_back_once(stage, alice, staff, generation):
    run("credit_back_generation", generation.pk, "--reason", "It stuttered")

    code, text = run("credit_back_generation", generation.pk, "--reason", "Another reason")

    assert code == 0
    assert "1 credited back before." in text
    assert ComplimentaryGrant.objects.get().reason == "It stuttered"
    assert balance(alice) == remote_balance(alice) == 30_000


def test_a_dry_run_of_the_command_changes_nothing(stage, alice, staff, generation):
    code, text = run("credit_back_generation", generation.pk, "--reason", "Sorry", "--dry-run")

    assert code == 1
    assert "would be credited back 11 credits" in text
    assert not ComplimentaryGrant.objects.exists()


def test_the_command_goes_on_with_a_credit_back_that_waits(
    stage, alice, staff, generation, monkeypatch
):
    with monkeypatch.context() as outage:
        outage.setattr(metronome, "add_grant", refuse(metronome.MetronomeUnavailable("no answer")))
        code, text = run("credit_back_generation", generation.pk, "--reason", "Sorry")
    assert code == 1
    assert "waiting no answer; a worker goes on with it" in text

    assert "1 granted." in run("credit_back_generation", generation.pk, "--reason", "Sorry").text
    assert balance(alice) == remote_balance(alice) == 30_000


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_the_command_refuses_what_cost_nothing(staff, alice, now, flags):
    generation = Generation.objects.create(
        customer=alice,
        key="k",
        body_hash="h",
        text="x",
        voice="standard-ava",
        voice_name="Ava",
        voice_type="standard",
        characters=1,
        credits=1,
        state="failed",
        created_at=now,
        taken_at=now,
    )

    assert run("credit_back_generation", generation.pk, "--reason", "Sorry", *flags) == (
        1,
        "Not credited back: the generation is failed: it cost nothing.",
    )
    assert not ComplimentaryGrant.objects.exists()


def test_the_command_names_a_generation_that_is_not_there(staff, alice):
    unknown = "00000000-0000-4000-8000-000000000000"

    assert (
        "argument --reason: say why"
        in run("credit_back_generation", unknown, "--reason", "?!").text
    )
    assert run("credit_back_generation", unknown, "--reason", "Sorry") == (
        1,
        f"There is no generation {unknown}.",
    )

"""Usage is compared by closed hour and voice type,
and what is missing at Metronome is sent again, counted once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import Customer
from billing import ledger, metronome
from billing.models import Wallet
from billing.sync import customers
from billing.tests.money_stage import balance, establish, remote_balance
from billing.tests.operate import run
from usage.management.commands import backfill_usage
from usage.metering import comparison
from usage.models import UsageEvent
from usage.speech import capture

pytestmark = pytest.mark.django_db


@pytest.fixture
def spend(stage, alice, monkeypatch):
    """`spend("a", 100)`: that many characters of alice now, under that transaction id;
    reported by stage.drain()."""
    monkeypatch.setattr("operations.command.timezone.now", stage.now)
    establish(stage, alice)

    def do(name, characters, voice_type="standard"):
        now = stage.now()
        credits = characters * (2 if voice_type == "premium" else 1)
        reservation = ledger.reserve(
            wallet_id=Wallet.objects.get(customer=alice).pk, key=name, amount=credits, now=now
        )
        capture.capture_and_report(
            customer_id=alice.pk,
            reservation=reservation,
            transaction_id=name,
            event_type="voice_generation",
            properties={"voice_type": voice_type, "text_length": str(characters)},
            now=now,
        )

    return do


def lose(stage, *names):
    """Note events as sent that never arrived."""
    events = UsageEvent.objects.filter(transaction_id__in=names)
    events.update(due_at=None, sent_at=stage.now())
    ledger.acknowledge(
        reservation_ids=events.values_list("reservation_id", flat=True), now=stage.now()
    )


def close_the_hour(stage):
    stage.advance(minutes=90)


def ingest(stage, name, **fields):
    event = {
        "transaction_id": name,
        "event_type": "voice_generation",
        "timestamp": stage.now().isoformat(),
        "properties": {"voice_type": "standard", "text_length": "40"},
    }
    metronome.ingest([event | fields])


def test_usage_that_agrees_is_counted(stage, spend):
    spend("a", 100)
    spend("b", 100, "premium")
    stage.drain()
    close_the_hour(stage)

    assert run("backfill_usage", "--since", "1d") == (0, "Summary: 1 agree.\n")


def test_events_missing_at_metronome_are_named_and_sent_again(stage, alice, spend):
    spend("there", 100)
    stage.drain()
    spend("lost", 50)
    spend("lost-premium", 30, "premium")
    lose(stage, "lost", "lost-premium")
    hour = stage.now().strftime("%Y-%m-%d %H:00")
    close_the_hour(stage)

    code, text = run("backfill_usage", "--since", "1d", "--dry-run")
    assert code == 1
    assert (
        f"alice@example.com {hour} voice_generation standard: "
        "would be sent again Vocalis 150, Metronome 100; missing at Metronome: lost\n"
    ) in text
    assert f"{hour} voice_generation premium: would be sent again Vocalis 30, Metronome 0" in text
    assert not UsageEvent.objects.exclude(due_at=None).exists()

    code, text = run("backfill_usage", "--since", "1d")
    assert code == 0
    assert "2 sent again" in text
    stage.drain()
    assert run("backfill_usage", "--since", "1d") == (0, "Summary: 1 agree.\n")
    assert balance(alice) == remote_balance(alice) == 30_000 - 100 - 50 - 60


def test_however_many_are_missing_each_is_named(stage, spend):
    names = [f"lost-{at}" for at in range(comparison.NAMED_MAX + 5)]
    for name in names:
        spend(name, 1)
    lose(stage, *names)
    close_the_hour(stage)

    assert (
        f"missing at Metronome: {', '.join(names)}\n" in run("backfill_usage", "--since", "1d").text
    )


def test_the_events_of_one_hour_at_a_time_are_in_memory(stage, alice, spend, monkeypatch):
    for name in ("early", "late"):
        spend(name, 1)
        lose(stage, name)
        close_the_hour(stage)
    looked_into = []
    explained = comparison.explained
    monkeypatch.setattr(
        comparison, "explained", lambda *args: looked_into.append(1) or explained(*args)
    )
    since, everybody = stage.now() - timedelta(days=1), Customer.objects.all()

    first, last = comparison.closed_hours(since, stage.now(), now=stage.now())

    outcomes = backfill_usage.repair(
        everybody, since=first, until=last, dry_run=True, now=stage.now()
    )

    assert [(len(looked_into), outcome.word) for outcome in outcomes] == [
        (0, "with differences"),
        (1, "would be sent again"),
        (2, "would be sent again"),
    ]


def test_sending_an_event_twice_counts_once(stage, alice, spend):
    spend("a", 100)
    stage.drain()
    UsageEvent.objects.all().run_now(stage.now())
    stage.drain()

    assert remote_balance(alice) == 29_900


def test_events_that_were_given_up_are_sent_again(stage, spend):
    spend("dead", 50)
    UsageEvent.objects.update(dead_at=stage.now(), last_error="Rejected: 400")
    close_the_hour(stage)

    assert "missing at Metronome: dead" in run("backfill_usage", "--since", "1d").text
    stage.drain()
    assert run("backfill_usage", "--since", "1d").code == 0


def test_usage_that_only_metronome_has_is_named_and_left(stage, alice, spend):
    ingest(stage, "unknown", customer_id=alice.stable_alias)
    close_the_hour(stage)

    code, text = run("backfill_usage", "--since", "1d")

    assert code == 1
    assert "open Vocalis 0, Metronome 40; 40 at Metronome that no event of ours explains" in text


def test_missing_and_unknown_usage_do_not_hide_each_other(stage, alice, spend):
    spend("lost", 30)
    lose(stage, "lost")
    ingest(stage, "unknown", customer_id=alice.stable_alias)
    close_the_hour(stage)

    code, text = run("backfill_usage", "--since", "1d")

    assert code == 1
    assert "missing at Metronome: lost; 40 at Metronome that no event of ours explains" in text


def test_events_on_their_way_are_said_to_be(stage, spend):
    spend("waiting", 50)
    close_the_hour(stage)

    code, text = run("backfill_usage", "--since", "1d")

    assert code == 1
    assert "still on their way: waiting" in text
    assert UsageEvent.objects.get().attempts == 0


def test_events_that_match_no_customer_at_metronome_are_named(stage, alice, spend):
    spend("a", 50)
    stage.drain()
    metronome.set_aliases(customer_id=alice.metronome_id, aliases=["something-else"])
    close_the_hour(stage)

    code, text = run("backfill_usage", "--since", "1d")
    assert code == 1
    assert "counted for nobody (backfill_customers, bootstrap_metronome): a" in text

    customers.provision(alice, stage.now())
    assert run("backfill_usage", "--since", "1d").code == 0


def test_own_voices_are_compared_by_number(stage, alice, spend):
    reservation = ledger.reserve(
        wallet_id=Wallet.objects.get().pk, key="v", amount=25_000, now=stage.now()
    )
    capture.capture_and_report(
        customer_id=alice.pk,
        reservation=reservation,
        transaction_id="v",
        event_type="voice_cloning",
        properties={"voice_id": "1"},
        now=stage.now(),
    )
    lose(stage, "v")
    close_the_hour(stage)

    assert (
        "voice_cloning: sent again Vocalis 1, Metronome 0; missing at Metronome: v"
        in run("backfill_usage", "--since", "1d").text
    )


def test_an_hour_is_compared_only_when_nothing_new_can_come_into_it(stage, spend):
    spend("lost", 50)
    lose(stage, "lost")

    assert "agree" in run("backfill_usage", "--since", "1d").text


def test_older_than_34_days_is_refused(stage, spend):
    code, text = run("backfill_usage", "--since", "35d")

    assert code == 1
    assert "Metronome takes events of the last 34 days, so since" in text
    assert "grant_credits" in text


def test_the_whole_34_days_can_be_compared(stage, spend):
    read_a_moment_ago = stage.now() - timedelta(days=34, seconds=2)

    assert (
        "Summary: 1 agree." in run("backfill_usage", "--since", read_a_moment_ago.isoformat()).text
    )


def test_a_time_without_a_closed_hour_is_refused(stage, spend):
    until = stage.now().strftime("%Y-%m-%dT%H:%M")

    assert (
        "There is no closed hour in that time"
        in run("backfill_usage", "--since", until, "--until", until).text
    )
    assert run("backfill_usage") == (1, "Say since when: --since 2026-01-31T10:00, or --since 34d.")


def test_a_customer_not_yet_at_metronome_is_named(stage, alice, bob, spend):
    spend("a", 1)
    stage.drain()
    UsageEvent.objects.update(customer=bob)
    type(bob).objects.filter(pk=bob.pk).update(metronome_id=None)
    close_the_hour(stage)

    code, text = run("backfill_usage", "--since", "1d", "--customer", "bob@example.com")

    assert code == 1
    assert (
        "bob@example.com: without a Metronome customer not at Metronome yet: backfill_customers"
        in text
    )


def test_a_customer_without_a_name_is_not_everybody(stage, spend):
    spend("lost", 50)
    lose(stage, "lost")
    close_the_hour(stage)

    assert run("backfill_usage", "--since", "1d", "--customer", "") == (1, "There is no customer .")
    assert not UsageEvent.objects.exclude(due_at=None).exists()


def test_days_and_pages_are_put_together(stage, alice, spend):
    for at in range(3):
        spend(f"event-{at}", 10 + at)
        stage.drain()
        stage.advance(days=1)
    stage.sandbox.world.settings.page_size = 1

    since, until = comparison.closed_hours(
        stage.now() - timedelta(days=10), stage.now(), now=stage.now()
    )

    assert list(comparison.discrepancies(alice, since=since, until=until)) == []

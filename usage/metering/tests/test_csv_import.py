"""Usage of another system comes in whole or not at all, once, and both sides then agree."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from billing.models import Contract, Reservation, Wallet
from billing.tests.money_stage import balance, establish, remote_balance, spend_in_ledger
from billing.tests.operate import run
from jobs import walk
from operations import command
from usage.metering import csv_import
from usage.models import UsageEvent

pytestmark = pytest.mark.django_db
HEAD = "transaction_id,customer,event_type,timestamp,voice_type,text_length"


@pytest.fixture
def at(stage, alice, monkeypatch):
    """A timestamp an hour ago, within alice's contract. The commands read the stage's clock."""
    monkeypatch.setattr("operations.command.timezone.now", stage.now)
    establish(stage, alice)
    stage.advance(hours=2)
    return (stage.now() - timedelta(hours=1)).isoformat().replace("+00:00", "Z")


@pytest.fixture
def load(tmp_path):
    def load(*lines, head=HEAD, encoding="utf-8", options=()):
        path = tmp_path / "usage.csv"
        path.write_bytes("\n".join([head, *lines]).encode(encoding))
        return run("backfill_usage", "--from-csv", path, *options)

    return load


def test_rows_become_captured_usage_that_metronome_counts(stage, alice, load, at):
    code, text = load(
        f"t-1,{alice.stable_alias},voice_generation,{at},standard,100",
        f"t-2,vocalis_alice@example.com,voice_generation,{at},premium,50",
    )

    assert code == 0
    assert "Summary: 2 imported." in text
    event = UsageEvent.objects.get(transaction_id="t-2")
    assert event.properties == {"voice_type": "premium", "text_length": "50"}
    assert event.happened_at.isoformat() == at.replace("Z", "+00:00")
    assert (event.credits, event.reservation.captured) == (100, 100)
    stage.drain()
    assert balance(alice) == remote_balance(alice) == 29_800


def test_progress_counts_to_the_rows_that_are_new(at, alice, load, monkeypatch):
    monkeypatch.setattr(command, "LINE_SECONDS", 0)
    lines = [f"t-{n},{alice.stable_alias},voice_generation,{at},standard,1" for n in range(3)]
    load(lines[0])

    assert load(*lines).text.startswith("1 of 2\n2 of 2\nSummary: 2 imported.")


def test_a_second_run_imports_nothing_twice(stage, alice, load, at):
    line = f"t-1,{alice.stable_alias},voice_generation,{at},standard,100"
    load(line)

    assert load(line) == (0, "Summary: nothing to do.\n")
    assert balance(alice) == 29_900
    assert (
        "1 imported"
        in load(line, f"t-2,{alice.stable_alias},voice_generation,{at},standard,1").text
    )


def test_one_bad_row_stops_the_whole_file_and_every_bad_row_is_named(alice, load, at, stage):
    old = (stage.now() - timedelta(days=35)).isoformat()
    late = (stage.now() + timedelta(minutes=5)).isoformat()
    name = alice.stable_alias
    code, text = load(
        f"t-1,{name},voice_generation,{at},standard,100",
        f"t-2,nobody,voice_generation,{at},standard,100",
        f"t-3,{name},voice_dubbing,{at},standard,100",
        f"t-4,{name},voice_generation,yesterday,standard,100",
        f"t-5,{name},voice_generation,2026-01-31T10:00:00,standard,100",
        f"t-6,{name},voice_generation,{old},standard,100",
        f"t-7,{name},voice_generation,{late},standard,100",
        f"t-8,{name},voice_generation,{at},golden,100",
        f"t-9,{name},voice_generation,{at},standard,-1",
        f"t-10,{name},voice_generation,{at},standard",
        f"t-1,{name},voice_generation,{at},standard,5",
        f",{name},voice_generation,{at},standard,5",
        f"{'x' * 129},{name},voice_generation,{at},standard,5",
    )

    assert code == 1
    assert text.splitlines() == [
        "line 3: nobody has the ingest alias “nobody”",
        "line 4: event_type must be voice_generation or voice_cloning",
        "line 5: timestamp must be like 2026-01-31T10:00:00Z, not “yesterday”",
        "line 6: timestamp “2026-01-31T10:00:00” has no time zone; write Z for UTC",
        "line 7: timestamp is older than the 34 days of which Metronome takes events",
        "line 8: timestamp is in the future",
        "line 9: voice_type must be standard or premium",
        "line 10: text_length must be a whole number from 1 to 10,000,000",
        "line 11: not as many fields as columns",
        "line 12: transaction_id t-1 is on line 2 already",
        "line 13: transaction_id must have 1 to 128 characters",
        "line 14: transaction_id must have 1 to 128 characters",
        "Nothing was imported.",
    ]
    assert not UsageEvent.objects.exists()
    assert not Reservation.objects.exists()


def test_more_usage_than_credits_is_refused_before_anything_is_done(alice, load, at):
    name = alice.stable_alias
    code, text = load(
        f"t-1,{name},voice_generation,{at},standard,20000",
        f"t-2,{name},voice_generation,{at},standard,20000",
    )

    assert code == 1
    assert f"line 2 and on: customer {alice.pk} has 30,000 credits, and 40,000 are needed" in text
    assert balance(alice) == 30_000


def test_a_frozen_wallet_takes_no_usage(alice, load, at, now):
    Wallet.objects.update(frozen_at=now)

    assert "is frozen" in load(f"t-1,{alice.stable_alias},voice_generation,{at},standard,1").text


def test_a_transaction_id_of_other_usage_is_refused(alice, load, at):
    load(f"t-1,{alice.stable_alias},voice_generation,{at},standard,100")

    code, text = load(f"t-1,{alice.stable_alias},voice_generation,{at},standard,101")

    assert code == 1
    assert "line 2: transaction_id t-1 belongs to another event" in text


def test_a_dry_run_checks_and_imports_nothing(alice, load, at):
    code, text = load(
        f"t-1,{alice.stable_alias},voice_generation,{at},standard,100", options=["--dry-run"]
    )

    assert code == 1
    assert "would be imported 1 new events" in text
    assert not UsageEvent.objects.exists()


def test_own_voices_and_further_properties_come_in(alice, load, at):
    head = "timestamp,customer,transaction_id,event_type,voice_id,studio"
    code, _ = load(
        f"{at},{alice.stable_alias},t-1,voice_cloning,v1,Nord", head=head, encoding="utf-8-sig"
    )

    assert code == 0
    event = UsageEvent.objects.get()
    assert (event.credits, event.properties) == (25_000, {"voice_id": "v1", "studio": "Nord"})


def test_files_longer_than_a_chunk_are_imported_whole(alice, load, at, monkeypatch):
    monkeypatch.setattr("usage.metering.csv_import.CHUNK", 3)

    lines = [f"t-{n},{alice.stable_alias},voice_generation,{at},standard,1" for n in range(10)]

    assert "10 imported" in load(*lines).text
    assert balance(alice) == 29_990
    assert walk.CHUNK == 500


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ("transaction_id,customer", "The file lacks the columns event_type, timestamp."),
        ("", "The file lacks the columns transaction_id, customer, event_type, timestamp."),
    ],
)
def test_missing_columns_are_named(load, head, text, db):
    assert load(head=head) == (1, text)


def test_what_is_no_csv_in_utf_8_is_refused(load, tmp_path, db):
    assert "is no CSV file in UTF-8" in load("t-1,é", encoding="latin-1").text
    assert "No such file" in run("backfill_usage", "--from-csv", tmp_path / "missing.csv").text
    assert "goes with --dry-run only" in load(options=["--since", "1d"]).text


def test_what_can_be_read_only_once_is_refused(tmp_path, db):
    os.mkfifo(tmp_path / "pipe")

    assert (
        "is no file: it is read twice"
        in run("backfill_usage", "--from-csv", tmp_path / "pipe").text
    )


def test_usage_from_before_the_contract_is_refused(stage, alice, load, at):
    begun = Contract.objects.get(customer=alice).starts_at
    before = (begun - timedelta(seconds=1)).isoformat()

    code, text = load(
        f"t-1,{alice.stable_alias},voice_generation,{begun.isoformat()},standard,100",
        f"t-2,{alice.stable_alias},voice_generation,{before},standard,100",
    )

    assert code == 1
    assert text.splitlines() == [
        f"line 3: {begun - timedelta(seconds=1):%Y-%m-%d %H:%M:%S} UTC is before the customer's "
        f"contract began at Metronome, {begun:%Y-%m-%d %H:%M} UTC: it would never be counted there",
        "Nothing was imported.",
    ]
    assert not UsageEvent.objects.exists()


def test_a_customer_without_a_contract_is_refused(bob, load, at):
    text = load(f"t-1,{bob.stable_alias},voice_generation,{at},standard,100").text

    assert "line 2: the customer has no contract at Metronome yet" in text


def test_an_import_interrupted_between_two_batches_goes_on_exactly_once(
    stage, alice, at, tmp_path, load, monkeypatch
):
    monkeypatch.setattr("usage.metering.csv_import.AT_ONCE", 3)
    lines = [
        f"t-{n},{alice.stable_alias},voice_generation,{at},standard,{n + 1}" for n in range(10)
    ]
    path = tmp_path / "usage.csv"
    path.write_text("\n".join([HEAD, *lines]))
    run_once = csv_import.load(path, now=stage.now())

    assert [next(run_once).line for _ in range(4)] == [2, 3, 4, 5]
    run_once.close()
    assert UsageEvent.objects.count() == Reservation.objects.filter(state="captured").count() == 6

    assert load(*lines) == (
        0,
        "Summary: 4 imported.\nNo worker is running: it goes on when one does.\n",
    )
    assert UsageEvent.objects.count() == 10
    assert balance(alice) == 30_000 - sum(range(1, 11))
    stage.drain()
    assert remote_balance(alice) == balance(alice)


def test_rows_that_find_too_few_credits_after_the_check_fail_alone(stage, alice, at, tmp_path):
    path = tmp_path / "usage.csv"
    lengths = [100, 200, 50]
    lines = [
        f"t-{n},{alice.stable_alias},voice_generation,{at},standard,{m}"
        for n, m in enumerate(lengths)
    ]
    path.write_text("\n".join([HEAD, *lines]))
    assert csv_import.check(path, now=stage.now()) == 3
    spend_in_ledger(alice, stage, 29_800)  # somebody spends meanwhile

    rows = csv_import.load(path, now=stage.now())
    assert [tuple(one) for one in rows] == [
        (2, "imported", ""),
        (3, "failed", "200 credits needed, 100 available"),
        (4, "imported", ""),
    ]
    assert balance(alice) == 50


def test_a_transaction_id_that_is_the_key_of_other_credits_fails(stage, alice, at, load):
    spend_in_ledger(alice, stage, 5, key="t-1")

    code, text = load(
        f"t-1,{alice.stable_alias},voice_generation,{at},standard,5",
        f"t-2,{alice.stable_alias},voice_generation,{at},standard,5",
    )

    assert code == 1
    assert "line 2: failed transaction_id t-1 is the key of other credits reserved or spent" in text
    assert balance(alice) == 29_990

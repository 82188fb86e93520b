import threading
from queue import Empty, Queue

import pytest
from django.db import DatabaseError, OperationalError

from billing import ledger
from billing.live import balance
from billing.live.watcher import Watcher
from conftest import fund
from tests.stopwatch import Stopwatch

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reports():
    return Queue()


@pytest.fixture
def watcher(reports, monkeypatch):
    monkeypatch.setattr("billing.live.watcher.READ_SECONDS", 0.05)
    watcher = Watcher(reports.put)
    watcher.start()
    yield watcher
    watcher.stop()
    watcher._thread.join(5)


def state_of(wallet):
    return balance.states([wallet.id])[0]


def versions(reports, seconds=0.2):
    """The versions reported until nothing is reported for `seconds`."""
    found = []
    try:
        while True:
            found += [state.version for state in reports.get(timeout=seconds)]
    except Empty:
        return found


def test_a_change_without_a_wake_up_is_reported_within_a_second(watcher, reports, wallet, now):
    watcher.watch(state_of(wallet))
    assert versions(reports) == [1]

    ledger.reserve(wallet_id=wallet.id, key="k", amount=10, now=now)

    (state,) = reports.get(timeout=5)
    assert (state.version, state.reserved) == (2, 10)


def test_a_quiet_wallet_is_not_reported_again(watcher, reports, wallet):
    watcher.watch(state_of(wallet))
    assert versions(reports) == [1]

    assert versions(reports, seconds=0.3) == []


def test_a_woken_wallet_is_read_before_the_second_is_over(reports, wallet, now):
    watcher = Watcher(reports.put)
    watcher.start()
    watcher.watch(state_of(wallet))
    reports.get(timeout=5)
    ledger.reserve(wallet_id=wallet.id, key="k", amount=10, now=now)
    stopwatch = Stopwatch()

    watcher.wake([wallet.id])

    assert reports.get(timeout=5)[0].version == 2
    assert stopwatch.seconds() < 0.5
    watcher.stop()
    watcher._thread.join(5)


def test_many_wake_ups_are_one_read(watcher, reports, alice, bob, wallet, now):
    other = fund(bob, 70, now)
    for each in (wallet, other):
        watcher.watch(state_of(each))
    versions(reports)

    watcher.wake([wallet.id, other.id])

    assert {state.wallet_id for state in reports.get(timeout=5)} == {wallet.id, other.id}


def test_a_wallet_without_a_stream_is_not_read(watcher, reports, wallet, now):
    watcher.watch(state_of(wallet))
    versions(reports)
    watcher.forget(wallet.id)
    ledger.reserve(wallet_id=wallet.id, key="k", amount=10, now=now)

    watcher.wake([wallet.id, wallet.id + 1])

    assert versions(reports) == []


def test_a_change_between_reading_the_first_state_and_watching_is_reported(
    watcher, reports, wallet, now
):
    first = state_of(wallet)
    ledger.reserve(wallet_id=wallet.id, key="k", amount=10, now=now)

    watcher.watch(first)

    assert reports.get(timeout=5)[0].version == 2


@pytest.mark.parametrize(
    ("error", "traced"), [(OperationalError("gone"), False), (DatabaseError("a bug"), True)]
)
def test_a_failing_database_is_logged_and_what_was_missed_is_reported_later(
    watcher, reports, wallet, now, monkeypatch, caplog, error, traced
):
    watcher.watch(state_of(wallet))
    versions(reports)
    failed = threading.Event()
    read = balance.states

    def fail(ids):
        monkeypatch.setattr(balance, "states", read)
        failed.set()
        raise error

    monkeypatch.setattr(balance, "states", fail)
    ledger.reserve(wallet_id=wallet.id, key="k", amount=10, now=now)
    watcher.wake([wallet.id])

    assert failed.wait(5)
    assert reports.get(timeout=5)[0].version == 2
    assert (
        f"reading wallets failed ({error})" in caplog.text
        and ("Traceback" in caplog.text) == traced
    )


def test_a_stopped_watcher_ends_its_thread(wallet, reports):
    watcher = Watcher(reports.put)
    watcher.start()
    watcher.watch(state_of(wallet))

    watcher.stop()
    watcher._thread.join(2)

    assert not watcher._thread.is_alive()

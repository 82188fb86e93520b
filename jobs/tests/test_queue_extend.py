"""A lease is renewed while the work goes on: `queue.extend`."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from billing.models import InboundWebhook
from jobs import queue
from jobs.errors import Rejected

ROWS = InboundWebhook.objects
MINUTE = timedelta(minutes=1)


def add(now, count: int = 1) -> None:
    for at in range(count):
        ROWS.create(event_id=f"event-{at}", type="test", payload={}, received_at=now, due_at=now)


def claim(now, limit: int = 1):
    return queue.claim(InboundWebhook, now=now, limit=limit, lease_seconds=60)


@pytest.fixture
def held(db, now):
    add(now)
    return claim(now)[0]


def test_an_extended_lease_lasts_from_now_on(held, now):
    assert queue.extend(held, seconds=60, now=now + timedelta(seconds=50))

    assert claim(now + timedelta(seconds=109)) == []
    assert len(claim(now + timedelta(seconds=112))) == 1


def test_a_row_whose_lease_was_extended_completes_as_any_other(held, now):
    queue.extend(held, seconds=300, now=now)

    assert queue.complete([held]) == 1

    row = ROWS.get()
    assert (row.due_at, row.lease, row.leased_until) == (None, None, None)


def test_a_row_whose_lease_was_extended_can_be_given_up(held, now):
    queue.extend(held, seconds=300, now=now)

    queue.fail(held, Rejected("no"), now=now)

    assert ROWS.get().dead_at == now


def test_an_extension_never_ends_earlier_than_the_lease(held, now):
    end = held.leased_until

    assert queue.extend(held, seconds=1, now=now)

    assert (held.leased_until, ROWS.get().leased_until, ROWS.get().due_at) == (end, end, end)


@pytest.mark.parametrize("when", ["before", "after", "between two"])
def test_a_run_asked_for_is_not_lost_by_an_extension(when, held, now):
    if when != "before":
        queue.extend(held, seconds=120, now=now)
    ROWS.run_now(now)
    if when != "after":
        queue.extend(held, seconds=180, now=now)
    assert claim(now + MINUTE + timedelta(seconds=30)) == [], "the lease holds"

    queue.complete([held])

    assert ROWS.get().due_at == now
    assert len(claim(now)) == 1


def test_a_run_asked_for_the_end_of_the_former_lease_is_not_lost(held, now):
    ROWS.run_now(now + MINUTE)
    queue.extend(held, seconds=60, now=now)

    queue.complete([held])

    assert ROWS.get().due_at == now + MINUTE


def test_who_lost_the_lease_extends_nothing(held, now):
    late = now + timedelta(seconds=62)
    [theirs] = claim(late)

    assert not queue.extend(held, seconds=600, now=late)

    row = ROWS.get()
    assert (row.lease, row.leased_until, row.due_at) == (
        theirs.lease,
        theirs.leased_until,
        theirs.leased_until,
    )
    assert queue.complete([theirs]) == 1


def test_a_lease_that_is_over_but_not_taken_is_extended(held, now):
    late = now + timedelta(seconds=62)

    assert queue.extend(held, seconds=60, now=late)
    assert claim(late) == []


def test_nothing_is_extended_once_the_row_was_given_back(held, now):
    queue.complete([held], due_at=now)

    assert not queue.extend(held, seconds=60, now=now)


def test_one_row_of_a_batch_may_be_extended(db, now):
    add(now, 3)
    rows = claim(now, limit=3)
    queue.extend(rows[0], seconds=300, now=now)
    ROWS.filter(pk=rows[2].pk).run_now(now)

    assert queue.complete(rows) == 3

    assert [ROWS.get(pk=row.pk).due_at for row in rows] == [None, None, now]


def test_a_longer_lease_than_set_right_lets_live_is_refused(held, now):
    with pytest.raises(ValueError, match="a clock that was ahead"):
        queue.extend(held, seconds=queue.LEASE_MAX_SECONDS + 1, now=now)

    queue.extend(held, seconds=queue.LEASE_MAX_SECONDS, now=now)
    assert queue.set_right(InboundWebhook, now=now) == 0
    assert queue.LEASE_MAX_SECONDS < queue.AHEAD_MAX_SECONDS


# --- Two threads ----------------------------------------------------------------------------------


def both(*acts) -> list:
    """Do these at once, each in a thread and connection of its own. Returns their results."""
    barrier, results = threading.Barrier(len(acts)), [None] * len(acts)

    def run(number, act) -> None:
        try:
            barrier.wait()
            results[number] = act()
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_a_row_is_either_extended_or_taken_by_another_worker(now):
    add(now)
    late = now + timedelta(seconds=62)
    for _ in range(20):
        ROWS.run_now(now)
        [held] = claim(now)

        extended, taken = both(
            lambda held=held: queue.extend(held, seconds=60, now=late), lambda: claim(late)
        )

        assert extended == (taken == [])
        assert queue.complete([held]) == int(extended)
        assert queue.complete(taken) == len(taken)


@pytest.mark.django_db(transaction=True)
def test_a_run_asked_for_during_an_extension_is_not_lost(now):
    add(now)
    for number in range(20):
        ROWS.run_now(now)
        [held] = claim(now)

        extended, _ = both(
            lambda held=held, number=number: queue.extend(held, seconds=100 + number, now=now),
            lambda: ROWS.run_now(now),
        )

        assert extended
        queue.complete([held])
        assert ROWS.get().due_at == now

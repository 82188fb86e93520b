"""Claim, complete, fail, run_now, schedule and cancel, on rows of the inbox (the plainest job there
is)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection

from billing.models import InboundWebhook
from jobs import queue
from jobs.errors import Rejected, Snooze, Unavailable

ROWS = InboundWebhook.objects


def add(now, count: int = 1, **fields) -> list[InboundWebhook]:
    first = ROWS.count()
    return ROWS.bulk_create(
        InboundWebhook(
            event_id=f"event-{first + at}",
            type="test",
            payload={},
            received_at=now,
            due_at=now,
            **fields,
        )
        for at in range(count)
    )


def claim(now, limit: int = 1):
    return queue.claim(InboundWebhook, now=now, limit=limit, lease_seconds=60)


@pytest.mark.django_db
class TestClaim:
    def test_takes_due_rows_oldest_first_and_no_more_than_asked(self, now):
        add(now, 3)
        ROWS.filter(event_id="event-2").update(due_at=now - timedelta(hours=1))
        ROWS.filter(event_id="event-1").update(due_at=now + timedelta(seconds=1))

        assert [row.event_id for row in claim(now, limit=5)] == ["event-2", "event-0"]

    def test_leaves_rows_alone_that_have_nothing_to_do_or_are_dead(self, now):
        add(now, 2)
        ROWS.filter(event_id="event-0").update(due_at=None)
        ROWS.filter(event_id="event-1").update(dead_at=now)

        assert claim(now) == []

    def test_hands_a_row_to_nobody_else_while_the_lease_lasts(self, now):
        add(now)

        assert len(claim(now)) == 1
        assert claim(now + timedelta(seconds=59)) == []

    def test_hands_the_row_on_when_the_lease_is_over(self, now):
        """The first worker was killed, or is slower than its lease."""
        add(now)
        (slow,) = claim(now)

        (again,) = claim(now + timedelta(seconds=61))

        assert again.pk == slow.pk and again.lease != slow.lease

    def test_completing_after_the_lease_went_to_another_changes_nothing(self, now):
        add(now)
        (slow,) = claim(now)
        (again,) = claim(now + timedelta(seconds=61))

        assert queue.complete([slow]) == 0
        queue.fail(slow, Rejected("no"), now=now)
        row = ROWS.get()
        assert (row.lease, row.dead_at, row.attempts) == (again.lease, None, 0)
        assert queue.complete([again]) == 1


@pytest.mark.django_db
class TestComplete:
    def test_with_no_moment_leaves_nothing_to_do(self, now):
        add(now, attempts=3, last_error="was down")

        assert queue.complete(claim(now)) == 1

        row = ROWS.get()
        assert (row.due_at, row.lease, row.leased_until, row.attempts, row.last_error) == (
            None,
            None,
            None,
            0,
            "",
        )

    def test_with_a_moment_makes_the_row_due_then(self, now):
        add(now)

        queue.complete(claim(now), due_at=now + timedelta(minutes=1))

        assert ROWS.get().due_at == now + timedelta(minutes=1)

    def test_of_a_whole_batch_is_one_query(self, now, django_assert_num_queries):
        add(now, 100)
        batch = claim(now, limit=100)

        with django_assert_num_queries(1):
            assert queue.complete(batch) == 100

    def test_of_nothing_is_nothing(self):
        assert queue.complete([]) == 0


@pytest.mark.django_db
class TestRunNow:
    def test_makes_a_row_due_that_had_nothing_to_do(self, now):
        add(now)
        queue.complete(claim(now))

        assert ROWS.run_now(now) == 1
        assert len(claim(now)) == 1

    def test_brings_a_dead_row_back_with_fresh_attempts(self, now):
        add(now)
        (row,) = claim(now)
        queue.fail(row, Rejected("no"), now=now)

        ROWS.run_now(now)

        assert claim(now)[0].attempts == 0

    @pytest.mark.parametrize("later_seconds", [0, 1])
    def test_while_a_worker_holds_the_row_is_not_lost(self, now, later_seconds):
        """Zero seconds: not even when row, claim and run_now carry the same time, as under a test's
        clock."""
        add(now)
        held = claim(now)
        later = now + timedelta(seconds=later_seconds)
        ROWS.run_now(later)
        assert claim(later) == [], "the worker still holds it"

        queue.complete(held)

        assert len(claim(later)) == 1

    def test_at_the_very_end_of_the_lease_is_not_lost(self, now):
        """The worker was as slow as its lease is long, to the microsecond of the clock that the row
        was claimed by."""
        add(now)
        held = claim(now)
        end = now + timedelta(seconds=60)
        ROWS.run_now(end)

        queue.complete(held)

        assert ROWS.get().due_at == end

    def test_while_the_work_is_refused_keeps_the_row_alive(self, now):
        """What was refused may be what the run was asked for."""
        add(now)
        (held,) = claim(now)
        ROWS.run_now(now)

        queue.fail(held, Rejected("no"), now=now)

        assert len(claim(now)) == 1


@pytest.mark.django_db
class TestSchedule:
    def test_names_the_moment_and_leaves_a_dead_row_dead(self, now):
        add(now, 2)
        ROWS.filter(event_id="event-1").update(dead_at=now)

        assert ROWS.schedule(now + timedelta(hours=1)) == 2

        assert set(ROWS.values_list("due_at", flat=True)) == {now + timedelta(hours=1)}
        assert ROWS.dead().count() == 1

    def test_by_a_moment_brings_forward_what_comes_later_and_nothing_else(self, now):
        add(now, 3)
        ROWS.filter(event_id="event-1").update(due_at=now + timedelta(hours=1))
        ROWS.filter(event_id="event-2").update(due_at=None)

        assert ROWS.schedule_by(now + timedelta(minutes=1)) == 1

        moments = ROWS.order_by("event_id").values_list("due_at", flat=True)
        assert list(moments) == [now, now + timedelta(minutes=1), None]

    def test_by_a_moment_after_the_end_of_the_lease_is_kept_for_a_row_in_hand(self, now):
        add(now)
        held = claim(now)
        ROWS.schedule_by(now + timedelta(minutes=5))

        queue.complete(held)

        assert ROWS.get().due_at == now + timedelta(minutes=5)

    def test_sets_other_columns_in_the_same_update(self, now, django_assert_num_queries):
        add(now)
        for act, value in ((ROWS.run_now, "a"), (ROWS.schedule, "b"), (ROWS.schedule_by, "c")):
            ROWS.update(due_at=now + timedelta(hours=1))
            with django_assert_num_queries(1):
                act(now, outcome=value)
            row = ROWS.get()
            assert (row.due_at, row.outcome) == (now, value)


@pytest.mark.django_db
class TestCancel:
    def test_leaves_nothing_to_do_and_nobody_to_call(self, now, django_assert_num_queries):
        add(now, 2)
        ROWS.filter(event_id="event-1").update(dead_at=now)

        with django_assert_num_queries(1):
            assert ROWS.all().cancel(outcome="never mind") == 2

        assert set(ROWS.values_list("due_at", "dead_at", "outcome")) == {(None, None, "never mind")}

    def test_holds_for_a_row_in_a_workers_hands(self, now):
        add(now, 2)
        done, failed = claim(now, limit=2)
        ROWS.all().cancel()

        queue.complete([done], due_at=now)
        queue.fail(failed, Rejected("no"), now=now)

        assert set(ROWS.values_list("due_at", "dead_at", "lease")) == {(None, None, None)}


@pytest.mark.django_db
class TestFail:
    def test_unavailable_waits_longer_each_time_within_bounds(self, now):
        add(now)
        for attempt in range(1, 12):
            (row,) = claim(now)
            queue.fail(row, Unavailable("503"), now=now)
            row = ROWS.get()
            ceiling = min(queue.BACKOFF_MAX_SECONDS, 2**attempt)
            assert ceiling / 2 <= (row.due_at - now).total_seconds() <= ceiling
            assert (row.attempts, row.last_error, row.dead_at) == (
                attempt,
                "Unavailable: 503",
                None,
            )
            now = row.due_at

    def test_waits_at_least_as_long_as_the_other_side_asked(self, now):
        add(now)

        queue.fail(claim(now)[0], Unavailable("429", retry_after_seconds=77), now=now)

        assert ROWS.get().due_at == now + timedelta(seconds=77)

    def test_waits_are_spread_so_that_rows_do_not_come_back_together(self):
        waits = {queue.backoff_seconds(20) for _ in range(50)}

        assert len(waits) > 40
        assert all(60 <= wait <= 120 for wait in waits)

    def test_not_yet_counts_no_attempt(self, now):
        add(now)

        queue.fail(claim(now)[0], Snooze("no customer"), now=now)

        row = ROWS.get()
        assert (row.due_at, row.attempts, row.last_error) == (
            now + timedelta(seconds=2),
            0,
            "Snooze: no customer",
        )

    def test_rejected_is_dead_at_once_and_says_why(self, now):
        add(now)

        queue.fail(claim(now)[0], Rejected("400 no such product"), now=now)

        row = ROWS.get()
        assert (row.dead_at, row.attempts, row.last_error) == (
            now,
            1,
            "Rejected: 400 no such product",
        )
        assert list(ROWS.dead()) == [row]
        assert claim(now + timedelta(days=1)) == []

    @pytest.mark.parametrize(
        ("error", "attempts_max"),
        [
            (Unavailable("down"), queue.UNAVAILABLE_ATTEMPTS_MAX),
            (KeyError("bug"), queue.UNEXPECTED_ATTEMPTS_MAX),
        ],
    )
    def test_gives_up_after_the_last_attempt(self, now, error, attempts_max):
        add(now, attempts=attempts_max - 2)

        queue.fail(claim(now)[0], error, now=now)
        row = ROWS.get()
        assert row.dead_at is None

        queue.fail(claim(row.due_at)[0], error, now=row.due_at)
        assert ROWS.get().dead_at == row.due_at


@pytest.mark.django_db(transaction=True)
def test_many_threads_never_share_a_row(now):
    add(now, 60)
    taken: list[str] = []

    def work() -> None:
        try:
            while rows := claim(now, limit=5):
                taken.extend(row.event_id for row in rows)
                queue.complete(rows)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == sorted(f"event-{at}" for at in range(60))


@pytest.mark.django_db
class TestBatch:
    def test_fail_all_counts_each_rows_own_attempts(self, now):
        add(now, 2)
        add(now, 2, attempts=queue.UNAVAILABLE_ATTEMPTS_MAX - 1)

        queue.fail_all(claim(now, limit=4), Unavailable("down"), now=now)

        assert sorted(ROWS.values_list("attempts", "dead_at")) == [
            (1, None),
            (1, None),
            (queue.UNAVAILABLE_ATTEMPTS_MAX, now),
            (queue.UNAVAILABLE_ATTEMPTS_MAX, now),
        ]

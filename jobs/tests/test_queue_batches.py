"""Rows of one claim that succeed or fail together."""

from __future__ import annotations

from datetime import timedelta

import pytest

from accounts.models import Customer
from conftest import make_customer
from jobs import queue
from jobs.errors import Rejected, Snooze, Unavailable


@pytest.fixture
def claimed(db, now):
    for name in ("ann", "ben", "cat"):
        make_customer(f"{name}@example.com", name)
    Customer.objects.update(due_at=now)
    return queue.claim(Customer, now=now, limit=10, lease_seconds=60)


def test_complete_sets_further_columns_in_the_same_update(claimed, now, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert queue.complete(claimed, created_at=now - timedelta(days=1)) == 3

    assert (
        Customer.objects.filter(due_at=None, lease=None, created_at=now - timedelta(days=1)).count()
        == 3
    )


def test_complete_leaves_rows_alone_that_another_worker_took(claimed, now):
    queue.claim(Customer, now=now + timedelta(seconds=61), limit=1, lease_seconds=60)

    assert queue.complete(claimed, created_at=now - timedelta(days=1)) == 2
    assert (
        Customer.objects.exclude(lease=None).exclude(created_at=now - timedelta(days=1)).count()
        == 1
    )


def test_fail_all_waits_together_and_counts_each(claimed, now, django_assert_num_queries):
    Customer.objects.filter(pk=claimed[0].pk).update(attempts=4)
    claimed[0].attempts = 4

    with django_assert_num_queries(2):
        queue.fail_all(claimed, Unavailable("down"), now=now)

    assert sorted(Customer.objects.values_list("attempts", flat=True)) == [1, 1, 5]
    assert not Customer.objects.filter(due_at__lte=now).exists()
    assert set(Customer.objects.values_list("last_error", flat=True)) == {"Unavailable: down"}


def test_fail_all_kills_what_is_rejected_and_counts_no_waiting(claimed, now):
    queue.fail_all(claimed[:1], Rejected("never"), now=now)
    queue.fail_all(claimed[1:], Snooze("later", seconds=9), now=now)

    assert Customer.objects.dead().count() == 1
    assert Customer.objects.filter(attempts=0, due_at=now + timedelta(seconds=9)).count() == 2


def test_fail_all_keeps_a_run_asked_for(claimed, now):
    Customer.objects.filter(pk=claimed[0].pk).run_now(now)

    queue.fail_all(claimed, Rejected("never"), now=now)

    assert Customer.objects.due(now).count() == 1
    assert Customer.objects.dead().count() == 2

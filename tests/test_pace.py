from __future__ import annotations

import gc

import pytest

from .pace import long_ones_first


@pytest.mark.parametrize("shares", [1, 2, 3, 7])
def test_every_share_begins_with_as_many_long_ones(shares):
    items = list(range(100))
    ordered = long_ones_first(items, lambda item: item % 9 == 0, shares)

    assert sorted(ordered) == items
    numbers = []
    for left in range(shares, 0, -1):  # as pytest-xdist deals them out
        size = len(ordered) // left
        share, ordered = ordered[:size], ordered[size:]
        are_long = [item % 9 == 0 for item in share]
        assert are_long == sorted(are_long, reverse=True)
        numbers.append(sum(are_long))
    assert max(numbers) - min(numbers) <= 1


def test_the_order_is_kept_otherwise():
    assert long_ones_first([5, 3, 8, 1, 9, 2], lambda item: item > 7, 1) == [8, 9, 5, 3, 1, 2]
    assert long_ones_first([], bool, 3) == []
    assert long_ones_first([1], lambda item: False, 3) == [1]


def test_cycles_are_looked_for_among_what_tests_make():
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000

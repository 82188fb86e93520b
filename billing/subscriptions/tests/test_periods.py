from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.models import Subscription
from billing.subscriptions.periods import months_after, period_of


@pytest.mark.parametrize(
    ("anchor", "months", "expected"),
    [
        ("2026-01-31", 1, "2026-02-28"),
        ("2026-01-31", 2, "2026-03-31"),
        ("2026-01-31", 3, "2026-04-30"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2028-02-29", 48, "2032-02-29"),
        ("2099-12-31", 2, "2100-02-28"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2026-11-30", 0, "2026-11-30"),
    ],
)
def test_months_count_from_the_anchor_and_are_clamped_at_their_end(anchor, months, expected):
    at = datetime.fromisoformat(anchor).replace(hour=10, minute=37, tzinfo=UTC)
    assert months_after(at, months).date().isoformat() == expected
    assert months_after(at, months).time() == at.time()


@pytest.mark.parametrize(
    ("anchor", "ends"),
    [
        ("2026-01-31", ["02-28", "03-31", "04-30", "05-31", "06-30"]),
        ("2028-01-31", ["02-29", "03-31", "04-30"]),
        ("2027-12-30", ["01-30", "02-29", "03-30"]),
        ("2026-12-29", ["01-29", "02-28", "03-29"]),
        ("2028-02-29", ["03-29", "04-29"]),
        ("2026-11-15", ["12-15", "01-15"]),
    ],
)
def test_each_period_begins_where_the_one_before_it_ends(anchor, ends):
    at = datetime.fromisoformat(anchor).replace(hour=23, minute=59, second=59, tzinfo=UTC)
    row = Subscription(plan="creator", anchor_at=at)
    periods = [period_of(row, number) for number in range(len(ends))]
    assert [f"{end:%m-%d}" for _, end in periods] == ends
    assert [start for start, _ in periods] == [at, *(end for _, end in periods[:-1])]
    assert {end.time() for _, end in periods} == {at.time()}

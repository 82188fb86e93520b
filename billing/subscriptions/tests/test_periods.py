from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billing.subscriptions.periods import months_after


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

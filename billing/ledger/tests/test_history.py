"""What pages read of a balance: its changes without captures, and how long it lasts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import ledger
from conftest import fund

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_changes_are_newest_first_without_captures(alice, now):
    wallet = fund(alice, 500, now - 3 * DAY, segment_id="a", ends_at=now - DAY)
    reservation = ledger.reserve(wallet_id=wallet.pk, key="k", amount=100, now=now - 2 * DAY)
    ledger.capture(reservation_id=reservation.id, now=now - 2 * DAY)
    ledger.expire_ended(wallet_id=wallet.pk, now=now, at=now)
    later = now + timedelta(seconds=1)
    ledger.adjust(wallet_id=wallet.pk, amount=7, left={}, note="By hand", now=later)

    found = ledger.changes(wallet_id=wallet.pk, since=now - 9 * DAY, limit=10)
    assert [(one.kind, one.amount, one.balance_after, one.name) for one in found] == [
        ("adjustment", 7, 7, "By hand"),
        ("expiry", -400, 0, "Test credits"),
        ("grant", 500, 500, "Test credits"),
    ]
    assert ledger.changes(wallet_id=wallet.pk, since=now - DAY, limit=1) == found[:1]


def test_grants_are_drawn_in_order_and_end_unused(alice, now):
    fund(alice, 300, now, segment_id="plan", priority=10, ends_at=now + 2 * DAY)
    wallet = fund(alice, 150, now, segment_id="pack", priority=100, ends_at=now + 90 * DAY)

    found = ledger.outlook(wallet_id=wallet.pk, credits_a_day=100, now=now, days=9)
    assert found.left == (350, 150, 50, 0)
    assert found.unused == ((now + 2 * DAY, 100),)
    assert found.empty_at == now + 3.5 * DAY


def test_a_grant_that_ends_during_a_day_is_drawn_until_then(alice, now):
    wallet = fund(alice, 300, now, ends_at=now + 1.5 * DAY)

    found = ledger.outlook(wallet_id=wallet.pk, credits_a_day=100, now=now, days=9)
    assert found.left == (200, 0)
    assert found.unused == ((now + 1.5 * DAY, 150),)
    assert found.empty_at == now + 1.5 * DAY


def test_what_lasts_longer_than_was_asked_has_no_end(alice, now):
    wallet = fund(alice, 300, now, ends_at=now + 90 * DAY)

    found = ledger.outlook(wallet_id=wallet.pk, credits_a_day=10, now=now, days=3)
    assert (found.left, found.empty_at, found.unused) == ((290, 280, 270), None, ())

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing import ledger
from billing.models import CreditGrant, LedgerEntry, Wallet
from billing.recharge import last_month, limits
from conftest import fund


@pytest.fixture
def month(now):
    """Noon of the last month's second day."""
    begins_at, _ = limits.month_of(now)
    begins_at, _ = limits.month_of(begins_at - timedelta(days=1))
    return begins_at + timedelta(days=1, hours=12)


def spend(customer, credits: int, at) -> None:
    wallet = Wallet.objects.get(customer=customer)
    key = f"spent-{wallet.version}"
    reservation = ledger.reserve(wallet_id=wallet.pk, key=key, amount=credits, now=at)
    ledger.capture(reservation_id=reservation.id, now=at)


def replay(customer, now, limit_cents: int | None = 100_000):
    return last_month.replay(
        customer_id=customer.pk,
        threshold_credits=25_000,
        recharge_to_credits=200_000,
        limit_cents=limit_cents,
        now=now,
    )


def test_somebody_who_had_nothing_yet_is_told_nothing(alice, now):
    assert replay(alice, now) is None


def test_it_charges_when_spending_reaches_the_threshold(alice, now, month):
    fund(alice, 300_000, month - timedelta(days=30), ends_at=now + timedelta(days=900))
    for number in range(29):
        spend(alice, 10_000, month + timedelta(hours=number))

    found = replay(alice, now)

    # 275,000 down to the threshold, then 15,000 more.
    assert (found.recharges, found.cents, found.spent_credits) == (1, 4_375, 290_000)
    assert not found.is_limited


def test_what_was_spent_in_other_months_does_not_count(alice, now, month):
    begins_at, _ = limits.month_of(now)
    fund(alice, 600_000, month - timedelta(days=90), ends_at=now + timedelta(days=900))
    spend(alice, 260_000, month - timedelta(days=40))
    spend(alice, 1_000, month)
    spend(alice, 300_000, begins_at)

    found = replay(alice, now)

    assert (found.recharges, found.spent_credits) == (0, 1_000)


def test_credits_that_came_or_ended_meanwhile_count_and_real_recharges_do_not(alice, now, month):
    ends_at = now + timedelta(days=900)
    fund(alice, 30_000, month - timedelta(days=30), ends_at=ends_at)
    fund(alice, 175_000, month, segment_id="bought", ends_at=ends_at)
    CreditGrant.objects.filter(segment_id="bought").update(name="Auto-recharge")
    spend(alice, 180_000, month + timedelta(hours=1))

    found = replay(alice, now)

    # From 30,000: the first 5,000 reach the threshold, the other 175,000 reach it again.
    assert (found.recharges, found.cents, found.spent_credits) == (2, 8_750, 180_000)


def recharged(customer, now, month, credits: int) -> None:
    """Begins with 30,000 credits, is recharged by so many, and spends them all."""
    ends_at = now + timedelta(days=900)
    fund(customer, 30_000, month - timedelta(days=30), ends_at=ends_at)
    fund(customer, credits, month, segment_id="bought", ends_at=ends_at)
    CreditGrant.objects.filter(segment_id="bought").update(name="Auto-recharge")
    spend(customer, 30_000 + credits, month + timedelta(hours=1))


def test_the_limit_ends_it(alice, now, month):
    recharged(alice, now, month, 350_000)

    found = replay(alice, now, limit_cents=4_400)

    assert (found.recharges, found.cents, found.is_limited) == (1, 4_375, True)


@pytest.mark.parametrize(
    ("credits", "recharges", "is_limited"), [(300_000, 2, False), (2_000_000, 3, True)]
)
def test_without_a_limit_three_recharges_end_it(alice, now, month, credits, recharges, is_limited):
    recharged(alice, now, month, credits)

    found = replay(alice, now, limit_cents=None)

    assert (found.recharges, found.cents) == (recharges, recharges * 4_375)
    assert found.is_limited == is_limited


def test_the_number_of_queries_does_not_grow_with_the_captures(alice, now, month):
    fund(alice, 300_000, month - timedelta(days=30), ends_at=now + timedelta(days=900))
    counts = []
    for captures in (50, 400):
        for number in range(captures):
            spend(alice, 10, month + timedelta(minutes=number))
        with CaptureQueriesContext(
            connection,
        ) as asked:
            replay(alice, now)
        counts.append(len(asked))

    assert counts[1] == counts[0], counts


def test_the_balance_before_a_moment_is_that_of_the_last_entry_before_it(alice, now, month):
    """Versions have gaps, where credits were reserved; each moment has its own last entry."""
    fund(alice, 300_000, month, ends_at=now + timedelta(days=900))
    for number in range(1, 24):
        spend(alice, number, month + timedelta(minutes=number))
    wallet = Wallet.objects.get(customer=alice)
    entries = LedgerEntry.objects.filter(wallet=wallet).order_by("version")

    for number in range(-1, 26):
        for seconds in (0, 1):
            at = month + timedelta(minutes=number, seconds=seconds)
            before = entries.filter(created_at__lt=at).last()
            found = last_month._balance_before(wallet, at)
            assert found == (before.balance_after if before else None), at

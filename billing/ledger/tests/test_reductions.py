"""Credits that are taken back from a grant, and given back to it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from billing import ledger
from billing.models import CreditGrant, LedgerEntry, Wallet
from conftest import fund

pytestmark = pytest.mark.django_db


@pytest.fixture
def grant(alice, now) -> CreditGrant:
    fund(alice, 1_000, now=now)
    return CreditGrant.objects.get()


def numbers(grant: CreditGrant) -> tuple[int, int, int | None, int]:
    grant.refresh_from_db()
    wallet = Wallet.objects.get(pk=grant.wallet_id)
    assert wallet.balance == sum(LedgerEntry.objects.values_list("amount", flat=True))
    return grant.granted, grant.remaining, grant.reduced_to, wallet.balance


def segment(grant: CreditGrant, amount: int) -> ledger.Segment:
    fields = {name: getattr(grant, name) for name in ledger.SEGMENT_FIELDS}
    return ledger.Segment(**fields, amount=amount)


def test_they_leave_the_balance_at_once_and_come_back(grant, now):
    ledger.reduce(grant_id=grant.pk, credits=400, now=now)
    assert numbers(grant) == (600, 600, 600, 600)

    ledger.restore(grant_id=grant.pk, credits=400, now=now)
    assert numbers(grant) == (1_000, 1_000, None, 1_000)


def test_metronomes_segment_changes_nothing_whether_it_knows_or_not(grant, now):
    ledger.reduce(grant_id=grant.pk, credits=400, now=now)
    for amount in (1_000, 600, 1_000):
        ledger.record_grant(wallet_id=grant.wallet_id, segment=segment(grant, amount), now=now)
        assert numbers(grant) == (600, 600, 600, 600)
    ledger.record_grant(wallet_id=grant.wallet_id, segment=segment(grant, 0), now=now)
    assert numbers(grant) == (0, 0, 600, 0)


def test_what_is_spent_or_reserved_is_not_taken(grant, now):
    first = ledger.reserve(wallet_id=grant.wallet_id, key="a", amount=300, now=now)
    ledger.capture(reservation_id=first.id, now=now)
    ledger.reserve(wallet_id=grant.wallet_id, key="b", amount=200, now=now)
    grant.refresh_from_db()
    assert ledger.unreserved(grant, now) == 500
    with pytest.raises(ledger.NotLeft):
        ledger.reduce(grant_id=grant.pk, credits=501, now=now)
    assert numbers(grant) == (1_000, 700, None, 700)

    ledger.reduce(grant_id=grant.pk, credits=500, now=now)

    assert numbers(grant) == (500, 200, 500, 200)


def test_reservations_draw_from_the_grants_before_it(grant, alice, now):
    """Complimentary credits go first, so the plan's are still there."""
    fund(alice, 250, now=now, segment_id="first", priority=5)
    ledger.reserve(wallet_id=grant.wallet_id, key="a", amount=300, now=now)
    assert ledger.unreserved(grant, now) == 950


def test_credits_that_come_back_to_an_ended_grant_expire(alice, now):
    fund(alice, 1_000, now=now, ends_at=now + timedelta(hours=1))
    grant = CreditGrant.objects.get()
    ledger.reduce(grant_id=grant.pk, credits=1_000, now=now)
    later = now + timedelta(hours=2)

    ledger.restore(grant_id=grant.pk, credits=1_000, now=later)
    ledger.start_or_end_grant(grant_id=grant.pk, now=later)

    assert numbers(grant) == (1_000, 0, None, 0)
    assert CreditGrant.objects.filter(due_at=later).exists()


def test_what_metronome_says_of_an_ended_grant_changes_nothing(alice, now):
    """It was never told that the credits came back, and lists them as taken."""
    fund(alice, 1_000, now=now, segment_id="one", ends_at=now + timedelta(hours=1))
    grant = CreditGrant.objects.get()
    ledger.reduce(grant_id=grant.pk, credits=400, now=now)
    later = now + timedelta(hours=2)
    ledger.restore(grant_id=grant.pk, credits=400, now=later)

    fund(alice, 600, now=later, segment_id="one", ends_at=grant.ends_at)
    ledger.start_or_end_grant(grant_id=grant.pk, now=later)

    grant.refresh_from_db()
    assert (grant.granted, grant.remaining) == (1_000, 0)


def test_a_segment_without_a_reduction_counts_whole(grant):
    assert grant.counted(1_200) == 1_200


def spend(wallet_id: int, credits: int, at: datetime) -> None:
    one = ledger.reserve(wallet_id=wallet_id, key=str(at), amount=credits, now=at)
    ledger.capture(reservation_id=one.id, now=at)


def test_usage_in_between_counts_against_it_again(grant, alice, now):
    """As at Metronome: else the pack would be short, and the plan's credits end unused."""
    fund(alice, 500, now=now, segment_id="pack", priority=20)
    pack = CreditGrant.objects.get(segment_id="pack")
    ledger.reduce(grant_id=grant.pk, credits=900, now=now)
    spend(grant.wallet_id, 300, now)
    pack.refresh_from_db()
    assert (*numbers(grant)[:2], pack.remaining) == (100, 0, 300)

    ledger.restore(grant_id=grant.pk, credits=900, now=now + timedelta(hours=3))

    pack.refresh_from_db()
    assert (*numbers(grant)[:2], pack.remaining) == (1_000, 700, 500)
    entry = LedgerEntry.objects.latest("id")
    assert sum(credits for _, credits, _ in entry.consumptions) == 0


def test_usage_of_a_final_month_stays_where_it_is(grant, alice, now):
    fund(alice, 500, now=now, segment_id="pack", priority=20)
    ledger.reduce(grant_id=grant.pk, credits=900, now=now)
    spend(grant.wallet_id, 300, now)

    ledger.restore(grant_id=grant.pk, credits=900, now=now + timedelta(days=35))

    assert numbers(grant)[:2] == (1_000, 900)
    assert CreditGrant.objects.get(segment_id="pack").remaining == 300


def test_a_grant_raised_at_metronome_covers_earlier_usage(grant, alice, now):
    fund(alice, 500, now=now, segment_id="pack", priority=20)
    spend(grant.wallet_id, 1_200, now)

    ledger.record_grant(wallet_id=grant.wallet_id, segment=segment(grant, 1_100), now=now)

    assert numbers(grant)[:2] == (1_100, 0)
    assert CreditGrant.objects.get(segment_id="pack").remaining == 400

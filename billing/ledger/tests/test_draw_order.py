"""The draw order: at a capture, when a late grant causes a reallocation, and on the page."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from billing import ledger
from billing.hours import floor_hour
from billing.models import CreditGrant

pytestmark = pytest.mark.django_db

# What distinguishes the grant drawn first from the second: each criterion against all later ones.
DIFFERENCES = {
    "lower priority": (
        {"priority": 1, "is_free": False, "days": 9, "began": 1},
        {"priority": 2, "is_free": True},
    ),
    "free before paid": ({"is_free": True, "days": 9, "began": 1}, {"is_free": False}),
    "sooner end": ({"days": 2, "began": 1}, {"days": 3, "began": 5}),
    "earlier start": ({"began": 5}, {"began": 4}),
}


@pytest.fixture(params=DIFFERENCES.values(), ids=DIFFERENCES)
def record(request, alice, now):
    """Returns a function that records the "first" or the "second" grant and returns its row."""
    wallet = ledger.wallet_of(alice.pk)
    first, second = request.param

    def make(place: str) -> CreditGrant:
        wanted = {"priority": 10, "is_free": True, "days": 5, "began": 3} | (
            first if place == "first" else second
        )
        segment = ledger.Segment(
            kind="credit",
            remote_id=f"of-{place}",
            segment_id=place,
            key="",
            name=place,
            amount=500,
            priority=Decimal(wanted["priority"]),
            is_free=wanted["is_free"],
            starts_at=floor_hour(now) - timedelta(hours=wanted["began"]),
            ends_at=floor_hour(now) + timedelta(days=wanted["days"]),
        )
        ledger.record_grant(wallet_id=wallet.pk, segment=segment, now=now)
        return CreditGrant.objects.get(segment_id=place)

    return make


def spend(alice, amount, now):
    reservation = ledger.reserve(
        wallet_id=ledger.wallet_of(alice.pk).pk, key=f"spend-{amount}", amount=amount, now=now
    )
    ledger.capture(reservation_id=reservation.id, now=now)


def left() -> dict[str, int]:
    return dict(CreditGrant.objects.values_list("segment_id", "remaining"))


def test_a_capture_draws_the_first_and_then_the_second(record, alice, now):
    record("second"), record("first")

    spend(alice, 400, now)
    assert left() == {"first": 100, "second": 500}

    spend(alice, 300, now)
    assert left() == {"first": 0, "second": 300}


def test_a_late_first_grant_takes_over_what_the_second_covered(record, alice, now):
    record("second")
    spend(alice, 400, now)

    record("first")

    assert left() == {"first": 100, "second": 500}


def test_the_page_lists_the_first_above_the_second(record, alice, client):
    record("second"), record("first")
    client.force_login(alice.user)

    grants = client.get(reverse("billing")).context["grants"]

    assert [grant.segment_id for grant in grants] == ["first", "second"]


def test_a_grant_that_has_ended_is_drawn_last_whatever_its_priority(alice, now):
    """For usage from before the end that is captured after it."""
    wallet = ledger.wallet_of(alice.pk)
    rows = [
        CreditGrant(
            wallet=wallet,
            kind="credit",
            segment_id=name,
            granted=500,
            remaining=500,
            priority=priority,
            is_free=True,
            starts_at=now - timedelta(hours=2),
            ends_at=now + timedelta(minutes=minutes),
            created_at=now,
        )
        for name, priority, minutes in (("ended", 1, -1), ("lasting", 9, 60))
    ]
    CreditGrant.objects.bulk_create(rows)

    drawable = [grant_id for grant_id, _ in ledger.drawdown.drawable(wallet.pk, now)]

    assert drawable == [
        CreditGrant.objects.get(segment_id=name).pk for name in ("lasting", "ended")
    ]

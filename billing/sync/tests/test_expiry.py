"""Changes that only time causes: grants start and end, and open reservations expire."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from billing import hours, ledger
from billing.ledger import grants
from billing.models import CreditGrant, LedgerEntry, Reservation, Wallet
from billing.sync import contracts, customers, expiry
from billing.tests.money_stage import remote_balance
from conftest import fund
from jobs.worker import Worker

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def work(now):
    Worker([expiry.START_OR_END, expiry.EXPIRE], clock=lambda: now).drain()


def state(customer):
    wallet = Wallet.objects.get(customer=customer)
    return wallet.balance, wallet.reserved


def test_a_grant_expires_at_its_end_and_not_before(alice, now):
    fund(alice, 500, now, ends_at=now + HOUR)
    work(now + HOUR - timedelta(seconds=1))
    assert state(alice) == (500, 0)
    work(now + HOUR)
    work(now + HOUR)
    assert state(alice) == (0, 0)
    assert [entry.amount for entry in LedgerEntry.objects.filter(kind="expiry")] == [-500]
    assert CreditGrant.objects.get().due_at is None


def test_only_remaining_credits_expire(alice, now):
    wallet = fund(alice, 500, now, ends_at=now + HOUR)
    reservation = ledger.reserve(wallet_id=wallet.id, key="k", amount=200, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)
    work(now + HOUR)
    assert LedgerEntry.objects.get(kind="expiry").amount == -300


def test_credits_kept_by_a_reservation_expire_when_it_resolves(alice, now):
    wallet = fund(alice, 500, now, ends_at=now + HOUR)
    before_end = now + HOUR - timedelta(seconds=30)
    reservation = ledger.reserve(wallet_id=wallet.id, key="k", amount=200, now=before_end)
    work(now + HOUR)
    assert state(alice) == (200, 200)
    ledger.release(reservation_id=reservation.id, now=now + HOUR)
    work(now + HOUR + timedelta(seconds=grants.RESERVED_REMAINDER_SECONDS))
    assert state(alice) == (0, 0)


def test_a_future_grant_counts_from_its_start(alice, now):
    wallet = ledger.wallet_of(alice.pk)
    segment = ledger.Segment(
        kind="commit",
        remote_id="c",
        segment_id="s",
        key="",
        name="Next month",
        amount=700,
        priority=Decimal(10),
        is_free=False,
        starts_at=now + HOUR,
        ends_at=now + 2 * HOUR,
    )
    ledger.record_grant(wallet_id=wallet.id, segment=segment, now=now)
    work(now)
    assert state(alice) == (0, 0)
    work(now + HOUR)
    assert state(alice) == (700, 0)
    work(now + 2 * HOUR)
    assert state(alice) == (0, 0)


def test_a_reservation_nobody_resolved_expires(alice, now, monkeypatch):
    wallet = fund(alice, 500, now)
    ledger.reserve(wallet_id=wallet.id, key="k", amount=200, now=now)
    woken = []
    monkeypatch.setattr(expiry, "wake", woken.append)
    work(now + timedelta(seconds=ledger.RESERVATION_SECONDS - 1))
    assert state(alice) == (500, 200)
    assert woken == []
    work(now + timedelta(seconds=ledger.RESERVATION_SECONDS))
    assert state(alice) == (500, 0)
    assert woken == [wallet.id]
    assert Reservation.objects.get().state == "expired"


def test_a_grant_expires_at_the_same_time_on_both_sides(stage, alice):
    customers.provision(alice, stage.now())
    ends_at = hours.ceil_hour(stage.now() + 3 * HOUR)
    contracts.grant(
        alice,
        key="k",
        name="ComplimentaryGrant",
        credits=900,
        starts_at=stage.now(),
        ends_at=ends_at,
        priority=5,
        now=stage.now(),
    )
    alice.refresh_from_db()
    stage.advance(seconds=(ends_at - stage.now()).total_seconds() - 1)
    stage.drain()
    assert (state(alice)[0], remote_balance(alice)) == (900, 900)
    stage.advance(seconds=1)
    stage.drain()
    assert (state(alice)[0], remote_balance(alice)) == (0, 0)

"""Concurrent changes of one wallet's grants: each sees the result of the one before."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from billing import hours, ledger
from billing.models import Reservation, Wallet

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def wallet(alice) -> Wallet:
    return ledger.wallet_of(alice.pk)


def record(
    wallet: Wallet,
    name: str,
    credits: int,
    priority: int,
    *,
    starts_at=NOON,
    ends_at=NOON + 365 * DAY,
    now=NOON,
):
    segment = ledger.Segment(
        kind="credit",
        remote_id=name,
        segment_id=name,
        key="",
        name=name,
        amount=credits,
        priority=Decimal(priority),
        is_free=True,
        starts_at=starts_at,
        ends_at=ends_at,
    )
    return ledger.record_grant(wallet_id=wallet.pk, segment=segment, now=now)


def left(wallet: Wallet) -> dict[str, int]:
    return dict(wallet.grants.values_list("name", "remaining"))


def balance(wallet: Wallet) -> int:
    return Wallet.objects.values_list("balance", flat=True).get(pk=wallet.pk)


def spend(wallet: Wallet, credits: int, now: datetime) -> None:
    reservation = ledger.reserve(wallet_id=wallet.pk, key=f"at-{now}", amount=credits, now=now)
    ledger.capture(reservation_id=reservation.id, now=now)


def overlapping(first: Callable[[], object], second: Callable[[], object]) -> None:
    """Start `second` once `first` has run and not committed. On SQLite it waits for the commit."""
    is_done, seconds = threading.Event(), 0.5

    def slow() -> None:
        with transaction.atomic():
            first()
            is_done.set()
            threading.Event().wait(seconds)
        connection.close()

    def other() -> None:
        is_done.wait()
        second()
        connection.close()

    threads = [threading.Thread(target=slow), threading.Thread(target=other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_two_grants_that_start_together_do_not_cover_the_same_usage(wallet):
    record(wallet, "pack", 100, 100)
    spend(wallet, 100, NOON + MINUTE)

    overlapping(
        lambda: record(wallet, "complimentary", 100, 5, now=NOON + 2 * MINUTE),
        lambda: record(wallet, "plan", 100, 10, now=NOON + 2 * MINUTE),
    )

    assert left(wallet) == {"complimentary": 0, "plan": 100, "pack": 100}
    assert balance(wallet) == 200


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_of_a_wallet_neither_deadlock_nor_break_an_invariant(wallet):
    for number in range(4):
        record(wallet, f"first-{number}", 300, 10 * number, ends_at=NOON + (number + 1) * HOUR)
    failures: list[Exception] = []
    ticks = count()

    def work(name: str) -> None:
        dice = random.Random(name)
        for number in range(60):
            try:
                with suppress(ledger.InsufficientCredits, ledger.AlreadyResolved):
                    change(
                        dice,
                        f"{name}-{number}",
                        NOON + 30 * MINUTE + next(ticks) * timedelta(seconds=10),
                    )
            except Exception as error:
                failures.append(error)
        connection.close()

    def change(dice: random.Random, key: str, now: datetime) -> None:
        grants = list(wallet.grants.order_by("-id")[:8])
        one, at = dice.choice(grants), hours.floor_hour(now)
        match dice.choice(
            [
                "spend",
                "spend",
                "reserve",
                "capture",
                "grant",
                "resize",
                "end",
                "start or end",
                "expire",
                "adjust",
            ]
        ):
            case "spend":
                reservation = ledger.reserve(
                    wallet_id=wallet.pk, key=key, amount=dice.randint(1, 300), now=now
                )
                ledger.capture(reservation_id=reservation.id, now=now)
            case "reserve":
                ledger.reserve(wallet_id=wallet.pk, key=key, amount=dice.randint(1, 300), now=now)
            case "capture":
                for reservation_id in Reservation.objects.open().values_list("id", flat=True)[:1]:
                    ledger.capture(reservation_id=reservation_id, now=now)
            case "grant":
                record(
                    wallet,
                    key,
                    300,
                    dice.choice([5, 100]),
                    starts_at=at - HOUR,
                    ends_at=at + HOUR,
                    now=now,
                )
            case "resize":
                record(
                    wallet,
                    one.name,
                    dice.choice([0, 600]),
                    10,
                    starts_at=one.starts_at,
                    ends_at=one.ends_at,
                    now=now,
                )
            case "end":
                end = max(at, one.starts_at + HOUR)
                record(
                    wallet, one.name, one.granted, 10, starts_at=one.starts_at, ends_at=end, now=now
                )
            case "start or end":
                ledger.start_or_end_grant(grant_id=one.pk, now=now)
            case "expire":
                ledger.expire_ended(wallet_id=wallet.pk, now=now)
            case "adjust":
                ledger.adjust(
                    wallet_id=wallet.pk, amount=dice.choice([-200, 200]), left={}, note="", now=now
                )

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    wallet.refresh_from_db()
    started = wallet.grants.filter(entries__kind="grant")
    assert wallet.balance == wallet.entries.aggregate(sum=Sum("amount"))["sum"]
    assert (
        wallet.reserved == Reservation.objects.open().aggregate(sum=Sum("amount", default=0))["sum"]
    )
    assert wallet.balance >= started.aggregate(sum=Sum("remaining"))["sum"]
    for grant in started:
        received = grant.entries.filter(kind__in=["grant", "grant_change"])
        assert grant.granted == received.aggregate(sum=Sum("amount"))["sum"]


@pytest.mark.django_db
def test_an_end_moved_into_the_past_takes_nothing_from_reservations_made_since(wallet):
    record(wallet, "plan", 100, 10)
    reservation = ledger.reserve(wallet_id=wallet.pk, key="k", amount=60, now=NOON + 61 * MINUTE)
    record(wallet, "plan", 100, 10, ends_at=NOON + 60 * MINUTE, now=NOON + 62 * MINUTE)

    with pytest.raises(ledger.InsufficientCredits):
        ledger.reserve(wallet_id=wallet.pk, key="l", amount=1, now=NOON + 63 * MINUTE)
    assert ledger.expire_ended(wallet_id=wallet.pk, now=NOON + 63 * MINUTE) == 40
    assert ledger.capture(reservation_id=reservation.id, now=NOON + 64 * MINUTE) == 0
    assert left(wallet) == {"plan": 0}


@pytest.mark.django_db
def test_a_grant_taken_back_before_its_start_starts_with_no_credits(wallet):
    record(wallet, "plan", 100, 10, starts_at=NOON + 60 * MINUTE)

    record(wallet, "plan", 0, 10, starts_at=NOON + 60 * MINUTE, now=NOON + 61 * MINUTE)

    assert (balance(wallet), left(wallet)) == (0, {"plan": 0})


@pytest.mark.django_db
def test_a_grant_whose_start_moves_into_the_past_starts_at_once(wallet):
    record(wallet, "plan", 100, 10, starts_at=NOON + 120 * MINUTE)

    assert record(wallet, "plan", 100, 10, starts_at=NOON - 60 * MINUTE, now=NOON + MINUTE)[1]

    assert (balance(wallet), left(wallet)) == (100, {"plan": 100})


@pytest.mark.django_db
def test_a_grant_whose_start_and_end_move_into_the_past_leaves_no_credits(wallet):
    record(wallet, "plan", 100, 10, starts_at=NOON + 120 * MINUTE, ends_at=NOON + 240 * MINUTE)
    record(
        wallet,
        "plan",
        100,
        10,
        starts_at=NOON - 120 * MINUTE,
        ends_at=NOON - 60 * MINUTE,
        now=NOON + MINUTE,
    )

    ledger.expire_ended(wallet_id=wallet.pk, now=NOON + MINUTE)

    assert (balance(wallet), left(wallet)) == (0, {"plan": 0})

"""spend_all: the same result as the same spends one by one, or no change at all."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection

from billing import ledger
from billing.ledger import Spend
from billing.models import LedgerEntry, Reservation, Wallet

from .test_ledger import assert_sound

NOON, HOUR, MINUTE = datetime(2026, 1, 1, 12, tzinfo=UTC), timedelta(hours=1), timedelta(minutes=1)
NOW = NOON + 20 * HOUR + 30 * MINUTE


def record(
    wallet, name, credits, priority, *, starts_at=NOON, ends_at=NOON + timedelta(days=365), now=NOON
):
    segment = ledger.Segment(
        kind="credit",
        remote_id=name,
        segment_id=f"{name}-{wallet.pk}",
        key="",
        name=name,
        amount=credits,
        priority=Decimal(priority),
        is_free=True,
        starts_at=starts_at,
        ends_at=ends_at,
    )
    ledger.record_grant(wallet_id=wallet.pk, segment=segment, now=now)


@pytest.fixture
def furnished(db):
    """Returns a function that creates a wallet with grants and usage of the last twenty hours."""

    def furnished(customer) -> Wallet:
        wallet = ledger.wallet_of(customer.pk)
        record(wallet, "plan", 300, 10, ends_at=NOON + 8 * HOUR)
        record(wallet, "pack", 5_000, 100)
        use(
            wallet,
            [Spend("live-1", 50, NOON + 7 * HOUR), Spend("live-2", 40, NOON + 9 * HOUR)],
            now=None,
        )
        record(
            wallet,
            "complimentary",
            200,
            5,
            starts_at=NOON + 4 * HOUR,
            ends_at=NOON + 30 * HOUR,
            now=NOON + 10 * HOUR,
        )
        record(
            wallet,
            "next",
            400,
            10,
            starts_at=NOON + 8 * HOUR,
            ends_at=NOON + 15 * HOUR,
            now=NOON + 10 * HOUR,
        )
        ledger.expire_ended(wallet_id=wallet.pk, now=NOON + 16 * HOUR)
        return wallet

    return furnished


def use(wallet, spends, now) -> None:
    """Spend one by one.

    Resets reserves_from_at, or reservations could not be dated before it.
    """
    Wallet.objects.filter(pk=wallet.pk).update(reserves_from_at=None)
    for one in spends:
        reservation = ledger.reserve(
            wallet_id=wallet.pk, key=one.key, amount=one.amount, now=one.at
        )
        ledger.capture(reservation_id=reservation.id, now=now or one.at)


def state(wallet) -> tuple[int, dict[str, int], list[tuple[str, int]]]:
    """Balance, remaining credits by grant, and what was spent by key."""
    assert_sound(wallet)
    spent = Reservation.objects.filter(wallet=wallet, state="captured").order_by("key")
    grants = dict(wallet.grants.values_list("name", "remaining"))
    return wallet.balance, grants, list(spent.values_list("key", "captured"))


@pytest.mark.parametrize("seed", range(8))
def test_many_at_once_have_the_same_result_as_one_by_one(furnished, alice, bob, seed):
    dice = random.Random(seed)
    spends = [
        Spend(f"k-{n}", dice.randrange(1, 30), NOON + timedelta(minutes=dice.randrange(20 * 60)))
        for n in range(dice.choice([1, 2, 10, 100]))
    ]
    at_once, singly = furnished(alice), furnished(bob)

    ids = ledger.spend_all(wallet_id=at_once.pk, spends=spends, now=NOW)
    use(singly, sorted(spends, key=lambda one: one.at), NOW)

    assert state(at_once) == state(singly)
    assert [Reservation.objects.get(pk=pk).key for pk in ids] == [one.key for one in spends]
    entries = LedgerEntry.objects.filter(reservation__in=ids).order_by("version")
    assert list(entries.values_list("amount", flat=True)) == [-one.amount for one in spends]
    late = {"starts_at": NOON + 2 * HOUR, "now": NOW}  # a later grant takes over what they consumed
    record(at_once, "late", 100, 1, **late)
    record(singly, "late", 100, 1, **late)
    assert state(at_once) == state(singly)


def test_spending_too_much_changes_nothing(furnished, alice):
    wallet = furnished(alice)
    before = state(wallet)

    with pytest.raises(ledger.InsufficientCredits) as caught:
        ledger.spend_all(
            wallet_id=wallet.pk,
            spends=[Spend("a", 1, NOON), Spend("b", before[0], NOON + HOUR)],
            now=NOW,
        )

    assert (caught.value.needed, caught.value.available) == (before[0] + 1, before[0])
    assert state(wallet) == before


def test_reserved_credits_are_not_spent(furnished, alice):
    wallet = furnished(alice)
    ledger.reserve(wallet_id=wallet.pk, key="reserved", amount=state(wallet)[0] - 10, now=NOW)

    with pytest.raises(ledger.InsufficientCredits):
        ledger.spend_all(wallet_id=wallet.pk, spends=[Spend("a", 11, NOON)], now=NOW)
    ledger.spend_all(wallet_id=wallet.pk, spends=[Spend("a", 10, NOON)], now=NOW)

    assert assert_sound(wallet).available == 0


def test_a_taken_key_or_a_frozen_wallet_changes_nothing(furnished, alice):
    wallet = furnished(alice)
    before = state(wallet)
    with pytest.raises(IntegrityError):
        ledger.spend_all(
            wallet_id=wallet.pk, spends=[Spend("a", 1, NOON), Spend("live-1", 1, NOON)], now=NOW
        )

    ledger.set_frozen(wallet_id=wallet.pk, frozen=True, now=NOW)
    with pytest.raises(ledger.WalletFrozen):
        ledger.spend_all(wallet_id=wallet.pk, spends=[Spend("a", 1, NOON)], now=NOW)

    assert state(wallet) == before


@pytest.mark.django_db
def test_credits_that_ended_before_are_written_off_and_not_spent(alice):
    """No worker has written them off yet."""
    wallet = ledger.wallet_of(alice.pk)
    record(wallet, "plan", 100, 10, ends_at=NOON + HOUR)
    record(wallet, "pack", 100, 100)
    spends = [Spend("a", 60, NOON), Spend("b", 100, NOON + 2 * HOUR)]

    with pytest.raises(ledger.InsufficientCredits):  # a grant ends between them, so only one by one
        ledger.spend_all(wallet_id=wallet.pk, spends=spends, now=NOW)
    for one in spends:
        ledger.spend_all(wallet_id=wallet.pk, spends=[one], now=NOW)

    assert state(wallet) == (0, {"plan": 0, "pack": 0}, [("a", 60), ("b", 100)])
    assert wallet.entries.get(kind="expiry").amount == -40


@pytest.mark.django_db(transaction=True)
def test_the_same_spends_in_two_threads_are_taken_once(alice):
    wallet = ledger.wallet_of(alice.pk)
    record(wallet, "plan", 300, 10)
    spends, refused = [Spend(f"k-{n}", 10, NOON) for n in range(10)], []

    def spend() -> None:
        try:
            ledger.spend_all(wallet_id=wallet.pk, spends=spends, now=NOW)
        except IntegrityError as error:
            refused.append(error)
        connection.close()

    threads = [threading.Thread(target=spend) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(refused) == 1
    assert assert_sound(wallet).balance == 200


@pytest.mark.django_db
def test_credits_reserved_of_an_ended_grant_do_not_prevent_spending(alice):
    wallet = ledger.wallet_of(alice.pk)
    record(wallet, "plan", 100, 10, ends_at=NOON + HOUR)
    record(wallet, "pack", 100, 100)
    ledger.reserve(wallet_id=wallet.pk, key="slow", amount=60, now=NOON + 59 * MINUTE)

    ledger.spend_all(
        wallet_id=wallet.pk, spends=[Spend("k", 70, NOON + HOUR)], now=NOON + HOUR + MINUTE
    )

    wallet.refresh_from_db()
    assert (wallet.balance, wallet.reserved, wallet.available) == (90, 60, 30)

"""A reservation of work that takes longer than a reservation lasts is replaced by a new one."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection

from billing import ledger
from billing.models import Reservation
from conftest import fund

from .test_ledger import assert_sound

pytestmark = pytest.mark.django_db
LATER = timedelta(minutes=5)


def test_the_new_one_has_the_same_amount_and_lasts_ten_minutes_from_now(wallet, now):
    first = ledger.reserve(wallet_id=wallet.id, key="a", amount=500, now=now)

    new = ledger.renew(reservation_id=first.id, key="b", now=now + LATER)

    assert (new.amount, new.created_at) == (500, now + LATER)
    assert ledger.expire_reservations(now=now + timedelta(seconds=600)) == []
    assert ledger.expire_reservations(now=now + LATER + timedelta(seconds=600)) == [wallet.id]
    states = Reservation.objects.order_by("id").values_list("key", "state")
    assert list(states) == [("a", "released"), ("b", "expired")]
    assert assert_sound(wallet).available == 500


def test_one_that_is_resolved_or_unknown_is_not_renewed(wallet, now):
    first = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    ledger.capture(reservation_id=first.id, now=now)

    for reservation_id in (first.id, 12345):
        with pytest.raises(ledger.AlreadyResolved):
            ledger.renew(reservation_id=reservation_id, key="b", now=now + LATER)

    assert Reservation.objects.get().state == "captured"
    assert assert_sound(wallet).available == 300


def test_a_frozen_wallet_keeps_the_one_it_has(wallet, now):
    first = ledger.reserve(wallet_id=wallet.id, key="a", amount=200, now=now)
    ledger.set_frozen(wallet_id=wallet.id, frozen=True, now=now)

    with pytest.raises(ledger.WalletFrozen):
        ledger.renew(reservation_id=first.id, key="b", now=now + LATER)

    assert Reservation.objects.get().state == "open"
    ledger.capture(reservation_id=first.id, now=now + LATER)
    assert assert_sound(wallet).balance == 300


def test_credits_that_ended_meanwhile_are_kept_by_the_old_one_only(alice, now):
    wallet = fund(alice, 500, now, ends_at=now + timedelta(minutes=2))
    first = ledger.reserve(wallet_id=wallet.id, key="a", amount=400, now=now)

    with pytest.raises(ledger.InsufficientCredits):
        ledger.renew(reservation_id=first.id, key="b", now=now + LATER)

    assert Reservation.objects.get().state == "open"
    ledger.capture(reservation_id=first.id, now=now + LATER)
    ledger.expire_ended(wallet_id=wallet.id, now=now + LATER)
    assert (assert_sound(wallet).balance, wallet.reserved) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_nobody_else_gets_the_credits_while_they_are_renewed(wallet, now):
    """One renews all there is again and again, others ask for a single credit meanwhile."""
    current = ledger.reserve(wallet_id=wallet.id, key="0", amount=500, now=now)
    start, others, failures = Barrier(4), [], []

    def ask(name: int) -> None:
        start.wait(10)
        for number in range(10):
            try:
                key = f"{name}-{number}"
                others.append(ledger.reserve(wallet_id=wallet.id, key=key, amount=1, now=now))
            except ledger.InsufficientCredits:
                pass
            except Exception as error:
                failures.append(error)
        connection.close()

    threads = [Thread(target=ask, args=[name]) for name in range(3)]
    for thread in threads:
        thread.start()
    start.wait(10)
    for number in range(1, 11):
        current = ledger.renew(reservation_id=current.id, key=str(number), now=now)
    for thread in threads:
        thread.join()

    assert failures == [] and others == []
    assert assert_sound(wallet).reserved == 500

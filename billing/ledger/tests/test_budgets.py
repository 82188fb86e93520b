"""An API key's budget: enforced with the reservation, given back with it, and begun anew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from django.db.models import Sum

from billing import keys, ledger
from billing.ledger import budgets
from billing.models import KeyBudget, Reservation

pytestmark = pytest.mark.django_db


def make(customer, now, limit=100, period="none"):
    key, _ = keys.create(customer=customer, name="k", limit=limit, period=period, now=now)
    return key


def hold(wallet, key, amount, now, name="a"):
    return ledger.reserve(wallet_id=wallet.id, key=name, amount=amount, now=now, api_key_id=key.pk)


def counted(key):
    return KeyBudget.objects.values_list("spent", "held").get(pk=key.pk)


def test_a_reservation_is_held_captured_in_part_and_the_rest_given_back(alice, wallet, now):
    key = make(alice, now)
    first = hold(wallet, key, 80, now)

    assert counted(key) == (0, 80)
    ledger.capture(reservation_id=first.id, amount=30, now=now)

    assert counted(key) == (30, 0)
    found = budgets.budget(key.pk, now)
    assert (found.limit, found.spent, found.held, found.remaining) == (100, 30, 0, 70)
    assert found.resets_at is None


def test_more_than_the_budget_is_refused_and_changes_nothing(alice, wallet, now):
    key = make(alice, now)
    hold(wallet, key, 80, now)
    wallet.refresh_from_db()
    before = wallet.reserved, wallet.version

    with pytest.raises(ledger.BudgetExceeded) as error:
        hold(wallet, key, 21, now, "b")

    wallet.refresh_from_db()
    assert (wallet.reserved, wallet.version) == before
    assert (error.value.needed, error.value.remaining, error.value.limit) == (21, 20, 100)
    assert counted(key) == (0, 80)
    assert hold(wallet, key, 20, now, "b").amount == 20


def test_without_enough_credits_nothing_is_held(alice, wallet, now):
    key = make(alice, now, limit=10_000)

    with pytest.raises(ledger.InsufficientCredits):
        hold(wallet, key, 501, now)

    assert counted(key) == (0, 0)


@pytest.mark.parametrize("end", ["release", "expire"])
def test_what_is_released_or_expires_is_held_no_longer(alice, wallet, now, end):
    key = make(alice, now)
    first = hold(wallet, key, 100, now)

    if end == "release":
        ledger.release(reservation_id=first.id, now=now)
    else:
        ledger.expire_reservations(now=now + timedelta(seconds=601))

    assert counted(key) == (0, 0)


def test_a_renewed_reservation_stays_within_the_budget(alice, wallet, now):
    key = make(alice, now)
    first = hold(wallet, key, 100, now)

    new = ledger.renew(reservation_id=first.id, key="b", now=now + timedelta(minutes=5))

    assert counted(key) == (0, 100)
    assert Reservation.objects.get(pk=new.id).api_key_id == key.pk


def test_a_key_without_a_limit_is_counted(alice, wallet, now):
    key = make(alice, now, limit=None)

    ledger.capture(reservation_id=hold(wallet, key, 400, now).id, now=now)

    assert counted(key) == (400, 0)
    assert budgets.budget(key.pk, now).remaining is None


@pytest.mark.parametrize(
    ("period", "begins", "ends"),
    [
        ("day", datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("week", datetime(2026, 12, 28, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC)),
        ("month", datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("none", budgets.NEVER, None),
    ],
)
def test_periods_begin_at_midnight_utc(period, begins, ends):
    at = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    elsewhere = at.astimezone().replace(fold=0)

    assert budgets.period_start(period, at) == budgets.period_start(period, elsewhere) == begins
    assert budgets.period_end(period, at) == ends


def test_a_new_period_begins_with_what_is_held_and_nothing_spent(alice, wallet, now):
    key = make(alice, now, period="day")
    ledger.capture(reservation_id=hold(wallet, key, 60, now).id, now=now)
    late = budgets.period_end("day", now) - timedelta(minutes=1)
    over = hold(wallet, key, 40, late, "b")
    next_day = late + timedelta(minutes=2)

    assert budgets.budget(key.pk, next_day).remaining == 60
    with pytest.raises(ledger.BudgetExceeded):
        hold(wallet, key, 61, next_day, "c")
    hold(wallet, key, 60, next_day, "c")
    ledger.capture(reservation_id=over.id, now=next_day)

    assert counted(key) == (40, 60)


def test_another_limit_or_period_keeps_what_was_spent_in_it(alice, wallet, now):
    key = make(alice, now)
    ledger.capture(reservation_id=hold(wallet, key, 60, now).id, now=now)
    later = now + timedelta(days=40)
    ledger.capture(reservation_id=hold(wallet, key, 10, later, "b").id, now=later)

    keys.change(key, limit=50, period="month", now=later)

    found = budgets.budget(key.pk, later)
    assert (found.limit, found.spent, found.remaining) == (50, 10, 40)
    keys.change(key, limit=50, period="none", now=later)
    assert budgets.budget(key.pk, later).remaining == 0


@pytest.mark.django_db(transaction=True)
def test_many_at_once_spend_the_budget_and_not_one_credit_more(alice, wallet, now):
    key = make(alice, now, limit=100)
    barrier = Barrier(8)
    outcomes = []

    def spend(number):
        try:
            barrier.wait()
            for turn in range(5):
                try:
                    held = hold(wallet, key, 7, now, f"{number}-{turn}")
                    if turn % 2:
                        ledger.release(reservation_id=held.id, now=now)
                    else:
                        ledger.capture(reservation_id=held.id, amount=5, now=now)
                except ledger.BudgetExceeded:
                    outcomes.append("refused")
        except Exception as error:
            outcomes.append(error)
        finally:
            connection.close()

    threads = [Thread(target=spend, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(outcomes) <= {"refused"}
    captured = Reservation.objects.filter(api_key=key).aggregate(sum=Sum("captured"))["sum"]
    assert counted(key) == (captured, 0)
    assert 0 < captured <= 100


@pytest.mark.django_db(transaction=True)
def test_of_eighty_at_once_as_many_are_held_as_the_budget_is_for(alice, wallet, now):
    """There is more in the wallet than all of them want; the budget alone is in their way."""
    key = make(alice, now, limit=100)
    barrier = Barrier(8)

    def ask(thread):
        barrier.wait()
        try:
            return [is_held(f"{thread}-{turn}") for turn in range(10)]
        finally:
            connection.close()

    def is_held(name):
        try:
            hold(wallet, key, 5, now, name)
        except ledger.BudgetExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        held = sum(map(sum, threads.map(ask, range(8))))

    assert held == 20
    assert counted(key) == (0, 100)
    open_ones = Reservation.objects.open().filter(api_key=key)
    assert open_ones.aggregate(sum=Sum("amount"))["sum"] == 100
